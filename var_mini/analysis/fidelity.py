"""How far low-rank attention is from exact attention on a model's own queries, keys and values."""

from __future__ import annotations

import torch

from ..attention import AttentionSpec, new_state
from ..model import Model
from ..training.qkv import QKV


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
