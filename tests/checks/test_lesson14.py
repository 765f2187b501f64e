"""Wrong solutions of lesson 14, as students write them, and what the checks say about them; oracles against the library."""

import math

import pytest
import torch

from tests.checks.students import told
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of
from var_mini.theory import fixed_points, tensor_attention


def pair_separate(q, k1, k2, v1, v2):
    d = q.shape[1]
    return (q @ k1.T / d).softmax(-1) @ v1 * ((q @ k2.T / d).softmax(-1) @ v2)


def pair_added(q, k1, k2, v1, v2):
    K, V = (k1[:, None] * k2[None]).flatten(0, 1), (v1[:, None] + v2[None]).flatten(0, 1)
    return (q @ K.T / q.shape[1]).softmax(-1) @ V


def pair_unscaled(q, k1, k2, v1, v2):
    K, V = (k1[:, None] * k2[None]).flatten(0, 1), (v1[:, None] * v2[None]).flatten(0, 1)
    return (q @ K.T).softmax(-1) @ V


def pair_by_root(q, k1, k2, v1, v2):
    K, V = (k1[:, None] * k2[None]).flatten(0, 1), (v1[:, None] * v2[None]).flatten(0, 1)
    return (q @ K.T / q.shape[1] ** 0.5).softmax(-1) @ V


def pair_last_axis(q, k1, k2, v1, v2):
    weights = (torch.einsum("ia,ja,ka->ijk", q, k1, k2) / q.shape[1]).softmax(-1)
    return torch.einsum("ijk,ja,ka->ia", weights, v1, v2)


def match_two(x, modulus):
    return ((x[:, None] + x[None]) % modulus == 0).any(1)


def match_exactly(x, modulus):
    return (x[:, None, None] + x[None, :, None] + x[None, None] == 0).flatten(1).any(1)


def match_the_modulus(x, modulus):
    return (x[:, None, None] + x[None, :, None] + x[None, None] == modulus).flatten(1).any(1)


def match_combinations(x, modulus):
    j, k = torch.combinations(torch.arange(len(x))).unbind(1)
    return ((x[:, None] + x[j] + x[k]) % modulus == 0).any(1)


def hull_unsorted(windows, value):
    return torch.stack([value * windows.amin(1), value * windows.amax(1)], 1)


def hull_of_ends(windows, value):
    return (value * windows[:, [0, -1]]).sort(1).values


def radius_place(a):
    return 3**-0.5


def radius_fixed(a):
    return 1 / (3 * 3**0.5)


WRONG = [
    ("pair_attention", pair_separate, "separately"),
    ("pair_attention", pair_added, "adds the two values"),
    ("pair_attention", pair_unscaled, "leaves out the 1/d"),
    ("pair_attention", pair_by_root, "root of d"),
    ("pair_attention", pair_last_axis, "for each first key"),
    ("match3", match_the_modulus, "exactly M"),
    ("match3", match_combinations, "two different places for j and k"),
    ("match3", match_two, "adds two numbers only"),
    ("match3", match_exactly, "exactly 0"),
    ("hull_bounds", hull_unsorted, "turns the ends around"),
    ("hull_bounds", hull_of_ends, "instead of its extremes"),
    ("step_radius", radius_place, "gives the place"),
    ("step_radius", radius_fixed, "whatever a is"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    for args in find("pair_attention").inputs(4):
        given = [x.double() for x in args.values()]
        torch.testing.assert_close(expected_of(find("pair_attention"), args), tensor_attention.explicit(*given))
    for args in find("match3").inputs(4):
        wanted = tensor_attention.match3(args["x"].numpy(), args["modulus"])
        assert (expected_of(find("match3"), args).numpy() == wanted).all()
    assert expected_of(find("step_radius"), {"a": 1.5}) == pytest.approx(fixed_points.RADIUS)
    for args in find("step_radius").inputs(4):
        assert math.isclose(use("step_radius")(**args), expected_of(find("step_radius"), args), rel_tol=1e-6)


def test_random_weights_stay_within_the_hull():
    for args in find("hull_bounds").inputs(4):
        low, high = expected_of(find("hull_bounds"), args).unbind(1)
        for seed in range(20):
            weights = torch.randn(args["windows"].shape, generator=torch.Generator().manual_seed(seed)).mul(5).softmax(-1)
            forecast = args["value"] * (weights * args["windows"]).sum(1).double()
            assert (forecast >= low - 1e-6).all() and (forecast <= high + 1e-6).all()
