"""Geometry against brute force and the counts published for VAR."""

import numpy as np
import pytest
import torch

from var_mini.config import PATCH_NUMS_256, PATCH_NUMS_512
from var_mini.pyramid import ScalePyramid

PATCH_NUMS_1024 = (1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64)


@pytest.mark.parametrize(
    ("patch_nums", "tokens", "cached", "uncached"),
    [(PATCH_NUMS_256, 680, 286_434, 743_654), (PATCH_NUMS_512, 2240, 3.27e6, 7.03e6), (PATCH_NUMS_1024, 9451, 57.0e6, 131.9e6)],
)
def test_published_counts(patch_nums, tokens, cached, uncached):
    pyramid = ScalePyramid(patch_nums)
    assert pyramid.tokens == tokens
    assert pyramid.attention_pairs() == pytest.approx(cached, rel=2e-3)
    assert pyramid.attention_pairs(cached=False) == pytest.approx(uncached, rel=2e-3)


@pytest.mark.parametrize("patch_nums", [(1,), (4,), (1, 2), (2, 3, 5), (1, 2, 3, 5, 7)])
def test_against_brute_force(patch_nums):
    pyramid = ScalePyramid(patch_nums)
    level = [k for k, side in enumerate(patch_nums) for _ in range(side * side)]
    assert pyramid.levels().tolist() == level
    mask = np.array([[level[j] <= level[i] for j in range(len(level))] for i in range(len(level))])
    assert np.array_equal(pyramid.block_causal_mask().numpy(), mask)
    assert pyramid.attention_pairs() == mask.sum()
    prefixes = [sum(1 for other in level if other <= k) for k in range(len(patch_nums))]
    assert pyramid.attention_pairs(cached=False) == sum(n * n for n in prefixes)
    sequence = torch.arange(len(level))[None]
    assert [part[0].tolist() for part in pyramid.split(sequence)] == [
        [i for i, at in enumerate(level) if at == k] for k in range(len(patch_nums))
    ]
    assert [sequence[0, s].tolist() for s in pyramid.slices] == [part[0].tolist() for part in pyramid.split(sequence)]


def test_progress_runs_from_zero_to_one_and_survives_one_scale():
    assert [ScalePyramid((1, 2, 3)).progress(k) for k in range(3)] == [0, 0.5, 1]
    assert ScalePyramid((5,)).progress(0) == 0


@pytest.mark.parametrize(
    "bad", [(), (2, 1), (1, 1), (0, 1), (1, 2.5), (1, 10**9), ("1", "2"), None, 3, tuple(range(1, 99)), (1, True)]
)
def test_bad_patch_nums_are_named(bad):
    with pytest.raises(ValueError, match="patch_nums"):
        ScalePyramid(bad)


def test_split_names_a_wrong_length():
    with pytest.raises(ValueError, match=r"sequence has 4 tokens: must be 5, or \[1\] for its coarsest scales"):
        ScalePyramid((1, 2)).split(torch.zeros(1, 4))


def test_the_coarsest_scales_alone_are_split_as_in_the_whole():
    pyramid, sequence = ScalePyramid((1, 2, 3)), torch.arange(14)[None]
    assert [part.tolist() for part in pyramid.split(sequence[:, :5])] == [[[0]], [[1, 2, 3, 4]]]
    assert [pyramid.scales_in(tokens) for tokens in (1, 5, 14)] == [1, 2, 3]
