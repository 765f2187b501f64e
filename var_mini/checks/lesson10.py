"""Exercises of lesson 10, official VAR."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .exercise import WHOLE, Exercise, Mistake
from .pieces import whole

COUNT = 4  # convolutions phi of the published tokenizer
TICKS = np.linspace(1 / 3 / COUNT, 1 - 1 / 3 / COUNT, COUNT)

# -- phi_of_scale ------------------------------------------------------------------------------------------------------


def _scales_case(rng, number):
    return {"num_scales": (13, 10, 7, 6, whole(rng, 8, 19))[number]}


def _apart(num_scales, ticks=TICKS, steps=None):
    """Per scale the distances of its place from the ticks."""
    return [[abs(float(tick) - k / (steps or num_scales - 1)) for tick in ticks] for k in range(num_scales)]


def _phi_of_scale(num_scales, ticks=TICKS, steps=None):
    return [apart.index(min(apart)) for apart in _apart(num_scales, ticks, steps)]


def _exactly(num_scales):
    ticks = [Fraction(1, 12) + Fraction(10, 12) * Fraction(i, 3) for i in range(COUNT)]
    return [min(range(COUNT), key=lambda i: (abs(ticks[i] - Fraction(k, num_scales - 1)), i)) for k in range(num_scales)]


def _draw_phi(figure, args, got, expected):
    axis = figure.subplots()
    K = args["num_scales"]
    for height, chosen in ((1, expected), (0, got)):
        for k, i in enumerate(chosen):
            axis.plot([k / (K - 1)], [height], "o", color=f"C{int(i)}")
            axis.text(k / (K - 1), height + 0.15, str(int(i)), ha="center", fontsize=8)
    for i, tick in enumerate(TICKS):
        axis.plot([tick], [2], "v", color=f"C{i}", ms=8)
    axis.set_yticks([0, 1, 2], ["yours", "expected", "ticks"], fontsize=9)
    axis.set_ylim(-0.4, 2.4)
    axis.set_xlabel("k / (K - 1)", fontsize=9)


PHI_OF_SCALE = Exercise(
    lesson=10,
    name="phi_of_scale",
    difficulty=2,
    minutes=10,
    case=_scales_case,
    oracle=_phi_of_scale,
    mistakes=(
        Mistake(
            "spreads the ticks from 0 to 1",
            "The published ticks lie inside: from 1/12 to 11/12.",
            lambda num_scales: _phi_of_scale(num_scales, ticks=np.linspace(0, 1, COUNT)),
        ),
        Mistake(
            "gives each convolution the same number of scales",
            "Nearest tick, not equal shares: of ten scales the four get 2, 3, 2 and 3, not 3, 2, 3 and 2.",
            lambda num_scales: [k * COUNT // num_scales for k in range(num_scales)],
        ),
        Mistake(
            "divides by K instead of K - 1",
            "The last scale stands at 1: k / (K - 1).",
            lambda num_scales: _phi_of_scale(num_scales, steps=num_scales),
        ),
        Mistake(
            "breaks ties by exact fractions",
            "For K = 10 two scales stand between two ticks, and float64 rounding decides: compute with numpy.",
            _exactly,
        ),
        Mistake(
            "gives the distance of every scale instead of the index of the nearest tick",
            "argmin, not min.",
            lambda num_scales: [min(apart) for apart in _apart(num_scales)],
        ),
    ),
    draw=_draw_phi,
)

# -- count_parameters --------------------------------------------------------------------------------------------------


def _depth_case(rng, number):
    return {"depth": (16, 20, 24, 30, whole(rng, 2, 14))[number]}


def _shapes(depth, C=None, classes=1001, key_bias=False, biases=True, blocks=None):
    """Every tensor of VAR-d for 256 x 256 pixels, as a list of shapes."""
    C = 64 * depth if C is None else C

    def linear(out, into):
        return [(out, into), (out,)] if biases else [(out, into)]

    block = [(1, depth, 1, 1), (C,), (C,), (3 * C, C), *linear(C, C), *linear(4 * C, C), *linear(C, 4 * C), *linear(6 * C, C)]
    block += [(C,)] if key_bias else []
    rest = [(1, 1, C), (1, 680, C), *linear(C, 32), (classes, C), (10, C), *linear(2 * C, C), *linear(4096, C)]
    return (depth if blocks is None else blocks) * block + rest


def _parameters(depth, **options):
    return sum(math.prod(shape) for shape in _shapes(depth, **options))


COUNT_PARAMETERS = Exercise(
    lesson=10,
    name="count_parameters",
    difficulty=3,
    minutes=20,
    case=_depth_case,
    oracle=_parameters,
    mistakes=(
        Mistake(
            "forgets the null class",
            "Guidance needs one class more than there are: 1001 rows.",
            lambda depth: _parameters(depth, classes=1000),
        ),
        Mistake(
            "counts a bias for the keys",
            "Queries and values have one, keys have not: the zeros in their place are a buffer, not a parameter.",
            lambda depth: _parameters(depth, key_bias=True),
        ),
        Mistake(
            "forgets the biases of the linear layers",
            "Every linear layer but mat_qkv has a bias, one number per output.",
            lambda depth: _parameters(depth, biases=False),
        ),
        Mistake(
            "takes the width of VAR-d16 for every depth",
            "The width is 64 times the depth.",
            lambda depth: _parameters(depth, C=1024),
        ),
        Mistake(
            "counts one block only",
            "There are `depth` blocks of the same shape.",
            lambda depth: _parameters(depth, blocks=1),
        ),
    ),
    **WHOLE,
)

EXERCISES = (COUNT_PARAMETERS, PHI_OF_SCALE)
