"""Exercises of lesson 13, fast fine-tuning and its threshold."""

from __future__ import annotations

import numpy as np
import torch

from .exercise import Exercise, Mistake
from .pieces import array, whole

# -- adapted_weight ----------------------------------------------------------------------------------------------------


def _adapter(rng, number):
    rows, columns, rank = whole(rng, 5, 8), whole(rng, 5, 8), 2 + number % 3
    return torch.randn(rows, rank, generator=rng), torch.randn(rank, columns, generator=rng)


def _weight_case(rng, number):
    B, A = _adapter(rng, number)
    weight = torch.randn(len(B), A.shape[1], generator=rng)
    return {"weight": weight, "B": B, "A": A, "alpha": 1.0 + 8 * float(torch.rand(1, generator=rng))}


def _adapted(weight, B, A, alpha, scaling=None):
    rank = B.shape[1]
    change = np.zeros(tuple(weight.shape))
    for b, a in zip(array(B).T, array(A)):
        change += np.outer(b, a)
    return array(weight) + (alpha / rank if scaling is None else scaling(alpha, rank)) * change


ADAPTED_WEIGHT = Exercise(
    lesson=13,
    name="adapted_weight",
    difficulty=1,
    minutes=6,
    case=_weight_case,
    oracle=_adapted,
    mistakes=(
        Mistake(
            "leaves out the factor alpha / r",
            "The change is scaled, so that its size does not grow with the rank.",
            lambda *args: _adapted(*args, scaling=lambda alpha, rank: 1.0),
        ),
        Mistake(
            "multiplies by alpha without dividing by the rank",
            "The factor is alpha / r, and r is the number of columns of B.",
            lambda *args: _adapted(*args, scaling=lambda alpha, rank: alpha),
        ),
        Mistake(
            "returns the change alone",
            "The frozen weight stays: W + (alpha / r) B A.",
            lambda weight, B, A, alpha: _adapted(torch.zeros_like(weight), B, A, alpha),
        ),
    ),
)

# -- adapter_gradients -------------------------------------------------------------------------------------------------


def _gradient_case(rng, number):
    B, A = _adapter(rng, number)
    return {"G": torch.randn(len(B), A.shape[1], generator=rng), "B": B, "A": A, "alpha": 1.0 + 4 * number}


def _gradients(G, B, A, alpha):
    """By the chain rule, entry by entry: dL/dB_im = s sum over j of G_ij A_mj, dL/dA_mj = s sum over i of B_im G_ij."""
    G, B, A = array(G), array(B), array(A)
    s = alpha / B.shape[1]
    dB = [[s * sum(G[i, j] * A[m, j] for j in range(G.shape[1])) for m in range(B.shape[1])] for i in range(len(B))]
    dA = [[s * sum(B[i, m] * G[i, j] for i in range(len(B))) for j in range(G.shape[1])] for m in range(B.shape[1])]
    return [np.array(dB), np.array(dA)]


ADAPTER_GRADIENTS = Exercise(
    lesson=13,
    name="adapter_gradients",
    difficulty=3,
    minutes=12,
    case=_gradient_case,
    oracle=_gradients,
    mistakes=(
        Mistake(
            "forgets that the change is scaled",
            "W depends on B through s B A, so s = alpha / r comes along in both gradients.",
            lambda G, B, A, alpha: [x / (alpha / B.shape[1]) for x in _gradients(G, B, A, alpha)],
        ),
        Mistake(
            "multiplies by alpha without dividing by the rank",
            "W depends on B through (alpha / r) B A, and r is the number of columns of B.",
            lambda G, B, A, alpha: [x * B.shape[1] for x in _gradients(G, B, A, alpha)],
        ),
        Mistake(
            "gives the two gradients in the other order",
            "First that of B, in B's shape, then that of A.",
            lambda G, B, A, alpha: _gradients(G, B, A, alpha)[::-1],
        ),
        Mistake(
            "turns the gradients around",
            "A gradient has the shape of what it belongs to: dB is like B, dA like A.",
            lambda G, B, A, alpha: [x.T for x in _gradients(G, B, A, alpha)],
        ),
    ),
)

# -- row_products ------------------------------------------------------------------------------------------------------


def _rows_case(rng, number):
    L = 3 + number
    return {"U": torch.randn(L, whole(rng, 2, 4), generator=rng), "C": torch.randn(L, whole(rng, 2, 3), generator=rng)}


def _rows(U, C):
    return np.array([[u * c for u in row for c in other] for row, other in zip(array(U), array(C))])


ROW_PRODUCTS = Exercise(
    lesson=13,
    name="row_products",
    difficulty=3,
    minutes=12,
    case=_rows_case,
    oracle=_rows,
    mistakes=(
        Mistake(
            "orders the columns by C first",
            "Column u d + a is U's column u times C's column a: the column of C runs fastest.",
            lambda U, C: np.array([[u * c for c in other for u in row] for row, other in zip(array(U), array(C))]),
        ),
        Mistake(
            "multiplies every row with every other row",
            "Row i of the result uses row i of both: it has as many rows as U.",
            lambda U, C: np.kron(array(U), array(C)),
        ),
        Mistake(
            "puts the two matrices side by side",
            "Each entry is a product of one number of each row, all pairs of them.",
            lambda U, C: np.concatenate([array(U), array(C)], 1),
        ),
    ),
)

# -- row_sums_without_matrix -------------------------------------------------------------------------------------------


def _sums_case(rng, number):
    L, m, d = 4 + number, whole(rng, 2, 4), whole(rng, 2, 3)
    U, V = torch.rand(L, m, generator=rng), torch.rand(L, m, generator=rng)
    return {"U": U, "V": V, "C": torch.randn(L, d, generator=rng), "H": torch.randn(L, d, generator=rng)}


def _sums(U, V, C, H, axis=1):
    """With both L x L matrices, as it must not be computed."""
    return ((array(U) @ array(V).T) * (array(C) @ array(H).T)).sum(axis)


ROW_SUMS_WITHOUT_MATRIX = Exercise(
    lesson=13,
    name="row_sums_without_matrix",
    difficulty=4,
    minutes=15,
    case=_sums_case,
    oracle=_sums,
    mistakes=(
        Mistake(
            "sums columns instead of rows",
            "r_i belongs to query i: sum over the keys j.",
            lambda *args: _sums(*args, axis=0),
        ),
        Mistake(
            "multiplies the two row sums",
            "The sum of products is not the product of sums: the same j stands in both factors.",
            lambda U, V, C, H: (array(U) @ array(V).T).sum(1) * (array(C) @ array(H).T).sum(1),
        ),
        Mistake(
            "forgets C",
            "r = rowsum(C * (f H)): multiply f H by C entry by entry before summing.",
            lambda U, V, C, H: (array(U) @ (array(V).T @ array(H))).sum(1),
        ),
    ),
)

EXERCISES = (ADAPTED_WEIGHT, ADAPTER_GRADIENTS, ROW_PRODUCTS, ROW_SUMS_WITHOUT_MATRIX)
