"""Pairs of the sparse back ends: counted one by one, and in the state that computes them."""

from itertools import product

import pytest
import torch

from var_mini.attention import new_state
from var_mini.cost.complexity import attention_flops, one_shot_flops, pairs
from var_mini.pyramid import ScalePyramid

PYRAMID = ScalePyramid((1, 2, 3, 5, 7))


@pytest.mark.parametrize(("neighbours", "reach"), [(1, 0), (9, 1), (25, 2), (81, 4)])
def test_pairs_of_a_neighbourhood_are_those_within_reach(neighbours, reach):
    wanted = 0
    for side in PYRAMID.patch_nums:
        cells = list(product(range(side), repeat=2))
        wanted += sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= reach for a in cells for b in cells)
    assert pairs(PYRAMID, f"local-{neighbours}") == wanted
    assert attention_flops(PYRAMID, f"local-{neighbours}", 8) == 4 * 8 * wanted


@pytest.mark.parametrize("budget", [4, 16, 50, 4096])
def test_pairs_of_a_budget_are_those_that_the_state_meets(budget):
    """Counted at a state that runs: keys before and after each choice."""
    state = new_state(f"budget-{budget}", 1, torch.ones(1), 4, PYRAMID.tokens)
    x = torch.randn(1, 1, PYRAMID.tokens, 4, generator=torch.Generator().manual_seed(0))
    met = 0
    for where in PYRAMID.slices:
        part = x[:, :, where]
        state.extend(part, part)
        before = state.rank
        state.attend(part)
        met += part.shape[2] * state.rank + (min(4, part.shape[2]) * before if state.rank < before else 0)
    assert pairs(PYRAMID, f"budget-{budget}") == met
    if budget == 4096:
        assert met == PYRAMID.attention_pairs()


def test_a_sparse_back_end_has_no_case_of_all_tokens_at_once():
    with pytest.raises(ValueError, match="method = 'local-9': has no case of all tokens at once"):
        one_shot_flops(64, "local-9", 8)
