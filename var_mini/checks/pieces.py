"""What several exercises share: random inputs, and float64 formulas for their oracles, without torch's own operations."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import torch

CUBIC = -0.75  # the free parameter of bicubic interpolation; this value is the usual one
EPS = 1e-6  # of the layer norm in VAR's blocks


def whole(rng: torch.Generator, low: int, high: int) -> int:
    """A random whole number from low to high."""
    return int(torch.randint(low, high + 1, (1,), generator=rng))


def sides(rng: torch.Generator, number: int, scales: int, step: int) -> tuple[int, ...]:
    """Sides of a pyramid, each 1 to `step` larger than the one before; input 0 is a small one to be checked by hand."""
    steps = torch.randint(1, step + 1, (scales,), generator=rng).tolist()
    return (1, 2, 3) if number == 0 else tuple(accumulate(steps))


def array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as float64 array."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def area_windows(size: int, side: int) -> list[tuple[int, int]]:
    """For each of `side` cells the range of the `size` places that it touches; ranges overlap where sizes do not divide."""
    return [(i * size // side, -(-(i + 1) * size // side)) for i in range(side)]


def area_matrix(size: int, side: int) -> np.ndarray:
    """(side, size): row i averages the places of cell i."""
    matrix = np.zeros((side, size))
    for i, (begin, end) in enumerate(area_windows(size, side)):
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix


def area(f: np.ndarray, side: int) -> np.ndarray:
    """(..., S, S) -> (..., side, side), mean over the window of each cell."""
    rows = area_matrix(f.shape[-1], side)
    return rows @ f @ rows.T


def picked(f: np.ndarray, side: int) -> np.ndarray:
    """(..., S, S) -> (..., side, side): one value per cell instead of their mean, or every value repeated where side > S."""
    places = np.arange(side) * f.shape[-1] // side
    return f[..., places, :][..., places]


def bicubic_matrix(side: int, size: int) -> np.ndarray:
    """(size, side): bicubic interpolation along one axis, pixel centres at half-integers, edges repeated."""
    matrix = np.zeros((size, side))
    for i in range(size):
        place = (i + 0.5) * side / size - 0.5
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            matrix[i, min(max(tap, 0), side - 1)] += _cubic(abs(place - tap))
    return matrix


def _cubic(x: float) -> float:
    if x <= 1:
        return (CUBIC + 2) * x**3 - (CUBIC + 3) * x**2 + 1
    return CUBIC * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def bicubic(h: np.ndarray, size: int) -> np.ndarray:
    """(..., s, s) -> (..., size, size)."""
    rows = bicubic_matrix(h.shape[-1], size)
    return rows @ h @ rows.T


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(x: np.ndarray, axis: int = -1, centre: bool = True, spare: int = 0) -> np.ndarray:
    """(x - mean) / sqrt(variance + EPS) over an axis of n values; their squares are summed and divided by n - spare."""
    mean = x.mean(axis, keepdims=True) if centre else 0.0
    variance = ((x - mean) ** 2).sum(axis, keepdims=True) / (x.shape[axis] - spare)
    return (x - mean) / np.sqrt(variance + EPS)


def convolved(h: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(..., C, S, S) -> the same: a 3x3 convolution with a border of zeros, entry by entry of the kernel."""
    size, padded = h.shape[-1], np.pad(h, [(0, 0)] * (h.ndim - 2) + [(1, 1)] * 2)
    out = np.zeros_like(h) + bias[:, None, None]
    for dy in range(3):
        for dx in range(3):
            out += np.einsum("oi,...iyx->...oyx", weight[:, :, dy, dx], padded[..., dy : dy + size, dx : dx + size])
    return out
