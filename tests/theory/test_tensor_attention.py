"""Attention over pairs of keys against three loops; Match3 against a search."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from var_mini.theory import tensor_attention as t


def three_loops(q, k1, k2, v1, v2, weight=math.exp):
    """The definition, term by term."""
    n, d = q.shape
    out = np.zeros((n, d))
    for i in range(n):
        total = 0.0
        for j, k in product(range(n), repeat=2):
            w = weight(sum(float(q[i, a] * k1[j, a] * k2[k, a]) for a in range(d)) / d)
            out[i] += w * (v1[j] * v2[k]).numpy()
            total += w
        out[i] /= total
    return torch.from_numpy(out)


def test_kronecker_and_slices_equal_the_definition():
    given = t.random_inputs(6, 3, 1.5)
    wanted = three_loops(*given)
    torch.testing.assert_close(t.explicit(*given), wanted, atol=1e-14, rtol=0)
    torch.testing.assert_close(t.sliced(*given), wanted, atol=1e-14, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_features_are_the_definition_with_a_polynomial(degree):
    given = t.random_inputs(5, 3, 1.0, seed=degree)

    def polynomial(x):
        return sum(x**j / math.factorial(j) for j in range(degree + 1))

    torch.testing.assert_close(t.features(*given, degree=degree), three_loops(*given, polynomial), atol=1e-13, rtol=0)


def test_the_error_falls_with_the_degree_where_entries_are_small_and_hardly_where_they_are_large():
    for bound, low, high in ((1.0, 1e-6, 1e-3), (3.0, 0.3, 2)):
        given = t.random_inputs(24, 4, bound)
        wanted = t.explicit(*given)
        errors = [(t.features(*given, degree=g) - wanted).abs().max().item() for g in (2, 4, 6)]
        assert low / 10 < errors[2] / errors[0] < high, (bound, errors)


def test_match3_is_what_a_search_finds():
    x = np.random.default_rng(0).integers(0, 11, (20, 5))
    for row, said in zip(x, t.match3(x, 11)):
        for a, found in zip(row, said):
            assert found == any((a + b + c) % 11 == 0 for b, c in product(row, repeat=2))


def test_the_cosine_of_a_sum_is_four_products():
    a, b, c = np.random.default_rng(0).uniform(-3, 3, 3)
    q = np.array([np.cos(a), -np.cos(a), -np.sin(a), -np.sin(a)])
    k1, k2 = np.array([np.cos(b), np.sin(b)] * 2), np.array([np.cos(c), np.sin(c), np.sin(c), np.cos(c)])
    assert (q * k1 * k2).sum() == pytest.approx(np.cos(a + b + c))


@pytest.mark.parametrize(("n", "modulus"), [(8, 31), (12, 61)])
def test_the_construction_is_exact_at_its_sharpness_and_not_at_a_tenth_of_it(n, modulus):
    assert t.construction_accuracy(n, modulus, 1.0, trials=40)["accuracy"] == 1
    weak = t.construction_accuracy(n, modulus, 0.1, trials=40)
    assert weak["accuracy"] < weak["majority"] < 1


def test_entries_of_the_construction_grow_as_the_cube_root_of_log_n():
    ratio = t.sharp_beta(64, 31) / t.sharp_beta(8, 31)
    assert ratio == pytest.approx(math.log(64) / math.log(8))
    assert t.sharp_beta(8, 311) == pytest.approx(311**2 * math.log(8) / math.pi**2, rel=1e-3)


def test_both_kinds_of_head_can_be_trained():
    for three in (False, True):
        assert 0 <= t.learned_match3(three, steps=2, batch=4) <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t.explicit(*t.random_inputs(600, 2, 1.0)), "600 x 360,000 numbers, 1.7 GB: must be at most 1.1 GB"),
        (lambda: t.sliced(*t.random_inputs(12_000, 1, 1.0)), "the weights of one query has 12,000 x 12,000"),
        (lambda: t.features(*t.random_inputs(4, 2, 1.0), degree=9), "degree = 9: must be a whole number from 1 to 8"),
        (lambda: t.random_inputs(0, 2, 1.0), "n = 0"),
        (lambda: t.random_inputs(4, 2, math.inf), "bound = inf"),
        (
            lambda: t.explicit(*t.random_inputs(4, 2, 1.0)[:4], torch.ones(4, 3)),
            r"v2 has shape \(4, 3\) and torch.float32: must be a tensor like q",
        ),
        (lambda: t.match3(np.zeros((2, 3), int), 2), "modulus = 2"),
        (lambda: t.match3(np.zeros((1, 2000), int), 5), "the table of sums has .* GB"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
