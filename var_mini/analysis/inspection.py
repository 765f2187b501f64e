"""Where the tokens of a finished run attend: one row of the attention matrix, or the mass from scale to scale.

Both repeat the conditional pass of the run from its token ids (guidance adds an unconditional one), so that drawing itself
is never slowed by capture. Weights of landmarks and of fitted polynomials can be negative and above 1; where a head fell back
to exact attention, they are those of exact attention.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch

from .. import validate
from ..attention import AttentionSpec
from ..attention.exact import ExactState
from ..generation.settings import conditions, styles_per_image
from ..model import Model


def attention_row(
    model: Model,
    ids: torch.Tensor,
    label: int,
    scale: int,
    token: int,
    attention: str | AttentionSpec = "exact",
    style: int | None = None,
) -> torch.Tensor:
    """Weights (layers, H, keys) of token `token` of scale `scale` over its own and all coarser scales.

    ids  int64 (L,), the token ids of all scales of one image, as a trace records them
    Raises ValueError on anything out of range.
    """
    scale = validate.integer("scale", scale, 0, model.config.pyramid.num_scales - 1)
    token = validate.integer("token", token, 0, model.config.pyramid.counts[scale] - 1)
    rows = []

    def look(index, layer, state, q):
        if index == scale:
            rows.append(state.weights(q)[0, :, token])  # all queries: one of them decides whether the head falls back

    _replay(model, ids, label, style, attention, scale + 1, look)  # finer scales do not matter to it
    return torch.stack(rows).float().cpu()


def attention_blocks(
    model: Model, ids: torch.Tensor, label: int, attention: str | AttentionSpec = "exact", style: int | None = None
) -> torch.Tensor:
    """Attention mass (layers, H, K, K) that each scale (third axis) gives to each scale, mean over its tokens.

    Arguments as for `attention_row`. Zero above the diagonal: no scale sees a finer one.
    """
    pyramid, layers = model.config.pyramid, model.config.transformer.depth
    found = torch.zeros(pyramid.num_scales, layers, model.config.transformer.heads, pyramid.num_scales)

    def look(index, layer, state, q):
        parts = state.weights(q)[0].split(pyramid.counts[: index + 1], dim=-1)
        mass = torch.stack([part.sum(-1).mean(-1) for part in parts], -1)  # (H, index + 1)
        found[index, layer, :, : index + 1] = mass.float().cpu()

    _replay(model, ids, label, style, attention, pyramid.num_scales, look)
    return found.permute(1, 2, 0, 3)


@dataclass(frozen=True)
class AttentionSum:
    """What one head computes for one token: sum over n keys of softmax(s q.k) v, all float32 on the CPU."""

    weights: torch.Tensor  # (n,)
    scale: float  # s of the head
    logits: torch.Tensor | None = None  # (n,), s q.k; None, as the other two, where attention is an approximation
    values: torch.Tensor | None = None  # (n, head_dim)
    output: torch.Tensor | None = None  # (head_dim,)


def attention_sum(
    model: Model,
    ids: torch.Tensor,
    label: int,
    scale: int,
    token: int,
    layer: int,
    head: int,
    attention: str | AttentionSpec = "exact",
    style: int | None = None,
) -> AttentionSum:
    """One layer and head of `attention_row`, with the numbers that it comes from. Arguments and errors as there."""
    t = model.config.transformer
    scale = validate.integer("scale", scale, 0, model.config.pyramid.num_scales - 1)
    token = validate.integer("token", token, 0, model.config.pyramid.counts[scale] - 1)
    layer, head = validate.integer("layer", layer, 0, t.depth - 1), validate.integer("head", head, 0, t.heads - 1)
    found = []

    def look(index, at, state, q):
        if (index, at) != (scale, layer):
            return
        weights = state.weights(q)[0, head, token].float().cpu()
        s = float(model.transformer.blocks[layer].attn.logit_scale().flatten()[head])
        if not isinstance(state, ExactState):
            found.append(AttentionSum(weights, s))
            return
        query = (q[0, head, token] * state.scale.flatten()[head]).float()
        keys, values = (part[0, head, : state.length].float() for part in (state.keys, state.values))
        found.append(AttentionSum(weights, s, (keys @ query).cpu(), values.cpu(), state.attend(q)[0, head, token].float().cpu()))

    _replay(model, ids, label, style, attention, scale + 1, look)
    return found[0]


@torch.inference_mode()
def _replay(model: Model, ids: torch.Tensor, label: int, style: int | None, attention, scales: int, look: Callable) -> None:
    """Runs the first `scales` scales on given ids; `look(index, layer, state, q)` sees every layer after it has attended."""
    t, quantizer = model.transformer, model.tokenizer.quantize
    label = validate.integer("label", label, 0, t.config.num_classes - 1)
    told = conditions([label], styles_per_image(style, 1, t.config.num_styles))
    device, calls = t.pos_1LC.device, count()
    ids = torch.cat(quantizer.check_ids(ids)[:scales]).to(device)

    def observer(layer, state, q, k, v):
        look(next(calls) // len(t.blocks), layer, state, q)

    t.forward_by_scale(told.to(device), quantizer.inputs_from_ids(ids[None]), attention, observer, reserve=True)
