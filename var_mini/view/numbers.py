"""Numbers as people read them."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """A value for people: three digits that count, without an exponent from 0.0001 up to a billion."""
    if not math.isfinite(value):
        return "\u221e" if value > 0 else "-\u221e" if value < 0 else "\u2013"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        text = f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
        return text.replace(".0e", "e")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
