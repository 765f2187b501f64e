"""Float64 pieces that several oracles share, written from the formulas and without torch's own operations."""

from __future__ import annotations

import math

import numpy as np

CUBIC = -0.75  # the free parameter of bicubic interpolation; this value is the usual one


def array(tensor) -> np.ndarray:
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
