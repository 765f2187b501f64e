"""Wrong solutions of lesson 9, as students write them, and what the checks say about them; oracles against the library."""

import pytest
import torch
import torch.nn.functional as F

from tests.checks.students import told
from var_mini.analysis.editing import masks_per_scale
from var_mini.checks import find
from var_mini.checks.judging import expected_of


def _covered(mask, side):
    return F.adaptive_avg_pool2d(mask.float()[None, None], side)[0, 0].flatten()


def masks_of_any_touch(mask, patch_nums):
    return [_covered(mask, side) > 0 for side in patch_nums]


def masks_of_more_than_half(mask, patch_nums):
    return [_covered(mask, side) > 0.5 for side in patch_nums]


def masks_as_shares(mask, patch_nums):
    return [_covered(mask, side) for side in patch_nums]


def masks_of_one_place(mask, patch_nums):
    return [F.interpolate(mask.float()[None, None], (s, s), mode="nearest").bool().flatten() for s in patch_nums]


def _add(f_hat, ids, codebook):
    side = round(ids.shape[1] ** 0.5)
    return f_hat + F.interpolate(F.embedding(ids, codebook).mT.unflatten(2, (side, side)), f_hat.shape[2:], mode="bicubic")


def splice_swapped(f_hat, drawn, original, inside, codebook):
    ids = torch.where(inside, original, drawn)
    return ids, _add(f_hat, ids, codebook)


def splice_too_late(f_hat, drawn, original, inside, codebook):
    return torch.where(inside, drawn, original), _add(f_hat, drawn, codebook)


def splice_in_place(f_hat, drawn, original, inside, codebook):
    drawn[:, ~inside] = original[~inside]
    return drawn, _add(f_hat, drawn, codebook)


def splice_never(f_hat, drawn, original, inside, codebook):
    return drawn, _add(f_hat, drawn, codebook)


WRONG = [
    ("masks_for_scales", masks_of_any_touch, "redraws every token that the mask touches"),
    ("masks_for_scales", masks_of_more_than_half, "keeps a token that is covered exactly half"),
    ("masks_for_scales", masks_as_shares, "holds floating point"),
    ("masks_for_scales", masks_of_one_place, "looks at one place per cell"),
    ("spliced_step", splice_swapped, "swaps inside and outside"),
    ("spliced_step", splice_too_late, "splices the ids but adds the drawn ones to f_hat"),
    ("spliced_step", splice_in_place, "changed its argument drawn in place"),
    ("spliced_step", splice_never, "ignores the original"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    for seed in range(4):
        for args in find("masks_for_scales").inputs(seed):
            for ours, theirs in zip(
                expected_of(find("masks_for_scales"), args), masks_per_scale(args["mask"], args["patch_nums"])
            ):
                assert torch.equal(torch.as_tensor(ours), theirs)
