"""One masked pass of training against the scale-by-scale loop of generation: the same logits, measured.

Generation needs no mask, because what a mask would hide has not been drawn yet. Two masks that are not VAR's show that the
mask of training does matter: none at all, and the one of a language model, where a token sees only the tokens before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .. import validate
from ..attention import AttentionSpec, has_masked_pass
from ..generation.settings import conditions, styles_per_image
from ..model import Model


@dataclass(frozen=True)
class ScaleDifference:
    """Largest absolute differences between logits of one scale."""

    side: int
    largest_logit: float  # of the masked pass, to judge the differences by
    loop: float  # the loop of generation against the masked pass of training
    unmasked: float  # training without a mask against training with it
    triangular: float  # training with a language model's mask against VAR's


@torch.inference_mode()
def mask_against_loop(
    model: Model, ids: torch.Tensor, label: int, attention: str | AttentionSpec = "exact", style: int | None = None
) -> list[ScaleDifference]:
    """Differences of every scale for one image, given by its token ids (L,), with teacher forcing; `style` None is any.

    Raises ValueError where the back end has no masked pass, or anything is out of range.
    """
    t, pyramid = model.transformer, model.config.pyramid
    spec = t.resolve(attention)
    if not has_masked_pass(spec):
        raise ValueError(f"attention = {str(spec)!r}: has no masked pass; must be exact or poly")
    label = validate.integer("label", label, 0, t.config.num_classes - 1)
    quantizer, device = model.tokenizer.quantize, t.pos_1LC.device
    ids = torch.cat(quantizer.check_ids(ids)).to(device)
    told = conditions([label], styles_per_image(style, 1, t.config.num_styles))
    given = told.to(device), quantizer.inputs_from_ids(ids[None])
    everything = torch.ones(pyramid.tokens, pyramid.tokens, dtype=torch.bool, device=device)
    masked = t(*given, spec)[0]
    others = [t.forward_by_scale(*given, spec), t(*given, spec, mask=everything), t(*given, spec, mask=everything.tril())]
    result = []
    for side, where in zip(pyramid.patch_nums, pyramid.slices):
        apart = [(masked[where] - other[0, where]).abs().max().item() for other in others]
        result.append(ScaleDifference(side, masked[where].abs().max().item(), *apart))
    return result
