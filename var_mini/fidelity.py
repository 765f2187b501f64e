"""How far low-rank attention is from exact attention on a model's own queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .attention import AttentionSpec, new_state
from .model import Model


@dataclass
class QKV:
    """What reaches attention, (layers, B, H, L, d) each, for `B` images with teacher forcing."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor


@torch.inference_mode()
def collect_qkv(model: Model, ids: torch.Tensor, labels: torch.Tensor) -> QKV:
    """q, k and v of every layer for images given by their token ids (B, L), with exact attention throughout."""
    layers: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in model.transformer.blocks]

    def observer(layer, state, q, k, v):
        layers[layer].append((q, k, v))

    device = model.transformer.pos_1LC.device
    var_input = model.tokenizer.quantize.inputs_from_ids(ids.to(device).long())
    model.transformer.forward_by_scale(labels.to(device), var_input, "exact", observer)
    parts = [torch.stack([torch.cat([scale[i] for scale in layer], 2) for layer in layers]) for i in range(3)]
    return QKV(*parts)


@torch.inference_mode()
def output_errors(model: Model, qkv: QKV, attention: str | AttentionSpec) -> tuple[list, int]:
    """Relative error of the attention output against exact softmax, from the same q, k and v.

    |out - exact| / |exact| in the Frobenius norm over images, tokens and channels, as a nested list [layer][head][scale];
    and the number of (image, head) outputs that fell back to exact.
    """
    t, pyramid = model.transformer, model.config.pyramid
    spec = t.resolve(attention)
    errors, fallbacks = [], 0
    for layer, block in enumerate(t.blocks):
        q, k, v = qkv.q[layer], qkv.k[layer], qkv.v[layer]
        shape = len(q), block.attn.logit_scale(), t.config.head_dim, pyramid.tokens
        state, exact = new_state(spec, *shape, **t.calibration.of_layer(spec, layer)), new_state("exact", *shape)
        per_scale = []
        for where in pyramid.slices:
            for each in (state, exact):
                each.extend(k[:, :, where], v[:, :, where])
            wanted = exact.attend(q[:, :, where]).transpose(0, 1).flatten(1)  # (H, all the rest)
            difference = state.attend(q[:, :, where]).transpose(0, 1).flatten(1) - wanted
            per_scale.append(difference.norm(dim=1) / wanted.norm(dim=1))
        errors.append(torch.stack(per_scale, 1).tolist())
        fallbacks += state.fallbacks
    return errors, fallbacks
