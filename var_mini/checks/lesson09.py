"""Exercises of lesson 9, edit an image."""

from __future__ import annotations

import numpy as np
import torch

from . import pieces
from .exercise import Exercise, Mistake
from .picture import token_maps

# -- masks_per_scale ---------------------------------------------------------------------------------------------------

# Windows have an odd number of places or a power of two, so that "half" is met exactly or not at all.
PYRAMIDS = ((1, 2, 4), (1, 2, 3, 5, 7), (1, 2, 4, 8), (1, 3, 7), (2, 4, 8))


def _mask_case(rng, number):
    patch_nums = PYRAMIDS[number]
    side = patch_nums[-1]
    if number == 0:  # exactly half of everything: the right columns
        mask = torch.zeros(side, side, dtype=torch.bool)
        mask[:, side // 2 :] = True
    else:
        mask = torch.rand(side, side, generator=rng) < 0.4
        top, left = torch.randint(side // 2, (2,), generator=rng).tolist()
        mask[top : top + side // 2, left : left + side // 2] = True  # a patch as well as crumbs
    return {"mask": mask, "patch_nums": patch_nums}


def _masks(mask, patch_nums, rule=lambda inside, places: 2 * inside >= places):
    grid, result = mask.numpy(), []
    for side in patch_nums:
        windows = pieces.area_windows(len(grid), side)
        cells = [grid[a:b, c:d] for a, b in windows for c, d in windows]
        result.append(np.array([rule(int(cell.sum()), cell.size) for cell in cells]))
    return result


def _draw_masks(figure, args, got, expected):
    image = token_maps(figure, args["patch_nums"], expected, got, most=1)
    figure.colorbar(image, ax=figure.axes, ticks=[0, 1], label="1: drawn anew")


MASKS_FOR_SCALES = Exercise(
    lesson=9,
    name="masks_for_scales",
    difficulty=2,
    minutes=12,
    case=_mask_case,
    oracle=_masks,
    mistakes=(
        Mistake(
            "redraws every token that the mask touches",
            "A coarse token that is mostly outside would change the picture far from the mask: at least half must be covered.",
            lambda *args: _masks(*args, rule=lambda inside, places: inside > 0),
        ),
        Mistake(
            "redraws only tokens that lie wholly inside",
            "Half is enough; else the coarse tokens never change, and the old picture stays.",
            lambda *args: _masks(*args, rule=lambda inside, places: inside == places),
        ),
        Mistake(
            "keeps a token that is covered exactly half",
            '"At least half" includes half: >=.',
            lambda *args: _masks(*args, rule=lambda inside, places: 2 * inside > places),
        ),
        Mistake(
            "looks at one place per cell",
            "The share of the whole cell counts: average the mask over it.",
            lambda mask, patch_nums: [pieces.picked(mask.numpy(), side).reshape(-1) for side in patch_nums],
        ),
        Mistake(
            "marks the tokens that are kept",
            "True means: drawn anew.",
            lambda *args: [~part for part in _masks(*args)],
        ),
    ),
    draw=_draw_masks,
)

# -- spliced_step ------------------------------------------------------------------------------------------------------


def _splice_case(rng, number):
    batch, channels, side, size = 1 + number % 3, 2 + number % 2, (1, 2, 2, 3, 5)[number], (4, 4, 5, 6, 7)[number]
    n, codes = side * side, 12
    inside = torch.rand(n, generator=rng) < 0.5
    if n > 1:
        inside[0], inside[-1] = True, False
    drawn = torch.randint(codes, (batch, n), generator=rng)
    return {
        "f_hat": torch.randn(batch, channels, size, size, generator=rng),
        "drawn": drawn,
        "original": (drawn[0] + 1 + torch.randint(codes - 1, (n,), generator=rng)) % codes,
        "inside": inside,
        "codebook": torch.randn(codes, channels, generator=rng),
    }


def _enlarged(ids, codebook, size):
    side = round(ids.shape[-1] ** 0.5)
    codes = pieces.array(codebook)[ids]  # (B, n, C)
    return pieces.bicubic(codes.transpose(0, 2, 1).reshape(len(ids), -1, side, side), size)


def _spliced(f_hat, drawn, original, inside, codebook, choose=lambda inside, drawn, original: (inside, drawn, original), old=1.0):
    ids = np.where(*choose(inside.numpy()[None], drawn.numpy(), original.numpy()[None]))
    return ids, old * pieces.array(f_hat) + _enlarged(ids, codebook, f_hat.shape[-1])


def _only_ids(f_hat, drawn, original, inside, codebook):
    """The ids are spliced, but f_hat takes what was drawn."""
    ids, _ = _spliced(f_hat, drawn, original, inside, codebook)
    return ids, pieces.array(f_hat) + _enlarged(drawn.numpy(), codebook, f_hat.shape[-1])


SPLICED_STEP = Exercise(
    lesson=9,
    name="spliced_step",
    difficulty=3,
    minutes=15,
    case=_splice_case,
    oracle=_spliced,
    mistakes=(
        Mistake(
            "swaps inside and outside",
            "Inside the mask the drawn token counts, outside the token of the original.",
            lambda *args: _spliced(*args, choose=lambda inside, drawn, original: (inside, original + 0 * drawn, drawn)),
        ),
        Mistake(
            "splices the ids but adds the drawn ones to f_hat",
            "f_hat is what the next scale sees: it must be made of the spliced ids, or the picture outside is lost.",
            _only_ids,
        ),
        Mistake(
            "ignores the original",
            "Outside the mask the tokens are given: torch.where(inside, drawn, original).",
            lambda *args: _spliced(*args, choose=lambda inside, drawn, original: (True, drawn, original)),
        ),
        Mistake(
            "keeps the original everywhere",
            "Inside the mask the drawn token counts.",
            lambda *args: _spliced(*args, choose=lambda inside, drawn, original: (False, drawn, original)),
        ),
        Mistake(
            "returns only what this scale adds",
            "The new f_hat is the old one plus the enlarged codes.",
            lambda *args: _spliced(*args, old=0.0),
        ),
    ),
)

EXERCISES = (MASKS_FOR_SCALES, SPLICED_STEP)
