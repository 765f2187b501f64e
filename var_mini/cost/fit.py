"""Fitted exponents: how fast a measured time grows with the side of the token map."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEAST = 4  # sides from which on the exponent of a few repeated measurements can be told
WIDEST = 1.0  # of its interval: n^2 and n^3 apart


def fit_exponent(sides: Sequence[float], seconds: Sequence[float]) -> dict:
    """The e of seconds ~ side^e by least squares on logarithms: `exponent`, and `low` and `high` of its 95 % interval.

    The interval is Student's, from the scatter around the line. Raises ValueError unless there are at least three pairs of
    positive numbers with different sides.
    """
    x, y = np.asarray(sides, float), np.asarray(seconds, float)
    if x.shape != y.shape or len(x) < 3 or len(set(x.tolist())) < 3:
        raise ValueError(f"sides has {len(x)} and seconds {len(y)} values: must be at least 3 different sides, and as many times")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise ValueError("sides and seconds must be positive finite numbers")
    slope, _, _, _, error = np.asarray(stats.linregress(np.log(x), np.log(y)))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 2) * error
    return {"exponent": float(slope), "low": float(slope - half), "high": float(slope + half)}


def fit_upper(sides: Sequence[float], seconds: Sequence[float], least: int = 3) -> dict:
    """`fit_exponent` over the upper half of the sides, but at least `least`, and `sides`, those that it used.

    Small sides are overhead, not growth. Raises ValueError as `fit_exponent` does.
    """
    pairs = sorted(zip(sides, seconds, strict=True))
    upper = pairs[min(len(pairs) // 2, max(len(pairs) - least, 0)) :]
    x, y = [side for side, _ in upper], [time for _, time in upper]
    return {"sides": x, **fit_exponent(x, y)}


def fit_repeated(sides: Sequence[float], rounds: Sequence[Sequence[float]]) -> dict:
    """`fit_upper` of the medians of times that were measured again and again: rounds[i] are the seconds of sides[i].

    A few noisy points may happen to lie on a line, so the interval also takes in the exponents of single rounds (the first of
    every side, the second, ...). `determined` says whether it is at most WIDEST wide. Sides measured only once do not count;
    with fewer than LEAST others nothing is fitted, and there is no exponent.
    """
    repeated = sorted((side, list(times)) for side, times in zip(sides, rounds, strict=True) if len(times) > 1)
    if len(repeated) < LEAST:
        return {"sides": [side for side, _ in repeated], "determined": False}
    fit = fit_upper([side for side, _ in repeated], [statistics.median(times) for _, times in repeated], LEAST)
    used = [times for side, times in repeated if side in fit["sides"]]
    single = [fit_exponent(fit["sides"], once)["exponent"] for once in zip(*used)]
    low, high = min(fit["low"], *single), max(fit["high"], *single)
    return fit | {"low": low, "high": high, "determined": determined(low, high)}


def determined(low: float, high: float) -> bool:
    """Whether an exponent between these two says something."""
    return high - low <= WIDEST
