"""Exercises of lesson 6, when may it be fast?"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement, product

import torch

from .exercise import WHOLE, Exercise, Mistake
from .pieces import whole

# -- degree_for_bound --------------------------------------------------------------------------------------------------


def _bound_case(rng, number):
    bound = (1.0, 2.0, 4.0, 6.0, 8.0)[number] * (1 + 0.2 * float(torch.rand(1, generator=rng)))
    return {"bound": bound, "error": 10 ** (-1.6 - 1.2 * float(torch.rand(1, generator=rng)))}


def _left_out(bound, degree):
    """What Taylor's polynomial of that degree leaves out at t = bound: itself, and as a share of e^bound."""
    terms = [1.0]
    for j in range(1, 80):
        terms.append(terms[-1] * bound / j)
    missing = math.fsum(terms[degree + 1 :])
    return missing, missing / math.fsum(terms)


def _least(satisfied):
    return next(degree for degree in range(79) if satisfied(degree))


def _degree(bound, error):
    return _least(lambda g: _left_out(bound, g)[1] <= error)


def _draw_degree(figure, args, got, expected):
    degrees = range(max(expected, int(got), 3) + 3)
    axis = figure.subplots()
    axis.semilogy(degrees, [_left_out(args["bound"], g)[1] for g in degrees], "o-", color="#0072b2", label="what is left out")
    axis.axhline(args["error"], color="0.4", linestyle="--", label="allowed")
    axis.axvline(expected, color="black", linewidth=0.8, label=f"expected: {expected}")
    axis.axvline(int(got), color="#d55e00", linestyle=":", label=f"yours: {got}")
    axis.set_xlabel("degree", fontsize=9)
    axis.legend(fontsize=8)


DEGREE_FOR_BOUND = Exercise(
    lesson=6,
    name="degree_for_bound",
    difficulty=3,
    minutes=15,
    case=_bound_case,
    oracle=_degree,
    mistakes=(
        Mistake(
            "asks for an absolute error",
            "The error is measured against the largest value, e^B: allow error * exp(bound).",
            lambda bound, error: _least(lambda g: _left_out(bound, g)[0] <= error),
        ),
        Mistake(
            "looks at the first left-out term alone",
            "All later terms are missing, too; for small degrees they are even larger than the first one.",
            lambda bound, error: _least(lambda g: bound ** (g + 1) / math.factorial(g + 1) <= error * math.exp(bound)),
        ),
        Mistake(
            "returns the number of terms instead of the degree",
            "A polynomial of degree g has g + 1 terms, for it begins with the constant.",
            lambda bound, error: _degree(bound, error) + 1,
        ),
        Mistake(
            "stops one degree too early",
            "The polynomial of the degree that is returned must itself reach the error.",
            lambda bound, error: _degree(bound, error) - 1,
        ),
        Mistake(
            "measures the error against the least value, e^-B",
            "Here the error is relative to the largest value: allow error * exp(bound).",
            lambda bound, error: _least(lambda g: _left_out(bound, g)[0] <= error * math.exp(-bound)),
        ),
    ),
    draw=_draw_degree,
    **WHOLE,
)

# -- count_monomials ---------------------------------------------------------------------------------------------------


def _monomials_case(rng, number):
    if number == 0:
        return {"head_dim": 2, "degree": 2}
    return {"head_dim": whole(rng, 2, 5), "degree": whole(rng, 2, 4)}


def _count(head_dim, degree):
    """All of them, one by one: a monomial of degree up to g is a choice of g factors among 1, x_1, ..., x_d."""
    return len(set(combinations_with_replacement(range(head_dim + 1), degree)))


COUNT_MONOMIALS = Exercise(
    lesson=6,
    name="count_monomials",
    difficulty=2,
    minutes=10,
    case=_monomials_case,
    oracle=_count,
    mistakes=(
        Mistake(
            "counts x1 x2 and x2 x1 as two",
            "They are one monomial, and one feature is enough for both.",
            lambda head_dim, degree: sum(len(list(product(range(head_dim), repeat=j))) for j in range(degree + 1)),
        ),
        Mistake(
            "counts the monomials of exactly this degree",
            "The polynomial has all lower degrees, too: every degree from 0 to g counts.",
            lambda head_dim, degree: len(list(combinations_with_replacement(range(head_dim), degree))),
        ),
        Mistake(
            "forgets the constant",
            "The monomial of degree 0 is 1, and it is a feature like the others.",
            lambda head_dim, degree: _count(head_dim, degree) - 1,
        ),
        Mistake(
            "gives the upper bound C(2 (d + g), 2 g) of the papers",
            "That is enough for a proof; the sharp count is far smaller.",
            lambda head_dim, degree: math.comb(2 * (head_dim + degree), 2 * degree),
        ),
        Mistake(
            "takes d to the power g",
            "That counts ordered products of exactly g factors.",
            lambda head_dim, degree: head_dim**degree,
        ),
    ),
    reference=lambda head_dim, degree: math.comb(head_dim + degree, degree),  # the oracle lists them all
    **WHOLE,
)

