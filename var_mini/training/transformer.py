"""Stage two: train the transformer to predict every token of a scale from all coarser scales.

Cross-entropy over all positions with teacher forcing (VAR, arXiv 2404.02905, section 3.1). The images are turned into
token ids once; the input of each scale is rebuilt from the ids, exactly as generation builds it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from .. import validate
from ..config import TransformerConfig
from ..data import to_unit
from ..tokenizer import VQVAE, MultiScaleQuantizer
from ..transformer import VAR
from .augment import CHANGES
from .memory import to_device
from .objective import Objective


@torch.inference_mode()
def tokenize_images(tokenizer: VQVAE, images: torch.Tensor, batch_size: int = 500, progress: bool = False) -> torch.Tensor:
    """uint8 images (N, channels, S, S) -> token ids of all scales, int32 (N, L) on the CPU."""
    device = next(tokenizer.parameters()).device
    parts = tqdm(images.split(batch_size), desc="tokenizing", disable=not progress)
    return torch.cat([torch.cat(tokenizer.tokenize(to_unit(x).to(device)).token_ids, 1).int().cpu() for x in parts])


def drop_conditions(labels: torch.Tensor, config: TransformerConfig, generator: torch.Generator) -> torch.Tensor:
    """Labels with the null class in place of a share `class_drop` of them, for guidance.

    With styles, (B, 2): class and style together for that share, the style alone for as many others, and the class alone for
    as many again, so that "any" is learned of each.
    """
    u, p = to_device(torch.rand(len(labels), generator=generator), labels.device), config.class_drop
    if labels.ndim == 1:
        return torch.where(u < p, config.num_classes, labels)
    label = torch.where((u < p) | ((2 * p <= u) & (u < 3 * p)), config.num_classes, labels[:, 0])
    style = torch.where(u < 2 * p, config.num_styles, labels[:, 1])
    return torch.stack([label, style], 1)


class TransformerObjective(Objective[VAR]):
    """(step, ids, labels) -> (loss, metrics) for the Trainer.

    From step `alternate_from` on, every other batch uses the degree-2 kernel in place of the exponential, so that one
    set of weights serves both. Labels are dropped for guidance by a generator that depends on (seed, step, process).

    Steps for which `coarse` says so train the `coarse_scales` coarsest scales alone: no scale depends on a finer one, so that
    these steps lack nothing, and they cost a fraction (the official code has such a schedule, `--pg`).

    With `told`, a third tensor says how each picture was changed (see `augment_and_tell`), and a linear map of it, which belongs
    to training alone, is added to the class embedding. So the model learns from changed pictures without learning to draw any:
    it draws as if told of no change (non-leaking augmentation, Karras et al., arXiv 2206.00364, section 5).
    """

    def __init__(
        self,
        model: VAR,
        quantizer: MultiScaleQuantizer,
        alternate_from: int | None = None,
        coarse: Callable[[int], bool] = lambda step: False,
        coarse_scales: int = 1,
        seed: int = 0,
        process: int = 0,
        attention: str = "exact",  # the back end of the steps that do not alternate
        told: bool = False,
    ):
        super().__init__(model)
        self.changes = nn.Linear(CHANGES, model.config.width, bias=False) if told else None
        if self.changes is not None:
            nn.init.zeros_(self.changes.weight)
        self.attention = attention
        self.quantizer = [quantizer]  # in a list: fixed, so neither trained nor saved with the run
        self.alternate_from, self.seed, self.process = alternate_from, seed, process
        validate.integer("coarse_scales", coarse_scales, 1, model.pyramid.num_scales)
        self.coarse, self.coarse_tokens = coarse, model.pyramid.slices[coarse_scales - 1].stop

    def forward(self, step: int, ids: torch.Tensor, labels: torch.Tensor, changes: torch.Tensor | None = None):
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + step) * 1024 + self.process)
        labels = drop_conditions(labels, self.model.config, generator)
        if self.coarse(step):
            ids = ids[:, : self.coarse_tokens]
        with torch.no_grad(), torch.autocast("cuda" if ids.is_cuda else "cpu", enabled=False):
            var_input = self.quantizer[0].inputs_from_ids(ids)
        poly = self.alternate_from is not None and step >= self.alternate_from and step % 2 == 1
        if self.model.config.dropout:
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))  # dropout, too, follows from the step
        added = None if self.changes is None else self.changes(changes)
        logits = self.model(labels, var_input, "poly" if poly else self.attention, added=added)
        ids = ids.long()
        # the same number as F.cross_entropy, whose backward pass takes three times as long on a CPU
        loss = -logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).mean()
        logits = logits.detach()  # amax, since argmax would take a twentieth of the whole step
        accuracy = (logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1) == logits.amax(-1)).float().mean()
        return loss, {"accuracy": accuracy}


@torch.inference_mode()
def cross_entropy(
    model: VAR,
    quantizer: MultiScaleQuantizer,
    ids: torch.Tensor,
    labels: torch.Tensor,
    attention: str = "exact",
    batch_size: int = 250,
) -> dict:
    """Mean cross-entropy in nats per token, with teacher forcing and true labels.

    Returns `cross_entropy` (over all tokens) and `cross_entropy_per_scale`.
    """
    device = model.pos_1LC.device
    model.eval()
    total = torch.zeros(model.pyramid.tokens, dtype=torch.float64)
    for part, label in zip(ids.split(batch_size), labels.split(batch_size)):
        part = part.to(device).long()
        logits = model(label.to(device), quantizer.inputs_from_ids(part), attention)
        total += F.cross_entropy(logits.transpose(1, 2), part, reduction="none").double().sum(0).cpu()
    per_token = total / len(ids)
    return {
        "cross_entropy": per_token.mean().item(),
        "cross_entropy_per_scale": [per_token[s].mean().item() for s in model.pyramid.slices],
    }
