"""Exercises of lesson 14, three at once, series and loops."""

from __future__ import annotations

import math

import numpy as np
import torch

from .exercise import WHOLE, Exercise, Mistake
from .pieces import array, softmax, whole

# -- pair_attention ----------------------------------------------------------------------------------------------------


def _pair_case(rng, number):
    n, d = 3 + number, whole(rng, 2, 4)
    return {name: torch.randn(n, d, generator=rng) for name in ("q", "k1", "k2", "v1", "v2")}


def _pair(q, k1, k2, v1, v2, values=np.multiply, scale=None):
    """One query and one pair of keys after the other."""
    q, k1, k2, v1, v2 = (array(x) for x in (q, k1, k2, v1, v2))
    n, d = q.shape
    pairs = [(j, k) for j in range(n) for k in range(n)]
    rows = []
    for i in range(n):
        t = np.array([sum(q[i, a] * k1[j, a] * k2[k, a] for a in range(d)) for j, k in pairs]) / (scale or d)
        rows.append(softmax(t) @ np.array([values(v1[j], v2[k]) for j, k in pairs]))
    return np.array(rows)


def _separate(q, k1, k2, v1, v2):
    q, k1, k2, v1, v2 = (array(x) for x in (q, k1, k2, v1, v2))
    return (softmax(q @ k1.T / q.shape[1]) @ v1) * (softmax(q @ k2.T / q.shape[1]) @ v2)


def _over_one_key(q, k1, k2, v1, v2):
    """For every j a softmax over k alone."""
    q, k1, k2, v1, v2 = (array(x) for x in (q, k1, k2, v1, v2))
    return sum(v * (softmax(q * k @ k2.T / q.shape[1]) @ v2) for k, v in zip(k1, v1))


PAIR_ATTENTION = Exercise(
    lesson=14,
    name="pair_attention",
    difficulty=3,
    minutes=15,
    case=_pair_case,
    oracle=_pair,
    mistakes=(
        Mistake(
            "attends to the two sets of keys separately",
            "The softmax runs over all pairs (j, k) together: n^2 weights for each query.",
            _separate,
        ),
        Mistake(
            "adds the two values",
            "The value of a pair is the product v1_j * v2_k, entry by entry.",
            lambda *args: _pair(*args, values=np.add),
        ),
        Mistake(
            "leaves out the 1/d",
            "The logit of a pair is divided by d.",
            lambda *args: _pair(*args, scale=1),
        ),
        Mistake(
            "divides by the root of d",
            "Here the logit of a pair is divided by d itself.",
            lambda q, *others: _pair(q, *others, scale=math.sqrt(q.shape[1])),
        ),
        Mistake(
            "takes a softmax over the second keys for each first key",
            "All n^2 weights of one query add up to 1: flatten the pairs before the softmax.",
            _over_one_key,
        ),
    ),
)

# -- match3 ------------------------------------------------------------------------------------------------------------


def _match_case(rng, number):
    modulus = (7, 11, 13, 17, 23)[number]
    return {"x": torch.randint(0, modulus, (4 + number,), generator=rng), "modulus": modulus}


def _match(x, modulus, fits=lambda i, j, k, total, modulus: total % modulus == 0):
    numbers = x.tolist()
    places = range(len(numbers))
    return torch.tensor(
        [any(fits(i, j, k, numbers[i] + numbers[j] + numbers[k], modulus) for j in places for k in places) for i in places]
    )


