"""Argument checks with one wording: every message names the argument, its value and the allowed range."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real

MAX_NAMES = 10  # in one message


def shown(value: object) -> str:
    """`repr` of a value, cut to a length that fits in one line of an error message."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    return _cut(text)


def _cut(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def printable(text: str) -> str:
    """Text without what would break a line or steer a terminal: such letters as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def listed(names: Iterable[object], joined: str = ", ") -> str:
    """Names for a message: the first ten, then how many more there are."""
    names = [_cut(printable(str(name)), 240) for name in names]
    rest = f"{joined}and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return joined.join(names[:MAX_NAMES]) + rest


def integer(name: str, value: object, low: int, high: int) -> int:
    """Returns `value` as an int. Raises ValueError unless it is a whole number in [low, high]."""
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        whole = int(value)
        if not isinstance(value, bool) and low <= whole <= high:
            return whole
    raise ValueError(f"{name} = {shown(value)}: must be a whole number from {low} to {high}")


def number(name: str, value: object, low: float, high: float, low_open: bool = False) -> float:
    """Returns `value` as a float. Raises ValueError unless it is finite and in [low, high] (or (low, high])."""
    if isinstance(value, Real) and not isinstance(value, bool):
        inside = value <= high and not value < low  # false of NaN
        if inside and not (low_open and value == low):
            return float(value)
    left = "above" if low_open else "from"
    raise ValueError(f"{name} = {shown(value)}: must be a finite number {left} {low:g} to {high:g}")


def boolean(name: str, value: object) -> bool:
    """Returns `value`. Raises ValueError unless it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} = {shown(value)}: must be true or false")
    return value


def one_of(name: str, value: object, allowed) -> str:
    """Returns `value`. Raises ValueError unless it is one of the strings in `allowed`."""
    names = sorted(allowed)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} = {shown(value)}: must be one of {listed(names)}")
    return value
