"""Fitted exponents: how fast a measured time grows with the side of the token map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


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


def fit_upper(sides: Sequence[float], seconds: Sequence[float]) -> dict:
    """`fit_exponent` over the upper half of the sides, but at least three, and `sides`, those that it used.

    Small sides are overhead, not growth. Raises ValueError as `fit_exponent` does.
    """
    pairs = sorted(zip(sides, seconds, strict=True))
    upper = pairs[min(len(pairs) // 2, max(len(pairs) - 3, 0)) :]
    x, y = [side for side, _ in upper], [time for _, time in upper]
    return {"sides": x, **fit_exponent(x, y)}
