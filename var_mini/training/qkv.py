"""The queries, keys and values of a trained model: what its low-rank back ends are calibrated and measured on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..model import Model


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
