"""The masked pass and the loop of generation compute the same; other masks do not."""

from __future__ import annotations

import pytest
import torch

from var_mini.analysis.equivalence import mask_against_loop


@pytest.fixture
def ids(tiny):
    return torch.cat([step.token_ids[0] for step in tiny.trace(1, 5).steps])


@pytest.mark.parametrize("attention", ["exact", "poly-2"])
def test_mask_and_loop_agree_to_rounding_and_other_masks_do_not(tiny, ids, attention):
    found = mask_against_loop(tiny, ids, 1, attention)
    assert [scale.side for scale in found] == [1, 2, 3]
    for scale in found:
        assert scale.loop < 1e-4 * scale.largest_logit
    # without a mask coarse scales see finer ones; the finest sees the same either way, but its coarse keys have changed
    assert min(scale.unmasked for scale in found) > 0.01
    assert found[0].triangular < 1e-4 * found[0].largest_logit  # one token: both masks are the same there
    assert min(scale.triangular for scale in found[1:]) > 0.01


def test_a_mask_of_ones_lets_coarse_scales_see_finer_ones(tiny, ids):
    """What `unmasked` reports is that leak: it vanishes with VAR's own mask, where finer tokens cannot change coarser logits."""
    t, pyramid = tiny.transformer, tiny.config.pyramid
    other = ids.clone()
    other[pyramid.slices[1]] = (other[pyramid.slices[1]] + 1) % 24  # changes the input of the finest scale
    ones = torch.ones(pyramid.tokens, pyramid.tokens, dtype=torch.bool)
    coarse = slice(0, pyramid.slices[1].stop)

    def change(mask):
        pair = [t(torch.tensor([1]), tiny.tokenizer.quantize.inputs_from_ids(x[None]), "exact", mask) for x in (ids, other)]
        return (pair[0] - pair[1])[0, coarse].abs().max().item()

    with torch.inference_mode():
        assert change(None) == 0 and change(pyramid.block_causal_mask()) == 0 and change(ones) > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": "pool-2"}, "has no masked pass"),
        ({"attention": "fast"}, "attention = 'fast'"),
        ({"label": 9}, "label = 9"),
        ({"label": True}, "label = True"),
        ({"ids": torch.zeros(13, dtype=torch.int64)}, r"ids have shape \(13,\)"),
        ({"ids": torch.full((14,), 24)}, "codes from 0 to 23"),
    ],
)
def test_bad_values_are_refused(tiny, ids, change, message):
    with pytest.raises(ValueError, match=message):
        mask_against_loop(tiny, **{"ids": ids, "label": 1, "attention": "exact"} | change)
