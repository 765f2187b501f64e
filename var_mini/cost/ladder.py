"""Pyramids of any size: the published patch_nums where they exist, and a ladder like theirs elsewhere."""

from __future__ import annotations

from .. import validate
from ..config import PATCH_NUMS_256, PATCH_NUMS_512
from ..pyramid import ScalePyramid

PATCH_NUMS_1024 = (1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64)
PUBLISHED = {numbers[-1]: numbers for numbers in (PATCH_NUMS_256, PATCH_NUMS_512, PATCH_NUMS_1024)}
RATIO = 4 / 3  # of neighbouring sides of the 1024 px pyramid


def official_like(side: int) -> ScalePyramid:
    """A pyramid whose last map has `side` from 4 to 256 tokens per side.

    256, 512 and 1024 px VAR (sides 16, 32, 64) have published lists. Elsewhere each coarser side is the finer one divided by
    4/3 and rounded, at least one less, down to 1. For side 64 the rule alone gives 9,301 tokens, the published list 9,451.
    """
    side = validate.integer("side", side, 4, 256)
    return ScalePyramid(PUBLISHED.get(side) or geometric(side))


def geometric(side: int) -> tuple[int, ...]:
    """The rule alone, from coarse to fine."""
    sides = [side]
    while sides[-1] > 1:
        sides.append(max(min(round(sides[-1] / RATIO), sides[-1] - 1), 1))
    return tuple(reversed(sides))
