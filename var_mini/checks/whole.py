"""The capstone: the student's own loss, block and drawing loop take the place of the library's, and the token ids must stay."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..checkpoints import load
from ..data.samples import load_samples
from ..generation.sampling import exponential, noise_generators
from ..model import Model
from ..training.tokenizer import TokenizerObjective
from .picture import display, png
from .session import CheckFailed

MODEL = "fashion-28"
STEPS, RATE, PICTURES = 5, 0.02, 8


@dataclass(frozen=True)
class Part:
    """One of the student's functions at work: the token ids of each scale with the library's and with it."""

    name: str
    what: str
    library: list[torch.Tensor]
    own: list[torch.Tensor]

    def equal(self) -> tuple[int, int]:
        """How many ids are the same, and of how many."""
        pairs = [(a, b) for a, b in zip(self.library, self.own) if isinstance(b, torch.Tensor) and a.shape == b.shape]
        return sum(int((a == b).sum()) for a, b in pairs), sum(a.numel() for a in self.library)


def capstone(vq_loss: Callable, adaln_block: Callable, generate: Callable, label: int = 8, seed: int = 0) -> None:
    """Puts the three functions in place of the library's in `fashion-28`; prints how many token ids stay, and shows the pictures.

    Raises CheckFailed that names the first scale at which ids differ, ValueError for a label or seed out of range.
    """
    model = load(MODEL)
    parts = compare(model, vq_loss, adaln_block, generate, label, seed)
    for part in parts:
        same, total = part.equal()
        print(f"{part.name:12}{part.what}: {same} of {total} token ids as the library's")
    show(model, parts)
    for part in parts:
        for k, (ours, theirs) in enumerate(zip(part.library, part.own)):
            if not isinstance(theirs, torch.Tensor) or not torch.equal(ours, theirs):
                raise CheckFailed(f"{part.name}: the token ids differ from scale {k + 1} on")


def compare(model: Model, vq_loss: Callable, adaln_block: Callable, generate: Callable, label: int, seed: int) -> list[Part]:
    """The three parts, each at work on its own."""
    ids = [step.token_ids[0] for step in model.generate(label, seed)]
    with torch.no_grad():
        source = noise_generators([seed])
        noise = [exponential(source, n, model.transformer.vocab_size)[0] for n in model.config.pyramid.counts]
        own = generate(weights_of(model, label), noise, model.config.sampling.guidance)
    with_block = [step.token_ids[0] for step in with_own_block(model, adaln_block).generate(label, seed)]
    pictures = 2 * torch.stack([sample.image for sample in load_samples(model.config)[:PICTURES]]) - 1
    return [
        Part("vq_loss", f"tokenizer trained for {STEPS} steps", trained(model, pictures), trained(model, pictures, vq_loss)),
        Part("adaln_block", f"in all {len(model.transformer.blocks)} blocks", ids, with_block),
        Part("generate", "the whole loop, with your adaln_block", ids, [part.reshape(-1) for part in own]),
    ]


def trained(model: Model, pictures: torch.Tensor, vq_loss: Callable | None = None) -> list[torch.Tensor]:
    """Token ids (B, n_k) of the pictures after a few steps of training, with the library's objective or with `vq_loss` in it."""
    tokenizer = copy.deepcopy(model.tokenizer).train()
    objective = TokenizerObjective(tokenizer, STEPS, fresh=False)
    if vq_loss is not None:
        objective.vq_loss = lambda f, f_hats: vq_loss(f, f_hats, tokenizer.quantize.beta)
    descent = torch.optim.SGD(tokenizer.parameters(), RATE)
    for step in range(STEPS):
        descent.zero_grad()
        objective(step, pictures)[0].backward()
        descent.step()
    with torch.no_grad():
        return tokenizer.eval().tokenize(pictures).token_ids


def block_weights(block) -> dict[str, torch.Tensor]:
    """A library block's weights by the names of the exercise."""
    attn, ffn = block.attn, block.ffn
    found = {"qkv": attn.mat_qkv.weight, "q_bias": attn.q_bias, "v_bias": attn.v_bias, "scale": attn.logit_scale()}
    for name, layer in (("proj", attn.proj), ("fc1", ffn.fc1), ("fc2", ffn.fc2)):
        found |= {name: layer.weight, f"{name}_bias": layer.bias}
    return {name: tensor.detach() for name, tensor in found.items()}


def with_own_block(model: Model, adaln_block: Callable) -> Model:
    """A copy whose blocks compute with the student's function; keys and values are kept here, per sequence of scales."""
    own = copy.deepcopy(model)
    for block in own.transformer.blocks:
        w = block_weights(block)
        kept: dict[str, tuple] = {}

        def forward(x, condition, attend, w=w, kept=kept):
            if x.shape[1] == own.transformer.pyramid.counts[0]:  # the first scale of a run
                empty = x.new_zeros(len(x), len(w["scale"]), 0, len(w["q_bias"]) // len(w["scale"]))
                kept["cache"] = (empty, empty)
            x, *kept["cache"] = adaln_block(x, torch.cat(condition, 1), w, *kept["cache"])
            return x

        block.forward = forward
    return own


def weights_of(model: Model, label: int) -> dict:
    """All that drawing one class needs, as the exercise `generate` gets it: row 0 with the class, row 1 with the null class."""
    net, quantizer = model.transformer, model.tokenizer.quantize
    condition = net.condition(torch.tensor([label, net.config.num_classes]))
    phi = [quantizer.quant_resi.qresi_ls[i] for i in quantizer.phi_of_scale]
    return {
        "patch_nums": net.pyramid.patch_nums,
        "start": net.start_tokens(condition),
        "positions": net.positions()[0],
        "word": net.word_embed.weight,
        "word_bias": net.word_embed.bias,
        "blocks": [block_weights(block) for block in net.blocks],
        "conditions": [torch.cat(six, 1) for six in condition.blocks],
        "head_condition": torch.cat(condition.head, 1),
        "head": net.head.weight,
        "head_bias": net.head.bias,
        "codebook": quantizer.embedding.weight,
        "phi": [(conv.weight, conv.bias) for conv in phi],
        "ratio": phi[0].ratio,
    }


def picture(model: Model, parts: list[Part]):
    """A matplotlib figure: what the library draws, what it draws with the student's block, what the student's loop draws."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.4), dpi=80, layout="constrained")
    drawn = [("the library", parts[1].library), ("with your adaln_block", parts[1].own), ("with your generate", parts[2].own)]
    for axis, (title, ids) in zip(figure.subplots(1, 3), drawn):
        with torch.no_grad():
            f_hat = model.tokenizer.quantize.accumulate([part[None] for part in ids])[-1]
            image = (model.tokenizer.decode(f_hat)[0] + 1) / 2
        axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure


def show(model: Model, parts: list[Part]) -> None:
    """Displays the pictures in a notebook, where the student's ids can be decoded."""
    if all(a.shape == b.shape and a.dtype == b.dtype for part in parts for a, b in zip(part.library, part.own)):
        display(lambda: png(picture(model, parts)), "three pictures: the library's, with your block, with your drawing loop")
