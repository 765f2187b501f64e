"""Wrong solutions of lesson 11, as students write them, and what the checks say about them; oracles against the library."""

import pytest
import torch

from tests.checks.students import told
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of
from var_mini.pyramid import ScalePyramid
from var_mini.theory.var_pass import row_sum


def pairs_inside(scales):
    return sum((2**k) ** 4 for k in range(scales))


def pairs_before_only(scales):
    seen = pairs = 0
    for k in range(scales):
        pairs += 4**k * seen
        seen += 4**k
    return pairs


def pairs_all(scales):
    return sum(4**k for k in range(scales)) ** 2


def pairs_of_sides(scales):
    return sum(2**k * sum(2**j for j in range(k + 1)) for k in range(scales))


def bound_with_signs(rows, bound, steps):
    return bound * rows.sum(1).max().item() ** steps


def bound_by_columns(rows, bound, steps):
    return bound * rows.abs().sum(0).max().item() ** steps


def bound_of_entries(rows, bound, steps):
    return bound * rows.abs().max().item() ** steps


def bound_all_to_the_power(rows, bound, steps):
    return (bound * torch.linalg.matrix_norm(rows, torch.inf).item()) ** steps


def share_one_product(counts, width):
    pairs = sum(c * sum(counts[: i + 1]) for i, c in enumerate(counts))
    return pairs * width / (pairs * width + 12 * width**2 * sum(counts))


def share_of_mlp_alone(counts, width):
    pairs = sum(c * sum(counts[: i + 1]) for i, c in enumerate(counts))
    return 2 * pairs / (2 * pairs + 8 * width * sum(counts))


def share_as_ratio(counts, width):
    pairs = sum(c * sum(counts[: i + 1]) for i, c in enumerate(counts))
    return pairs / (6 * width * sum(counts))


def flip_as_place(exact, fast, counts):
    wrong = (exact != fast).nonzero()
    return [int(wrong[0]) if len(wrong) else -1, (exact == fast).double().mean().item()]


def flip_share_of_wrong(exact, fast, counts):
    scale = next((i for i, part in enumerate((exact != fast).split(counts)) if part.any()), -1)
    return [scale, (exact != fast).double().mean().item()]


def flip_last(exact, fast, counts):
    scales = [i for i, part in enumerate((exact != fast).split(counts)) if part.any()]
    return [max(scales, default=-1), (exact == fast).double().mean().item()]


WRONG = [
    ("doubling_pairs", pairs_inside, "inside each scale only"),
    ("doubling_pairs", pairs_before_only, "leaves out the scale's own tokens"),
    ("doubling_pairs", pairs_all, "lets every token see every other one"),
    ("doubling_pairs", pairs_of_sides, "to have s tokens"),
    ("bound_after", bound_all_to_the_power, "power of R as well"),
    ("bound_after", bound_with_signs, "with their signs"),
    ("bound_after", bound_by_columns, "adds up columns"),
    ("bound_after", bound_of_entries, "largest entry"),
    ("attention_share", share_one_product, "one of the two products"),
    ("attention_share", share_of_mlp_alone, "four projections"),
    ("attention_share", share_as_ratio, "ratio of attention"),
    ("first_flip", flip_as_place, "place of the token"),
    ("first_flip", flip_share_of_wrong, "share of tokens that differ"),
    ("first_flip", flip_last, "expected"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


@pytest.mark.parametrize("seed", [6, 7])
def test_oracles_agree_with_the_library(seed):
    for args in find("doubling_pairs").inputs(seed):
        pyramid = ScalePyramid(tuple(2**k for k in range(args["scales"])))
        assert expected_of(find("doubling_pairs"), args) == pyramid.attention_pairs() == use("doubling_pairs")(**args)
    for args in find("bound_after").inputs(seed):
        x = args["rows"].sign()[args["rows"].abs().sum(1).argmax()] * args["bound"]
        reached = (args["rows"] @ x).abs().max().item()  # one step, from the worst map there is
        assert expected_of(find("bound_after"), args | {"steps": 1}) == pytest.approx(reached, rel=1e-5)
    for args in find("attention_share").inputs(seed):
        pyramid = ScalePyramid(tuple(round(c**0.5) for c in args["counts"]))
        attention, linear = 2 * pyramid.attention_pairs(), 12 * args["width"] * pyramid.tokens
        assert expected_of(find("attention_share"), args) == pytest.approx(attention / (attention + linear))


def test_a_chain_of_bicubic_enlargements_stays_far_below_the_power_of_its_worst_row():
    chain = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    for side in (16, 32, 64, 128):
        chain = torch.nn.functional.interpolate(chain, size=(side, side), mode="bicubic")
    reached = chain.flatten(1).abs().sum(0).max().item()  # what the worst map with entries in [-1, 1] becomes
    power = use("bound_after")(torch.tensor([[row_sum(8, 16, "bicubic")["largest"]]]), 1.0, 4)
    assert 1 < row_sum(8, 16, "bicubic")["largest"] < reached < power / 3


def test_the_first_flip_is_found_at_the_first_and_at_the_last_token():
    exact = torch.zeros(30, dtype=torch.int64)
    for place, scale in ((0, 0), (4, 1), (5, 2), (13, 2), (14, 3), (29, 3)):
        fast = exact.clone()
        fast[place] = 1
        found = expected_of(find("first_flip"), {"exact": exact, "fast": fast, "counts": [1, 4, 9, 16]})
        assert found == [scale, pytest.approx(29 / 30)]
