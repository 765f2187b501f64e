"""Wrong solutions of lesson 4, as students write them, and what the checks say about them; oracles against the library."""

import math

import pytest
import torch

from tests.checks.students import told
from var_mini.attention import new_state
from var_mini.checks import find
from var_mini.checks.judging import expected_of
from var_mini.cost import complexity, fit
from var_mini.pyramid import ScalePyramid


def raster_always_cached(side, cached):
    return sum(range(1, side**2 + 1))


def raster_over_the_side(side, cached):
    n = side
    return n * (n + 1) // 2 if cached else n * (n + 1) * (n + 2) // 6


def raster_squares(side, cached):
    return sum(t if cached else t**2 for t in range(1, side**2 + 1))


def raster_from_zero(side, cached):
    return sum(t if cached else t * (t + 1) // 2 for t in range(side**2))


def var_all_keys(patch_nums, cached):
    tokens = sum(side**2 for side in patch_nums)
    return tokens**2 if cached else tokens * sum(sum(s**2 for s in patch_nums[: k + 1]) for k in range(len(patch_nums)))


def var_before_adding(patch_nums, cached):
    total = end = 0
    for side in patch_nums:
        total += (side**2 if cached else end + side**2) * end
        end += side**2
    return total


def var_blocks_only(patch_nums, cached):
    ends = torch.tensor([side**2 for side in patch_nums]).cumsum(0).tolist()
    return sum(side**4 for side in patch_nums) if cached else sum(end * side**2 for end, side in zip(ends, patch_nums))


def var_causal(patch_nums, cached):
    ends = torch.tensor([side**2 for side in patch_nums]).cumsum(0).tolist()
    return ends[-1] * (ends[-1] + 1) // 2 if cached else sum(end**2 for end in ends)


def exponent_without_logs(sides, seconds):
    x, y = torch.tensor(sides).double(), torch.tensor(seconds).double()
    return (torch.cov(torch.stack([x, y]))[0, 1] / x.var()).item()


def exponent_of_ends(sides, seconds):
    return math.log(seconds[-1] / seconds[0], sides[-1] / sides[0])


def exponent_without_intercept(sides, seconds):
    x, y = torch.tensor(sides).double().log(), torch.tensor(seconds).double().log()
    return torch.linalg.lstsq(x[:, None], y[:, None]).solution.item()


def exponent_as_tensor_of_two(sides, seconds):
    x, y = torch.tensor(sides).double().log(), torch.tensor(seconds).double().log()
    return torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), y[:, None]).solution


def bytes_of_keys(patch_nums, layers, heads, head_dim, guided):
    return 4 * sum(s * s for s in patch_nums) * layers * heads * head_dim * (1 + guided)


def bytes_unguided(patch_nums, layers, heads, head_dim, guided):
    return 8 * sum(s * s for s in patch_nums) * layers * heads * head_dim


def bytes_of_last(patch_nums, layers, heads, head_dim, guided):
    return 8 * patch_nums[-1] ** 2 * layers * heads * head_dim * (1 + guided)


def raster_by_order(side, cached):
    N = side * side
    return N**2 if cached else N**3


def var_adding_late(patch_nums, cached):
    total, end = 0, 0
    for side in patch_nums:
        count = side * side
        total += (count if cached else end) * end
        end += count
    return total


WRONG = [
    ("raster_pairs", raster_always_cached, "only the newest token's pairs"),
    ("raster_pairs", raster_over_the_side, "takes the side for the number of tokens"),
    ("raster_pairs", raster_squares, "counts t * t pairs"),
    ("raster_pairs", raster_from_zero, "does not let a token see itself"),
    ("var_pairs", var_all_keys, "all keys of the finished picture"),
    ("raster_pairs", raster_by_order, "counts N^2 pairs with a cache and N^3 without"),
    ("var_pairs", var_before_adding, "leaves out the keys of the scale's own tokens"),
    ("var_pairs", var_adding_late, "adds to `end` after using it"),
    ("var_pairs", var_blocks_only, "its own keys only"),
    ("var_pairs", var_causal, "as a language model does"),
    ("fit_exponent", exponent_without_logs, "fits a line to the numbers themselves"),
    ("fit_exponent", exponent_of_ends, "the first and the last point only"),
    ("fit_exponent", exponent_without_intercept, "through the origin"),
    ("fit_exponent", exponent_as_tensor_of_two, "must be a number"),
    ("cache_bytes", bytes_of_keys, "keys but not the values"),
    ("cache_bytes", bytes_unguided, "guidance draws with two caches"),
    ("cache_bytes", bytes_of_last, "the last scale only"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


@pytest.mark.parametrize("seed", [4, 5])
def test_oracles_agree_with_the_library(seed):
    for args in find("raster_pairs").inputs(seed):
        assert expected_of(find("raster_pairs"), args) == complexity.raster_pairs(**args)
    for args in find("var_pairs").inputs(seed):
        pyramid = ScalePyramid(args["patch_nums"])
        assert expected_of(find("var_pairs"), args) == pyramid.attention_pairs(args["cached"])
    for args in find("fit_exponent").inputs(seed):
        assert abs(expected_of(find("fit_exponent"), args) - fit.fit_exponent(**args)["exponent"]) < 1e-9


def test_the_cache_of_the_library_has_the_bytes_of_the_oracle():
    for args in find("cache_bytes").inputs(1):
        tokens, shape = ScalePyramid(args["patch_nums"]).tokens, (args["heads"], args["head_dim"])
        state = new_state("exact", 2 if args["guided"] else 1, torch.ones(shape[0]), shape[1], tokens)
        keys = torch.zeros(2 if args["guided"] else 1, shape[0], tokens, shape[1])
        state.extend(keys, keys)
        assert args["layers"] * state.state_bytes == expected_of(find("cache_bytes"), args)
