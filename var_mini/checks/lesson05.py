"""Exercises of lesson 5, low-rank attention: features, state, degrees; lesson05_fewer_keys.py has the rest."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from . import pieces
from .exercise import Exercise, Mistake
from .values import as_expected, difference

# -- monomial_features -------------------------------------------------------------------------------------------------


def _vectors_case(rng, number):
    n, d = 3 + number, 2 + number
    x = F.normalize(torch.randn(n, d, generator=rng), dim=-1)
    return {"x": x, "scale": 0.5 + 3 * float(torch.rand(1, generator=rng))}


def _monomials(x, scale, cross=2**0.5, half=0.5**0.5, power=0.5, orders=False):
    """psi of degree 2, vector by vector: 1, then sqrt(s) x_i, then the products of two."""
    rows = []
    for vector in pieces.array(x):
        y, d = scale**power * vector, len(vector)
        first = [half * y[i] * y[i] if i == j else half * cross * y[i] * y[j] for i in range(d) for j in range(i, d)]
        both = [half * y[i] * y[j] for i in range(d) for j in range(d)]
        rows.append([1.0, *y, *(both if orders else first)])
    return np.array(rows)


def _judge_features(args, got):
    """Features in any order will do, and with any sign: what counts is their number and every product psi(x_i) . psi(x_j)."""
    expected = as_expected(_monomials(**args))
    fault = difference(expected, got, 1e-4, 1e-5)
    comparable = isinstance(got, torch.Tensor) and got.shape == expected.shape and got.device == expected.device
    if fault is None or not comparable or not got.is_floating_point():
        return fault
    products, wanted = (x @ x.T for x in (got.detach().to_dense().double(), expected))
    right = torch.isclose(products, wanted, rtol=1e-4, atol=1e-5)
    if bool(right.all()):
        return None
    i, j = torch.nonzero(~right)[0].tolist()
    return f"psi(x_{i}) . psi(x_{j}) is {products[i, j]:.5g}, must be 1 + t + t^2 / 2 = {wanted[i, j]:.5g}; {fault}"


def _draw_products(figure, args, got, expected):
    pictures = {"expected": expected @ expected.T, "yours": got.double() @ got.double().T}
    for axis, (title, values) in zip(figure.subplots(1, 2), pictures.items()):
        image = axis.imshow(values.numpy(), cmap="cividis", vmin=0, vmax=pictures["expected"].max().item())
        axis.set_title(f"psi(x_i) . psi(x_j), {title}", fontsize=9)
        axis.set_xlabel("j", fontsize=8)
        axis.set_ylabel("i", fontsize=8)
    figure.colorbar(image, ax=figure.axes)


MONOMIAL_FEATURES = Exercise(
    lesson=5,
    name="monomial_features",
    difficulty=3,
    minutes=20,
    case=_vectors_case,
    oracle=_monomials,
    judge=_judge_features,
    draw=_draw_products,
    mistakes=(
        Mistake(
            "gives x_i x_j the same weight as x_i x_i",
            "In (q . k)^2 the product of i and j stands twice, as i j and as j i: its feature carries another sqrt(2).",
            lambda x, scale: _monomials(x, scale, cross=1.0),
        ),
        Mistake(
            "keeps x_i x_j and x_j x_i as two features",
            "They are the same number: keep one, times sqrt(2), and there are d (d + 1) / 2 products instead of d^2.",
            lambda x, scale: _monomials(x, scale, orders=True),
        ),
        Mistake(
            "gives x_i x_j the factor 2 instead of sqrt(2)",
            "psi appears on both sides, in psi(q) and in psi(k): each brings the root of the weight.",
            lambda x, scale: _monomials(x, scale, cross=2.0),
        ),
        Mistake(
            "multiplies x by s instead of the root of s",
            "psi(q) and psi(k) share the scale: each takes sqrt(s), so that their product has s.",
            lambda x, scale: _monomials(x, scale, power=1.0),
        ),
        Mistake("leaves out the scale", "The logit is t = s (q . k).", lambda x, scale: _monomials(x, scale, power=0.0)),
        Mistake(
            "forgets the 1/2 of t^2 / 2",
            "The second-degree term of exp is t^2 / 2, so its features carry sqrt(1/2).",
            lambda x, scale: _monomials(x, scale, half=1.0),
        ),
    ),
)

# -- update_state ------------------------------------------------------------------------------------------------------


def _update_case(rng, number):
    heads, n, r, d = 1 + number % 3, 1 + 2 * number, 3 + number, 2 + number
    state = torch.randn(heads, r, d + 1, generator=rng)
    psi = torch.randn(heads, n, r, generator=rng)
    return {"state": state, "psi": psi, "v": torch.randn(heads, n, d, generator=rng)}


def _updated(state, psi, v, old=1.0, ones=True, front=False, mean=False):
    state, psi, v = map(pieces.array, (state, psi, v))
    new = old * state
    for h in range(len(psi)):
        for feature, value in zip(psi[h], v[h]):
            column = [1.0] if ones else [0.0]
            row = np.concatenate([column, value] if front else [value, column])
            new[h] = new[h] + np.outer(feature, row) / (psi.shape[1] if mean else 1)
    return new


UPDATE_STATE = Exercise(
    lesson=5,
    name="update_state",
    difficulty=2,
    minutes=10,
    case=_update_case,
    oracle=_updated,
    mistakes=(
        Mistake(
            "throws away what the state held before",
            "The coarser scales are in it: add to the state, do not replace it.",
            lambda *args: _updated(*args, old=0.0),
        ),
        Mistake(
            "adds nothing to the last column",
            "The 1 behind each value makes the last column the sum of the features, from which the denominator comes.",
            lambda *args: _updated(*args, ones=False),
        ),
        Mistake(
            "puts the 1 in front of the value",
            "The state's last column belongs to the 1: append it to v.",
            lambda *args: _updated(*args, front=True),
        ),
        Mistake(
            "divides by the number of new keys",
            "The state is a sum, not a mean: scales have different numbers of tokens, and each token counts the same.",
            lambda *args: _updated(*args, mean=True),
        ),
    ),
)

# -- read_state --------------------------------------------------------------------------------------------------------


def _read_case(rng, number):
    heads, n, r, d = 1 + number % 3, 2 + number, 4 + number, 3 + number
    psi = 0.2 + torch.rand(heads, n, r, generator=rng)
    state = torch.randn(heads, r, d + 1, generator=rng)
    state[..., -1] = 0.5 + torch.rand(heads, r, generator=rng)  # sums of positive weights
    return {"state": state, "psi": psi}


def _read(state, psi, divide=None):
    state, psi = map(pieces.array, (state, psi))
    out = np.stack([p @ s for p, s in zip(psi, state)])  # (H, n, d + 1)
    return out[..., :-1] / (out[..., -1:] if divide is None else divide(out, state, psi))


READ_STATE = Exercise(
    lesson=5,
    name="read_state",
    difficulty=2,
    minutes=10,
    case=_read_case,
    oracle=_read,
    mistakes=(
        Mistake(
            "does not divide",
            "The weights of a query must sum to 1: divide by their sum, which is psi(q) times the last column.",
            lambda state, psi: _read(state, psi, lambda out, state, psi: 1.0),
        ),
        Mistake(
            "divides by the sum of the query's features",
            "What must sum to 1 are the weights of all keys: psi(q) times the state's last column.",
            lambda state, psi: _read(state, psi, lambda out, state, psi: psi.sum(-1, keepdims=True)),
        ),
        Mistake(
            "takes a softmax of the features",
            "Low-rank attention has no softmax: psi(q) . psi(k) is already the weight. Divide by the sum of the weights.",
            lambda state, psi: _read(state, psi.softmax(-1), lambda out, state, psi: 1.0),
        ),
        Mistake(
            "takes a softmax of the sums",
            "Softmax would take the exponential once more. Only the division by the sum of the weights is left: the last column.",
            lambda state, psi: pieces.softmax(_read(state, psi, lambda out, state, psi: 1.0)),
        ),
        Mistake(
            "divides all queries of a head by one number",
            "Every query has its own weights, and so its own denominator.",
            lambda state, psi: _read(state, psi, lambda out, state, psi: out[..., -1:].sum(1, keepdims=True)),
        ),
        Mistake(
            "divides by the first column",
            "The 1 was appended, so the sum of weights stands in the last column.",
            lambda state, psi: _read(state, psi, lambda out, state, psi: out[..., :1]),
        ),
        Mistake(
            "returns the column of the denominators, too",
            "The output has the d columns of the values: leave the last one out.",
            lambda state, psi: (lambda out: out / out[..., -1:])(pieces.array(psi) @ pieces.array(state)),
        ),
    ),
)

# -- weights_of_degree -------------------------------------------------------------------------------------------------


def _logits_case(rng, number):
    n, keys, degree = 3 + number, 6 + 3 * number, (1, 2, 3, 3, 5)[number]
    t = 4 * (2 * torch.rand(n, keys, generator=rng) - 1)
    t[0] = -4 + 2 * torch.rand(keys, generator=rng)  # one query that is far from all keys
    return {"t": t, "degree": degree}


def _weights(t, degree, factorial=math.factorial):
    return sum(pieces.array(t) ** j / factorial(j) for j in range(degree + 1))


def _summary(weights, negative=None, axis=1):
    sums = weights.sum(axis)
    return float((weights < 0).mean() if negative is None else negative(weights)), float(sums.min())


def _draw_weights(figure, args, got, expected):
    t = np.linspace(-4, 4, 200)
    axis = figure.subplots()
    axis.plot(t, np.exp(t), color="black", label="exp")
    axis.plot(t, _weights(torch.from_numpy(t), args["degree"]), color="#d55e00", label=f"degree {args['degree']}")
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set_ylim(-8, 20)
    told = [
        f"{name}: {100 * share:.0f} % negative, least sum {least:.2f}"
        for name, (share, least) in (("expected", expected), ("yours", got))
    ]
    axis.set_title("; ".join(told), fontsize=9)
    axis.legend(fontsize=8)


WEIGHTS_OF_DEGREE = Exercise(
    lesson=5,
    name="weights_of_degree",
    difficulty=2,
    minutes=10,
    case=_logits_case,
    oracle=lambda t, degree: _summary(_weights(t, degree)),
    mistakes=(
        Mistake(
            "leaves out the factorials",
            "Taylor's polynomial of exp is 1 + t + t^2 / 2! + t^3 / 3! + ...",
            lambda t, degree: _summary(_weights(t, degree, lambda j: 1)),
        ),
        Mistake(
            "stops one power too early",
            "Degree g includes t^g: range(degree + 1).",
            lambda t, degree: _summary(_weights(t, degree - 1)),
        ),
        Mistake(
            "sums over the queries instead of the keys",
            "A query's denominator is the sum of its weights over all keys, dimension 1.",
            lambda t, degree: _summary(_weights(t, degree), axis=0),
        ),
        Mistake(
            "counts the negative weights instead of taking their share",
            "Divide by the number of weights.",
            lambda t, degree: _summary(_weights(t, degree), lambda weights: (weights < 0).sum()),
        ),
        Mistake(
            "takes the least weight for the least denominator",
            "A denominator is the sum of a whole row.",
            lambda t, degree: (_summary(_weights(t, degree))[0], float(_weights(t, degree).min())),
        ),
    ),
    draw=_draw_weights,
    rtol=1e-3,
)

EXERCISES = (MONOMIAL_FEATURES, UPDATE_STATE, READ_STATE, WEIGHTS_OF_DEGREE)