# -- rank_exponent -----------------------------------------------------------------------------------------------------


def _exponent_case(rng, number):
    return {"tokens": 2 ** whole(rng, 7, 24), "head_dim": whole(rng, 6, 16), "degree": whole(rng, 2, 7)}


def _rank(head_dim, degree):
    """Pascal's rule instead of a binomial: monomials with and without the last variable."""
    if head_dim == 0 or degree == 0:
        return 1
    return _rank(head_dim - 1, degree) + _rank(head_dim, degree - 1)


RANK_EXPONENT = Exercise(
    lesson=6,
    name="rank_exponent",
    difficulty=1,
    minutes=5,
    case=_exponent_case,
    oracle=lambda tokens, d, g: math.log2(_rank(d, g)) / math.log2(tokens),
    mistakes=(
        Mistake(
            "gives the ratio of rank and tokens",
            "Wanted is the exponent: rank = tokens^e, so e = log(rank) / log(tokens).",
            lambda tokens, d, g: _rank(d, g) / tokens,
        ),
        Mistake(
            "takes the logarithm of the ratio",
            "log(a / b) is a difference; the exponent is the quotient of two logarithms.",
            lambda tokens, d, g: math.log(_rank(d, g) / tokens),
        ),
        Mistake(
            "uses two different bases",
            "The base does not matter, but it must be the same for both logarithms.",
            lambda tokens, d, g: math.log(_rank(d, g)) / math.log2(tokens),
        ),
        Mistake(
            "turns the fraction around",
            "rank = tokens^e: the logarithm of the rank is divided by that of the tokens.",
            lambda tokens, d, g: math.log(tokens) / math.log(_rank(d, g)),
        ),
    ),
    reference=lambda tokens, d, g: math.log(math.comb(d + g, g)) / math.log(tokens),
)

# -- break_even_tokens -------------------------------------------------------------------------------------------------


def _even_case(rng, number):
    if number == 0:
        return {"head_dim": 4, "features": 15}
    head_dim = whole(rng, 4, 9)
    return {"head_dim": head_dim, "features": head_dim * whole(rng, 3, 6) + (0 if number == 1 else whole(rng, 1, head_dim - 1))}


def _state_flops(tokens, head_dim, features, columns=1, passes=2):
    return passes * tokens * 2 * features * (head_dim + columns)


def _first(head_dim, features, **changed):
    return next(n for n in range(1, 10_000) if _state_flops(n, head_dim, features, **changed) < 4 * head_dim * n * n)


BREAK_EVEN_TOKENS = Exercise(
    lesson=6,
    name="break_even_tokens",
    difficulty=2,
    minutes=10,
    case=_even_case,
    oracle=_first,
    mistakes=(
        Mistake(
            "forgets the column of the denominators",
            "The state has d + 1 columns.",
            lambda d, r: _first(d, r, columns=0),
        ),
        Mistake(
            "counts reading the state but not building it",
            "Each token is added to the state as a key once and reads it as a query once: two products.",
            lambda d, r: _first(d, r, passes=1),
        ),
        Mistake(
            "rounds r (d + 1) / d up, and gives that number itself where it is whole",
            "There both take the same. N must be *larger*: floor(...) + 1.",
            lambda d, r: -(-r * (d + 1) // d),
        ),
        Mistake(
            "gives the last number of tokens at which the state is not yet cheaper",
            "Wanted is the first number at which it is.",
            lambda d, r: _first(d, r) - 1,
        ),
    ),
    **WHOLE,
)

EXERCISES = (DEGREE_FOR_BOUND, COUNT_MONOMIALS, RANK_EXPONENT, BREAK_EVEN_TOKENS)
