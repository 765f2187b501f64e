"""Colours that stand for the codes of a codebook wherever token maps are shown."""

from __future__ import annotations

import numpy as np
import torch


def code_colours(codebook: torch.Tensor) -> np.ndarray:
    """A colour for every code, uint8 (V, 3): its first three principal components, each spread evenly by rank.

    Codes that are near in the codebook get near colours.
    """
    codes = codebook.detach().double().cpu()
    codes = codes - codes.mean(0)
    _, _, axes = torch.linalg.svd(codes, full_matrices=False)
    axes = axes[:3] * torch.sign(axes[:3].gather(1, axes[:3].abs().argmax(1, keepdim=True)))  # fixes the sign of each axis
    places = (codes @ axes.T).argsort(0).argsort(0).double() / max(1, len(codes) - 1)  # (V, <= 3) in [0, 1]
    if places.shape[1] < 3:
        places = torch.cat([places, places.new_full((len(codes), 3 - places.shape[1]), 0.5)], 1)
    return (40 + 200 * places).round().byte().numpy()
