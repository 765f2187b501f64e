"""Editing a picture with a model that was never trained for it: tokens outside a mask are given, those inside are drawn.

In-painting, out-painting and class edits are this one operation (VAR, arXiv 2404.02905, section 5.3: zero-shot
generalisation); only mask and class differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .. import validate
from ..config import Sampling
from ..generation.trace import ScaleStep, Trace
from ..model import Model

REDRAWN_FROM = 0.5  # share of a token's area inside the mask from which it is drawn anew


def masks_per_scale(mask: torch.Tensor, sides: tuple[int, ...]) -> list[torch.Tensor]:
    """Which tokens of every scale are drawn anew: bool (side^2,) each, from a bool mask (side_K, side_K) on the last map.

    A token is drawn anew where the mask covers at least half of its area: a coarser one would change the picture far outside.
    """
    side = sides[-1]
    if mask.dtype != torch.bool or tuple(mask.shape) != (side, side):
        raise ValueError(f"mask is {mask.dtype} of shape {tuple(mask.shape)}: must be bool of shape ({side}, {side})")
    covered = mask.float()[None, None]
    return [(F.interpolate(covered, size=(s, s), mode="area") >= REDRAWN_FROM).flatten() for s in sides]


@torch.inference_mode()
def tokenize_picture(model: Model, image: torch.Tensor) -> Trace:
    """A picture, float (channels, S, S) in [0, 1], taken apart into scales: a trace whose images add up to its reconstruction.

    There are no probabilities and no times: nothing is drawn. Raises ValueError where the shape is not the model's.
    """
    t = model.config.tokenizer
    wanted = (t.image_channels, t.image_size, t.image_size)
    if tuple(image.shape) != wanted or not image.isfinite().all():
        raise ValueError(f"image of shape {tuple(image.shape)}: must be {wanted}, finite, in [0, 1]")
    device = model.transformer.pos_1LC.device
    quantized = model.tokenizer.tokenize(image.clamp(0, 1)[None].to(device) * 2 - 1)
    return picture_of_ids(model, [ids[0] for ids in quantized.token_ids])


@torch.inference_mode()
def picture_of_ids(model: Model, ids: list[torch.Tensor]) -> Trace:
    """The trace of given token maps, int64 (n_k,) per scale: what each adds to the picture."""
    pyramid, ids = model.config.pyramid, model.tokenizer.quantize.check_ids(ids)
    device = model.transformer.pos_1LC.device
    steps = []
    for k, f_hat in enumerate(model.tokenizer.quantize.accumulate([part[None].to(device) for part in ids])):
        image = (model.tokenizer.decode(f_hat) + 1) / 2
        steps.append(
            ScaleStep(k, pyramid.patch_nums[k], ids[k][None].cpu(), f_hat.cpu(), image.cpu(), 0.0, 0.0, 0.0, 0, backend="none")
        )
    return Trace({"model": model.config.name}, steps)


@dataclass(frozen=True)
class ScaleError:
    """How far a picture taken apart is from the picture itself, after one scale."""

    residual: float  # |f - f_hat| / |f|, the share of the features' norm that is still missing
    psnr_db: float
    mean_absolute: float  # of the pixels, in [0, 1]


@torch.inference_mode()
def scale_errors(model: Model, image: torch.Tensor, trace: Trace) -> list[ScaleError]:
    """The error left after every scale of `trace`, a picture's own or one with other codes, against `image` in [0, 1]."""
    device = model.transformer.pos_1LC.device
    f = model.tokenizer.encode(image[None].to(device) * 2 - 1).cpu()
    errors = []
    for step in trace.steps:
        difference = step.recorded("image")[0] - image
        mse = difference.square().mean().item()
        missing = ((f - step.f_hat).norm() / f.norm().clamp_min(1e-12)).item()
        errors.append(ScaleError(missing, -10 * math.log10(max(mse, 1e-10)), difference.abs().mean().item()))
    return errors


def neighbouring_codes(codebook: torch.Tensor, code: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All codes by their distance from `code` in the codebook (V, Cvae), nearest first, itself left out; the distances."""
    code = validate.integer("code", code, 0, len(codebook) - 1)
    codes = codebook.detach().double().cpu()
    distances = (codes - codes[code]).norm(dim=1)
    order = distances.argsort(stable=True)
    order = order[order != code]
    return order, distances[order]


def nearest_class(model: Model, label: int) -> int:
    """The class that the model itself holds most like `label`: of those in its group (of all where there are none) the one
    whose embedding makes the smallest angle with its own, both measured from the mean of all. `label` where there is no other.
    """
    label = validate.integer("class", label, 0, model.config.transformer.num_classes - 1)
    return nearest_classes(model.transformer.class_emb.weight, model.config.class_groups, [label])[0]


def nearest_classes(embedded: torch.Tensor, groups: tuple[str, ...], labels: list[int]) -> list[int]:
    """`nearest_class` of each label, from the embeddings (classes + 1, C), whose last row is that of no class."""
    embedded = embedded.detach()[:-1].double().cpu()
    unit = F.normalize(embedded - embedded.mean(0), dim=1)
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group = torch.tensor([number[name] for name in groups] or [0] * len(unit))
    asked = torch.tensor(labels)
    likeness = (unit[asked] @ unit.T).masked_fill(group[asked, None] != group, -torch.inf)
    likeness[torch.arange(len(asked)), asked] = -2.0  # less than any other of its group
    return likeness.argmax(1).tolist()


def edit(
    model: Model,
    original: list[torch.Tensor],
    mask: torch.Tensor,
    label: int,
    seed: int,
    sampling: Sampling | None = None,
    **options,
) -> Iterator[ScaleStep]:
    """Draws class `label` inside the mask, given the token maps `original` (int64 (n_k,) per scale) outside it.

    `mask`, bool (side_K, side_K) on the last token map, is True where the picture is drawn anew. `options` go to
    `generate`. Raises ValueError for shapes and codes that do not fit, and for an empty mask.
    """
    label = validate.integer("class", label, 0, model.config.transformer.num_classes - 1)
    inside = masks_per_scale(mask, model.config.pyramid.patch_nums)
    if not mask.any():
        raise ValueError("mask: is empty; mark at least one token that is to be drawn anew")
    if len(original) != len(inside):
        raise ValueError(f"original has {len(original)} token maps: must have {len(inside)}")
    forced = [(ids, ~where) for ids, where in zip(original, inside)]
    return model.generate(label, seed, sampling, forced=forced, **options)


def continued(model: Model, image: torch.Tensor, given: int, label: int, seed: int, **options) -> torch.Tensor:
    """The picture, (channels, S, S) in [0, 1], whose `given` coarsest maps are those of `image` (likewise), the others drawn.

    Which maps a model errs in shows where more of them are given. Raises ValueError for `given` out of range, and as
    `tokenize_picture` and `generate` do; `options` go to the latter.
    """
    validate.integer("given", given, 0, model.config.pyramid.num_scales)
    ids = [step.token_ids[0] for step in tokenize_picture(model, image).steps]
    forced = [(part, torch.full(part.shape, k < given)) for k, part in enumerate(ids)]
    *_, last = model.generate(label, seed, forced=forced, **options)
    return last.recorded("image")[0]
