"""Exercises of lesson 4, what an image costs."""

from __future__ import annotations

import numpy as np
import torch

from . import pieces
from .exercise import WHOLE, Exercise, Mistake

# -- raster_pairs ------------------------------------------------------------------------------------------------------


def _raster_case(rng, number):
    side = 2 if number == 0 else 2 + number + pieces.whole(rng, 0, 2)
    return {"side": side, "cached": number % 2 == 0}


def _steps(tokens, cached, itself=True, anew=True, causal=True):
    """Pairs, query by query; `anew` computes the earlier queries again where there is no cache."""
    total = 0
    for step in range(1, tokens + 1):
        for query in [step] if cached or not anew else range(1, step + 1):
            total += (query if causal else step) - (0 if itself else 1)
    return total


RASTER_PAIRS = Exercise(
    lesson=4,
    name="raster_pairs",
    difficulty=2,
    minutes=10,
    case=_raster_case,
    oracle=lambda side, cached: _steps(side**2, cached),
    mistakes=(
        Mistake(
            "counts N^2 pairs with a cache and N^3 without, for N tokens",
            "That is their order. But the sequence grows: step t has t tokens, not yet N. Add up the steps.",
            lambda side, cached: side**4 if cached else side**6,
        ),
        Mistake(
            "takes the side for the number of tokens",
            "A map of side n has n * n tokens, and raster order takes one step for each.",
            _steps,
        ),
        Mistake(
            "counts only the newest token's pairs where there is no cache",
            "Without a cache nothing of the earlier steps is left: step t computes the attention of all its t tokens again.",
            lambda side, cached: _steps(side**2, cached, anew=False),
        ),
        Mistake(
            "does not let a token see itself",
            "The token of step t meets t keys: those before it and its own.",
            lambda side, cached: _steps(side**2, cached, itself=False),
        ),
        Mistake(
            "counts t * t pairs for a step without a cache",
            "Attention is causal: the i-th of the t tokens meets i keys, so the step has t (t + 1) / 2 pairs.",
            lambda side, cached: _steps(side**2, cached, causal=False),
        ),
    ),
    **WHOLE,
)

# -- var_pairs ---------------------------------------------------------------------------------------------------------


def _pyramid_case(rng, number):
    return {"patch_nums": pieces.sides(rng, number, scales=3 + number, step=3), "cached": number % 2 == 0}


def _scales(patch_nums, cached, power=2, keys=None, late=False):
    """Pairs of every scale's step; `keys(begin, end, total)` is how many keys its queries meet, by default end.

    late   the scale's own tokens are counted after its step
    """
    counts = [side**power for side in patch_nums]
    total = 0
    for k, count in enumerate(counts):
        begin, end = sum(counts[:k]), sum(counts[: k + (not late)])
        total += (count if cached else end) * (keys(begin, end, sum(counts)) if keys else end)
    return total


def _token_by_token(patch_nums, cached):
    """What a language model over the same sequence would take."""
    return _steps(sum(side**2 for side in patch_nums), True) if cached else _scales(patch_nums, cached)


VAR_PAIRS = Exercise(
    lesson=4,
    name="var_pairs",
    difficulty=2,
    minutes=10,
    case=_pyramid_case,
    oracle=_scales,
    mistakes=(
        Mistake(
            "leaves out the keys of the scale's own tokens",
            "All tokens of a scale see each other: a scale's queries meet the keys of all coarser scales and of their own.",
            lambda patch_nums, cached: _scales(patch_nums, cached, keys=lambda begin, end, total: begin),
        ),
        Mistake(
            "adds to `end` after using it",
            "A scale's queries meet the keys of their own scale, too: add its tokens first, then count the pairs.",
            lambda patch_nums, cached: _scales(patch_nums, cached, late=True),
        ),
        Mistake(
            "hides later tokens of the same scale, as a language model does",
            "A whole scale is drawn in one step, and each of its tokens meets all of its keys.",
            _token_by_token,
        ),
        Mistake(
            "lets every scale meet all keys of the finished picture",
            "Finer scales do not exist yet when a scale is drawn: count the keys up to the end of this scale.",
            lambda patch_nums, cached: _scales(patch_nums, cached, keys=lambda begin, end, total: total),
        ),
        Mistake(
            "lets a scale meet its own keys only",
            "The coarser scales are what the prediction looks at: their keys count, too.",
            lambda patch_nums, cached: _scales(patch_nums, cached, keys=lambda begin, end, total: end - begin),
        ),
        Mistake(
            "counts a scale of side s as s tokens",
            "A map of side s has s * s tokens.",
            lambda patch_nums, cached: _scales(patch_nums, cached, power=1),
        ),
        Mistake(
            "counts the same with and without a cache",
            "Without a cache the queries of all coarser scales are computed again: a scale that ends at token e has e * e pairs.",
            lambda patch_nums, cached: _scales(patch_nums, True),
        ),
    ),
    **WHOLE,
)

