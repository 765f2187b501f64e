"""Wrong solutions of lesson 2, as students write them, and what the checks say about them; oracles against the library."""

import pytest
import torch
import torch.nn.functional as F

from tests.checks.students import told
from var_mini.attention import new_state
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of
from var_mini.pyramid import ScalePyramid
from var_mini.tokenizer.quantizer import MultiScaleQuantizer


def modulate_without_one(x, scale, shift):
    return F.layer_norm(x, (x.shape[-1],), eps=1e-6) * scale.unsqueeze(1) + shift.unsqueeze(1)


def modulate_unbiased(x, scale, shift):
    x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True))
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


def modulate_over_tokens(x, scale, shift):
    x = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return x * (1 + scale)[:, None] + shift[:, None]


def mask_triangle(patch_nums):
    return torch.ones(sum(s * s for s in patch_nums), sum(s * s for s in patch_nums), dtype=torch.bool).tril()


def mask_strict(patch_nums):
    level = torch.cat([torch.full((s * s,), k) for k, s in enumerate(patch_nums)])
    return level.view(-1, 1) > level


def mask_transposed(patch_nums):
    level = torch.cat([torch.full((s * s,), k) for k, s in enumerate(patch_nums)])
    return level.view(-1, 1) <= level


def mask_of_floats(patch_nums):
    level = torch.cat([torch.full((s * s,), k) for k, s in enumerate(patch_nums)])
    return torch.where(level.view(-1, 1) >= level, 0.0, -torch.inf)


def cache_not_extended(keys, values, k, v, q, scale):
    out = torch.softmax(scale[:, None, None] * q @ keys.mT, -1) @ values
    return out, torch.cat([keys, k], 1), torch.cat([values, v], 1)


def cache_causal(keys, values, k, v, q, scale):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    n, total = q.shape[1], keys.shape[1]
    allowed = torch.ones(n, total, dtype=torch.bool).tril(total - n)
    return F.scaled_dot_product_attention(q * scale[:, None, None], keys, values, allowed, scale=1.0), keys, values


def cache_without_scale(keys, values, k, v, q, scale):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    return F.scaled_dot_product_attention(q, keys, values, scale=1.0), keys, values


def cache_by_default_scale(keys, values, k, v, q, scale):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    return F.scaled_dot_product_attention(q, keys, values), keys, values


def cache_with_both_scales(keys, values, k, v, q, scale):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    return F.scaled_dot_product_attention(q * scale[:, None, None], keys, values), keys, values


def cache_out_only(keys, values, k, v, q, scale):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    return F.scaled_dot_product_attention(q * scale[:, None, None], keys, values, scale=1.0)


def forcing_shifted(f_hats, patch_nums):
    parts = [F.adaptive_avg_pool2d(f, s).flatten(2).mT for f, s in zip(f_hats[1:], patch_nums[1:])]
    return torch.cat(parts, 1)


def forcing_reshaped(f_hats, patch_nums):
    parts = [F.adaptive_avg_pool2d(f, s).reshape(len(f), s * s, -1) for f, s in zip(f_hats, patch_nums[1:])]
    return torch.cat(parts, 1)


def forcing_with_first_scale(f_hats, patch_nums):
    return torch.cat([F.adaptive_avg_pool2d(f, s).flatten(2).mT for f, s in zip(f_hats, patch_nums)], 1)


WRONG = [
    ("modulate", modulate_without_one, "multiplies by scale instead of 1 + scale"),
    ("modulate", modulate_unbiased, "divides by C - 1"),
    ("modulate", modulate_over_tokens, "over the tokens instead of the channels"),
    ("block_causal_mask", mask_triangle, "mask of a language model"),
    ("block_causal_mask", mask_strict, "hides the token's own scale"),
    ("block_causal_mask", mask_transposed, "swaps queries and keys"),
    ("block_causal_mask", mask_of_floats, "must hold bool"),
    ("extend_and_attend", cache_not_extended, "before the new keys are in it"),
    ("extend_and_attend", cache_causal, "hides later tokens of the same scale"),
    ("extend_and_attend", cache_without_scale, "leaves out the scale"),
    ("extend_and_attend", cache_by_default_scale, "divides by the root of d instead of taking the scale"),
    ("extend_and_attend", cache_with_both_scales, "divides by the root of d as well as taking the scale"),
    ("extend_and_attend", cache_out_only, "must be a tuple of 3"),
    ("teacher_forcing_input", forcing_shifted, "f_hat that already contains it"),
    ("teacher_forcing_input", forcing_reshaped, "instead of swapping the dimensions"),
    ("teacher_forcing_input", forcing_with_first_scale, "pairs every f_hat with its own side"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library(tiny):
    for args in find("block_causal_mask").inputs(8):
        mask = expected_of(find("block_causal_mask"), args)
        assert torch.equal(mask, ScalePyramid(args["patch_nums"]).block_causal_mask())
    quantizer: MultiScaleQuantizer = tiny.tokenizer.quantize
    f_hats = [torch.randn(2, 4, 3, 3) for _ in range(3)]
    ours = use("teacher_forcing_input")(f_hats, (1, 2, 3))
    assert torch.allclose(ours, quantizer.teacher_forcing_input(f_hats), atol=1e-6)
    keys = values = torch.empty(2, 0, 4)
    scale, state = torch.tensor([1.0, 3.0]), new_state("exact", 1, torch.tensor([1.0, 3.0]), 4, 9)
    for n in (1, 4):
        q, k, v = torch.randn(3, 2, n, 4)
        out, keys, values = use("extend_and_attend")(keys, values, k, v, q, scale)
        state.extend(k[None], v[None])
        assert torch.allclose(out, state.attend(q[None])[0], atol=1e-5)
