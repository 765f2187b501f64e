"""Exact attention and the degree-2 kernel against float64 loops; the cache as a state."""

import math

import numpy as np
import pytest
import torch

from var_mini.attention import masked, new_state
from var_mini.attention.landmark import solved_by_head
from var_mini.pyramid import ScalePyramid

PYRAMID = ScalePyramid((1, 2, 3))
KERNELS = {"exact": math.exp, "poly": lambda t: 1 + t + t * t / 2}


@pytest.fixture
def qkv():
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, PYRAMID.tokens, 8, generator=generator)
    return torch.nn.functional.normalize(q, dim=-1), torch.nn.functional.normalize(k, dim=-1), v


SCALE = torch.tensor([0.5, 1.0, 2.0, 4.0])


@pytest.mark.parametrize("name", KERNELS)
def test_masked_attention_equals_a_loop(qkv, name):
    q, k, v = qkv
    out = masked(name, q, k, v, SCALE, PYRAMID.block_causal_mask())
    level = PYRAMID.levels().tolist()
    for b, h, i in [(0, 0, 0), (0, 3, 4), (1, 1, 5), (1, 2, 13)]:
        total, weighted = 0.0, np.zeros(8)
        for j in range(PYRAMID.tokens):
            if level[j] <= level[i]:
                weight = KERNELS[name](SCALE[h].item() * float(q[b, h, i].double() @ k[b, h, j].double()))
                total, weighted = total + weight, weighted + weight * v[b, h, j].double().numpy()
        np.testing.assert_allclose(out[b, h, i].numpy(), weighted / total, atol=1e-5)


def test_the_cache_equals_the_masked_pass(qkv):
    q, k, v = qkv
    out = masked("exact", q, k, v, SCALE, PYRAMID.block_causal_mask())
    state = new_state("exact", 2, SCALE, 8, PYRAMID.tokens)
    for where in PYRAMID.slices:
        state.extend(k[:, :, where], v[:, :, where])
        torch.testing.assert_close(state.attend(q[:, :, where]), out[:, :, where], atol=1e-6, rtol=0)
        torch.testing.assert_close(state.weights(q[:, :, where]) @ v[:, :, : where.stop], out[:, :, where], atol=1e-6, rtol=0)
        assert state.state_bytes == 2 * 2 * 4 * where.stop * 8 * 4  # keys and values, batch, heads, tokens, dim, float32


def test_a_full_cache_says_so(qkv):
    _, k, v = qkv
    state = new_state("exact", 2, SCALE, 8, 4)
    with pytest.raises(ValueError, match="4 of 4 places are left"):
        state.extend(k, v)


def test_unknown_back_end_is_named():
    with pytest.raises(ValueError, match="attention = 'fast': must be one of auto, budget, exact, landmark, local, poly, pool"):
        new_state("fast", 1, SCALE, 8, 4)


def test_the_solve_of_a_gpu_equals_one_solve_a_matrix():
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64)
    gram = root @ root.mT + torch.eye(5)
    state = torch.randn(3, 2, 5, 4, generator=generator, dtype=torch.float64)
    found = solved_by_head(state, torch.linalg.cholesky(gram))
    for b, h in np.ndindex(3, 2):
        assert np.allclose(found[b, h], np.linalg.solve(gram[h].numpy(), state[b, h].numpy()))


def test_a_masked_pass_without_its_coefficients_is_refused():
    q, k, v = torch.ones(3, 1, 4, 4, 8)
    for given in (None, torch.ones(4, 5), torch.ones(3, 3)):
        with pytest.raises(ValueError, match=r"coefficients have shape .*: must be \(4, 3\)"):
            masked("poly-2-calibrated", q, k, v, SCALE, torch.ones(4, 4, dtype=torch.bool), given)


def softmax_attention(q, k, v):
    """In one piece, with gradients to all."""
    return ((q * SCALE.double().view(1, -1, 1, 1)) @ k.transpose(-1, -2)).softmax(-1) @ v


def test_a_cache_takes_keys_with_and_without_gradients_in_any_order():
    """Output and gradients of one softmax over all keys; a cleared cache is as good as a new one."""
    q, k, v = torch.randn(3, 1, 4, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = (slice(0, 2), slice(2, 6), slice(6, 9))
    state = new_state("exact", 1, SCALE.double(), 8, 9)
    for tracked in ([True, False, False], [False, True, False], [True, False, True], [False] * 3, [True] * 3, [False] * 3):
        leaf = k.clone().requires_grad_()
        state.clear()
        for part, wanted in zip(parts, tracked):
            with torch.set_grad_enabled(wanted):
                state.extend(leaf[:, :, part], v[:, :, part])
        assert state.length == 9 and state.state_bytes == 2 * 4 * 9 * 8 * 8
        out = state.attend(q)
        whole = k.clone().requires_grad_()
        expected = softmax_attention(q, torch.cat([whole[:, :, p] if t else k[:, :, p] for p, t in zip(parts, tracked)], 2), v)
        torch.testing.assert_close(out.detach(), expected.detach())
        assert out.requires_grad == any(tracked)
        if any(tracked):
            out.square().sum().backward()
            expected.square().sum().backward()
            torch.testing.assert_close(leaf.grad, whole.grad)


def test_clearing_a_cache_does_not_touch_what_a_gradient_still_needs():
    q, k, v = torch.randn(3, 1, 4, 4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state, leaf = new_state("exact", 1, SCALE.double(), 8, 4), v.clone().requires_grad_()
    state.extend(k, leaf)  # fills it
    loss = state.attend(q).square().sum()
    state.clear()
    with torch.no_grad():
        state.extend(torch.zeros_like(k), torch.zeros_like(v))
    loss.backward()
    whole = v.clone().requires_grad_()
    softmax_attention(q, k, whole).square().sum().backward()
    torch.testing.assert_close(leaf.grad, whole.grad)


def test_pooling_keeps_no_keys_in_reserve():
    state = new_state("pool-2", 1, SCALE, 8, 25, reserve=True)
    state.extend(*torch.ones(2, 1, 4, 25, 8))
    assert state.reserve_bytes == 0 and state.rank == 9  # a side of 5 in cells of 2