# -- fit_exponent ------------------------------------------------------------------------------------------------------


def _times_case(rng, number):
    sides = [4, 8, 12, 16, 24, 32][: 4 + number % 3]
    exponent = 1.5 + 4 * float(torch.rand(1, generator=rng))
    noise = (0.15 if number else 0.0) * torch.randn(len(sides), generator=rng, dtype=torch.float64)
    seconds = [1e-4 * side**exponent * float(factor) for side, factor in zip(sides, noise.exp())]
    return {"sides": sides, "seconds": seconds}


def _slope(x, y):
    """Least squares with an intercept, from the normal equations."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def _exponent(sides, seconds):
    return _slope(np.log(sides), np.log(seconds))


def _draw_fit(figure, args, got, expected):
    axis = figure.subplots()
    x, y = np.asarray(args["sides"], float), np.asarray(args["seconds"], float)
    axis.loglog(x, y, "o", color="black", label="measured")
    for name, slope, style in (("expected", expected, "-"), ("yours", float(got), "--")):
        axis.loglog(x, np.exp(np.log(y).mean() + slope * (np.log(x) - np.log(x).mean())), style, label=f"{name}: {slope:.2f}")
    axis.set_xlabel("side", fontsize=9)
    axis.set_ylabel("seconds", fontsize=9)
    axis.legend(fontsize=8)


FIT_EXPONENT = Exercise(
    lesson=4,
    name="fit_exponent",
    difficulty=2,
    minutes=10,
    case=_times_case,
    oracle=_exponent,
    mistakes=(
        Mistake(
            "fits a line to the numbers themselves",
            "A power law is a straight line only between the logarithms: log seconds = e log side + constant.",
            _slope,
        ),
        Mistake(
            "takes the logarithm of the seconds only",
            "Both logarithms are needed; with one, the line would be an exponential, not a power.",
            lambda sides, seconds: _slope(sides, np.log(seconds)),
        ),
        Mistake(
            "exchanges the two axes",
            "e says how the time follows from the side: log seconds is fitted as a function of log side.",
            lambda sides, seconds: _exponent(seconds, sides),
        ),
        Mistake(
            "forces the line through the origin",
            "The constant c of c * side^e is unknown, so the line needs an intercept.",
            lambda sides, seconds: float((np.log(sides) * np.log(seconds)).sum() / (np.log(sides) ** 2).sum()),
        ),
        Mistake(
            "uses the first and the last point only",
            "Least squares lets every measurement count, so that one slow moment does not decide.",
            lambda sides, seconds: float(np.log(seconds[-1] / seconds[0]) / np.log(sides[-1] / sides[0])),
        ),
    ),
    draw=_draw_fit,
    rtol=1e-3,
)

# -- cache_bytes -------------------------------------------------------------------------------------------------------


def _cache_case(rng, number):
    sides = ((1, 2, 3), (1, 2, 4), (1, 3, 5), (1, 2, 3, 5, 7), (2, 4, 8))[number]
    layers, heads, head_dim = (pieces.whole(rng, 2, 8) for _ in range(3))
    return {"patch_nums": sides, "layers": layers, "heads": heads, "head_dim": head_dim, "guided": number % 2 == 1}


def _cache_bytes(patch_nums, layers, heads, head_dim, guided, kinds=2, power=2, twice=True, each=4):
    tokens = sum(side**power for side in patch_nums)
    numbers = sum(heads * head_dim for _ in range(layers) for _ in range(tokens) for _ in range(kinds))
    return each * numbers * (2 if guided and twice else 1)


CACHE_BYTES = Exercise(
    lesson=4,
    name="cache_bytes",
    difficulty=1,
    minutes=5,
    case=_cache_case,
    oracle=_cache_bytes,
    mistakes=(
        Mistake(
            "keeps the keys but not the values",
            "Later scales need both: the keys for the weights, the values to be averaged with them.",
            lambda *args: _cache_bytes(*args, kinds=1),
        ),
        Mistake(
            "keeps the last scale only",
            "The cache holds the tokens of all scales.",
            lambda patch_nums, *rest: _cache_bytes(patch_nums[-1:], *rest),
        ),
        Mistake(
            "forgets that guidance draws with two caches",
            "Every scale is predicted twice, with and without the class, and each prediction has its own keys and values.",
            lambda *args: _cache_bytes(*args, twice=False),
        ),
        Mistake(
            "counts numbers instead of bytes",
            "A float32 number takes four bytes.",
            lambda *args: _cache_bytes(*args, each=1),
        ),
        Mistake(
            "keeps one layer only",
            "Every layer has its own keys and values.",
            lambda patch_nums, layers, *rest: _cache_bytes(patch_nums, 1, *rest),
        ),
    ),
    **WHOLE,
)

EXERCISES = (RASTER_PAIRS, VAR_PAIRS, FIT_EXPONENT, CACHE_BYTES)
