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
