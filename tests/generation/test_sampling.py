"""Sampling against brute force, and refusal of every setting out of range."""

import math

import numpy as np
import pytest
import torch

from var_mini.generation import Sampling
from var_mini.generation.sampling import draw, exponential, filter_logits, guide, noise_generators


def kept_by_formula(row, top_k, top_p):
    """Which codes survive, by the definitions, one code at a time."""
    keep = set(range(len(row)))
    if 0 < top_k < len(row):
        kth = sorted(row, reverse=True)[top_k - 1]
        keep = {i for i in keep if row[i] >= kth}
    if top_p < 1:
        total = sum(math.exp(row[i]) for i in keep)
        mass = 0.0
        ascending = sorted(keep, key=lambda i: row[i])
        for i in ascending[:-1]:
            mass += math.exp(row[i]) / total
            if mass <= 1 - top_p:
                keep.discard(i)
    return keep


@pytest.mark.parametrize("top_k", [0, 1, 3, 11, 12, 500])
@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9, 1.0])
def test_filter_equals_the_definition(top_k, top_p):
    logits = torch.randn(5, 12, generator=torch.Generator().manual_seed(top_k)).double() * 2
    filtered = filter_logits(logits, top_k, top_p)
    for row, out in zip(logits.tolist(), filtered, strict=True):
        kept = kept_by_formula(row, top_k, top_p)
        assert set(torch.isfinite(out).nonzero().flatten().tolist()) == kept
        assert all(out[i] == row[i] for i in kept)


def test_ties_at_the_kth_value_stay():
    assert torch.isfinite(filter_logits(torch.tensor([[1.0, 2.0, 2.0, 0.0]]), top_k=1)).sum() == 2


def test_guidance_formula():
    a, b = torch.randn(2, 3, 4)
    np.testing.assert_allclose(guide(a, b, 1.5).numpy(), 2.5 * a.numpy() - 1.5 * b.numpy(), atol=1e-5)


def test_draw_follows_the_distribution():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    logits = p.log().expand(1, 40_000, 5)
    counts = torch.bincount(draw(logits, noise_generators([3])).flatten(), minlength=5).double()
    expected = p.double() * 40_000
    chi_squared = ((counts - expected)[:4].square() / expected[:4]).sum()
    assert counts[4] == 0
    assert chi_squared < 16.3  # 3 degrees of freedom, 99.9 %


def test_noise_belongs_to_the_seed():
    logits = torch.randn(1, 6, 50).expand(3, 6, 50)
    ids = draw(logits, noise_generators([5, 6, 5]))
    assert torch.equal(ids[0], ids[2]) and not torch.equal(ids[0], ids[1])


@pytest.mark.parametrize("seed", [0, 1, 123_456_789, 2**32 - 1])
def test_noise_is_what_torch_draws_from_a_seed_bit_for_bit(seed):
    generators, other = noise_generators([seed]), torch.Generator().manual_seed(seed)
    for shape in ((1, 4096), (5, 24), (144, 4096)):  # the second and third go on where the one before ended
        assert torch.equal(exponential(generators, *shape)[0], torch.empty(shape).exponential_(generator=other))


def mersenne_words(seed, count):
    """Words of mt19937 by the recurrence of its authors (Matsumoto and Nishimura 1998), seeded as in C++11."""
    x = [seed]
    for i in range(1, 624):
        x.append((1812433253 * (x[-1] ^ x[-1] >> 30) + i) % 2**32)
    for k in range(count):
        y = (x[k] & 0x80000000) | (x[k + 1] & 0x7FFFFFFF)
        x.append(x[k + 397] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0))
        y = x[-1]
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        yield y ^ y >> 18


def test_noise_is_the_written_formula():
    words = list(mersenne_words(7, 2 * 3 * 400))
    uniform = [((high % 2**21) * 2**32 + low) / 2**53 for high, low in zip(words[::2], words[1::2], strict=True)]
    expected = np.array([-math.log1p(-u) for u in uniform], np.float32)
    np.testing.assert_array_equal(exponential(noise_generators([7]), 3, 400).flatten().numpy(), expected)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("guidance", [-0.1, 101, math.nan, math.inf, "1", None]),
        ("temperature", [0, 1e-9, -1, 11, math.nan, math.inf]),
        ("top_k", [-1, 1.5, math.nan, "3", 2**40]),
        ("top_p", [-0.1, 1.1, math.nan]),
    ],
)
def test_bad_setting_is_named(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name} = .*must be"):
            Sampling(**{name: value})
