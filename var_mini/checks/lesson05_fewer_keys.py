"""Exercises of lesson 5 on fewer keys: landmarks, and means of neighbouring keys."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from . import pieces
from .exercise import Exercise, Mistake
from .picture import matrix

# -- landmark_kernel ---------------------------------------------------------------------------------------------------


def _landmark_case(rng, number):
    d, m = 3 + number, 3 + 2 * number
    q, k, landmarks = (F.normalize(torch.randn(n, d, generator=rng), dim=-1) for n in (3 + number, 5 + number, m))
    return {"q": q, "k": k, "landmarks": landmarks, "scale": 1 + 2 * float(torch.rand(1, generator=rng)), "ridge": 0.01}


def _kernel(x, y, scale, shift=1.0):
    return np.exp(scale * (pieces.array(x) @ pieces.array(y).T - shift))


def _nystrom(q, k, landmarks, scale, ridge, invert=None, shift=1.0):
    gram = _kernel(landmarks, landmarks, scale, shift)
    gram = gram + ridge * np.eye(len(gram))
    inverse = np.linalg.inv(gram) if invert is None else invert(gram)
    return _kernel(q, landmarks, scale, shift) @ inverse @ _kernel(landmarks, k, scale, shift)


def _draw_kernel(figure, args, got, expected):
    exact = _kernel(args["q"], args["k"], args["scale"])
    for axis, (title, values) in zip(figure.subplots(1, 3), {"exp": exact, "expected": expected, "yours": got}.items()):
        image = matrix(axis, values, title, 0, exact.max(), "viridis", aspect="auto")
        axis.set_xlabel("key", fontsize=8)
    figure.axes[0].set_ylabel("query", fontsize=8)
    figure.colorbar(image, ax=figure.axes, label="kernel")


LANDMARK_KERNEL = Exercise(
    lesson=5,
    name="landmark_kernel",
    difficulty=3,
    minutes=15,
    case=_landmark_case,
    oracle=_nystrom,
    mistakes=(
        Mistake(
            "leaves out the inverse of K(L, L)",
            "Landmarks resemble each other, and without the inverse what they share is counted several times.",
            lambda *args: _nystrom(*args, invert=lambda gram: np.eye(len(gram))),
        ),
        Mistake(
            "inverts K(L, L) entry by entry",
            "The inverse of the matrix is wanted: torch.linalg.solve(K_LL, K_Lk).",
            lambda *args: _nystrom(*args, invert=lambda gram: 1 / gram),
        ),
        Mistake(
            "multiplies by K(L, L) instead of its inverse",
            "K(q, L) K(L, L)^-1 K(L, k): at a landmark the product must give the kernel itself.",
            lambda *args: _nystrom(*args, invert=lambda gram: gram),
        ),
        Mistake(
            "forgets the ridge",
            "Add ridge to the diagonal of K(L, L): near landmarks make it nearly singular.",
            lambda q, k, landmarks, scale, ridge: _nystrom(q, k, landmarks, scale, 0.0),
        ),
        Mistake(
            "leaves out the scale",
            "The kernel is exp(s (x . y - 1)).",
            lambda q, k, landmarks, scale, ridge: _nystrom(q, k, landmarks, 1.0, ridge),
        ),
        Mistake(
            "leaves out the - 1 in the exponent",
            "With it the kernel of unit vectors lies between exp(-2 s) and 1, which suits the ridge.",
            lambda *args: _nystrom(*args, shift=0.0),
        ),
    ),
    draw=_draw_kernel,
    rtol=1e-3,
    atol=1e-4,
)

# -- pool_keys ---------------------------------------------------------------------------------------------------------


def _pool_case(rng, number):
    side, factor = ((4, 2), (5, 2), (6, 4), (7, 2), (9, 4))[number]
    return {"k": torch.randn(side * side, 2 + number, generator=rng), "side": side, "factor": factor}


def _pooled(k, side, factor, full=False, drop=False, log=np.log):
    grid, keys, counts = pieces.array(k).reshape(side, side, -1), [], []
    for i in range(0, side, factor):
        for j in range(0, side, factor):
            cell = grid[i : i + factor, j : j + factor].reshape(-1, grid.shape[-1])
            if drop and len(cell) < factor**2:
                continue
            keys.append(cell.sum(0) / (factor**2 if full else len(cell)))
            counts.append(len(cell))
    return np.array(keys), log(np.array(counts, float))


POOL_KEYS = Exercise(
    lesson=5,
    name="pool_keys",
    difficulty=3,
    minutes=15,
    case=_pool_case,
    oracle=_pooled,
    mistakes=(
        Mistake(
            "divides by factor * factor at the border, too",
            "Cells at the border may hold fewer keys: the mean is over those that exist.",
            lambda *args: _pooled(*args, full=True),
        ),
        Mistake(
            "drops the incomplete cells at the border",
            "Every key must be in some cell, or its value could never be seen: ceil_mode=True.",
            lambda *args: _pooled(*args, drop=True),
        ),
        Mistake(
            "returns the counts without their logarithm",
            "A cell of c keys weighs c * exp(t) = exp(t + log c): what is added to the logit is log c.",
            lambda *args: _pooled(*args, log=lambda counts: counts),
        ),
        Mistake(
            "gives every cell the same count",
            "A border cell of fewer keys weighs less.",
            lambda k, side, factor: (
                _pooled(k, side, factor)[0],
                np.full(len(_pooled(k, side, factor)[1]), math.log(factor**2)),
            ),
        ),
    ),
)

EXERCISES = (LANDMARK_KERNEL, POOL_KEYS)