MATCH3 = Exercise(
    lesson=14,
    name="match3",
    difficulty=2,
    minutes=8,
    case=_match_case,
    oracle=_match,
    mistakes=(
        Mistake(
            "asks for a sum of exactly 0",
            "The sum is taken modulo M: M and 2 M count as well.",
            lambda x, modulus: _match(x, modulus, lambda i, j, k, total, m: total == 0),
        ),
        Mistake(
            "asks for a sum of exactly M",
            "The sum is taken modulo M: 0 and 2 M count as well.",
            lambda x, modulus: _match(x, modulus, lambda i, j, k, total, m: total == m),
        ),
        Mistake(
            "takes two different places for j and k",
            "j and k may be the same place.",
            lambda x, modulus: _match(x, modulus, lambda i, j, k, total, m: total % m == 0 and j != k),
        ),
        Mistake(
            "asks for three different places",
            "j and k may be any places, also i itself and each other.",
            lambda x, modulus: _match(x, modulus, lambda i, j, k, t, m: t % m == 0 and len({i, j, k}) == 3),
        ),
        Mistake(
            "adds two numbers only",
            "Three numbers: x_i + x_j + x_k.",
            lambda x, modulus: torch.tensor([any((a + b) % modulus == 0 for b in x.tolist()) for a in x.tolist()]),
        ),
    ),
    **WHOLE,
)

# -- hull_bounds -------------------------------------------------------------------------------------------------------


def _hull_case(rng, number):
    value = (1.0, -1.0, 0.5, -0.7, 1.6)[number]
    return {"windows": torch.randn(4 + number, 5, generator=rng), "value": value}


def _hull(windows, value):
    """Averages lie between the least and the largest value; times a negative number the two change places."""
    rows = []
    for row in array(windows).tolist():
        ends = [value * x for x in row]
        rows.append([min(ends), max(ends)])
    return np.array(rows)


HULL_BOUNDS = Exercise(
    lesson=14,
    name="hull_bounds",
    difficulty=2,
    minutes=8,
    case=_hull_case,
    oracle=_hull,
    mistakes=(
        Mistake(
            "forgets that a negative value turns the ends around",
            "Times a negative number the largest value gives the least forecast.",
            lambda windows, value: value * np.stack([array(windows).min(1), array(windows).max(1)], 1),
        ),
        Mistake(
            "leaves out the value weight",
            "The head gives v times an average.",
            lambda windows, value: np.stack([array(windows).min(1), array(windows).max(1)], 1),
        ),
        Mistake(
            "looks at the ends of the window instead of its extremes",
            "Weights can go to any place of the window, not only to its first and last.",
            lambda windows, value: np.sort(value * array(windows)[:, [0, -1]], 1),
        ),
    ),
)

# -- step_radius -------------------------------------------------------------------------------------------------------


def _radius_case(rng, number):
    a = 1.3 + 0.5 * float(torch.rand(1, generator=rng))
    return {"a": a}


def _radius(a):
    """Of p(x) = a x - (a - 1) x^3, which has p(1) = 1: the largest p(x) - x on [0, 1], on a fine grid and then by thirds."""
    low, high = 0.0, 1.0
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if _gain(a, left) < _gain(a, right) else (low, right)
    return _gain(a, (low + high) / 2)


def _gain(a, x):
    return a * x - (a - 1) * x**3 - x


STEP_RADIUS = Exercise(
    lesson=14,
    name="step_radius",
    difficulty=3,
    minutes=12,
    case=_radius_case,
    oracle=_radius,
    mistakes=(
        Mistake(
            "gives the place instead of the value",
            "The place is 1 / sqrt 3; wanted is how far p(x) lies above x there.",
            lambda a: 1 / math.sqrt(3),
        ),
        Mistake(
            "gives the largest p(x)",
            "What counts is how much a step gains: p(x) - x.",
            lambda a: max(_gain(a, i / 10_000) + i / 10_000 for i in range(10_001)),
        ),
        Mistake(
            "takes the cubic of the lesson whatever a is",
            "1 / (3 sqrt 3) belongs to a = 1.5; for other a the factor a - 1 stands in place of 1/2.",
            lambda a: 1 / (3 * math.sqrt(3)),
        ),
    ),
    reference=lambda a: (a - 1) * 2 / (3 * math.sqrt(3)),
)

EXERCISES = (PAIR_ATTENTION, MATCH3, HULL_BOUNDS, STEP_RADIUS)
