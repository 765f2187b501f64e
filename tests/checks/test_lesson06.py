"""Wrong solutions of lesson 6, as students write them, and what the checks say about them; oracles against the library."""

import math

import pytest

from tests.checks.students import told
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of
from var_mini.cost import complexity


def degree_absolute(bound, error):
    degree, kept = 0, 1.0
    while math.exp(bound) - kept > error:
        degree += 1
        kept += bound**degree / math.factorial(degree)
    return degree


def degree_of_next_term(bound, error):
    degree = 0
    while bound ** (degree + 1) / math.factorial(degree + 1) > error * math.exp(bound):
        degree += 1
    return degree


def degree_as_terms(bound, error):
    terms, kept = 0, 0.0
    while math.exp(bound) - kept > error * math.exp(bound):
        kept += bound**terms / math.factorial(terms)
        terms += 1
    return terms


def degree_as_float(bound, error):
    return bound / error


def monomials_in_order(head_dim, degree):
    return sum(head_dim**j for j in range(degree + 1))


def monomials_of_top_degree(head_dim, degree):
    return math.comb(head_dim + degree - 1, degree)


def monomials_without_one(head_dim, degree):
    return math.comb(head_dim + degree, degree) - 1


def exponent_ratio(tokens, head_dim, degree):
    return math.comb(head_dim + degree, degree) / tokens


def exponent_upside_down(tokens, head_dim, degree):
    return math.log(tokens, math.comb(head_dim + degree, degree))


def exponent_mixed(tokens, head_dim, degree):
    return math.log(math.comb(head_dim + degree, degree)) / math.log2(tokens)


def even_without_ones(head_dim, features):
    return features + 1


def even_rounded_down(head_dim, features):
    return features * (head_dim + 1) // head_dim


def even_one_pass(head_dim, features):
    return features * (head_dim + 1) // (2 * head_dim) + 1


def even_as_fraction(head_dim, features):
    return features * (head_dim + 1) / head_dim + 1


def even_rounded_up(head_dim, features):
    return math.ceil(features * (head_dim + 1) / head_dim)


WRONG = [
    ("degree_for_bound", degree_absolute, "asks for an absolute error"),
    ("degree_for_bound", degree_of_next_term, "first left-out term alone"),
    ("degree_for_bound", degree_as_terms, "the number of terms instead of the degree"),
    ("degree_for_bound", degree_as_float, "expected"),
    ("count_monomials", monomials_in_order, "counts x1 x2 and x2 x1 as two"),
    ("count_monomials", monomials_of_top_degree, "monomials of exactly this degree"),
    ("count_monomials", monomials_without_one, "forgets the constant"),
    ("rank_exponent", exponent_ratio, "ratio of rank and tokens"),
    ("rank_exponent", exponent_upside_down, "turns the fraction around"),
    ("rank_exponent", exponent_mixed, "two different bases"),
    ("break_even_tokens", even_without_ones, "forgets the column of the denominators"),
    ("break_even_tokens", even_rounded_down, "not yet cheaper"),
    ("break_even_tokens", even_rounded_up, "rounds r (d + 1) / d up"),
    ("break_even_tokens", even_one_pass, "not building it"),
    ("break_even_tokens", even_as_fraction, "expected 19"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


@pytest.mark.parametrize("seed", [6, 7])
def test_oracles_agree_with_the_library(seed):
    for args in find("degree_for_bound").inputs(seed):
        assert expected_of(find("degree_for_bound"), args) == complexity.taylor_degree(**args)
    for args in find("count_monomials").inputs(seed):
        assert expected_of(find("count_monomials"), args) == complexity.rank(**args)
    for args in find("rank_exponent").inputs(seed):
        rank = complexity.rank(args["head_dim"], args["degree"])
        assert math.isclose(args["tokens"] ** expected_of(find("rank_exponent"), args), rank)
    for args in find("break_even_tokens").inputs(seed):
        found, r, d = expected_of(find("break_even_tokens"), args), args["features"], args["head_dim"]
        assert 4 * found * r * (d + 1) < 4 * d * found**2 and 4 * (found - 1) * r * (d + 1) >= 4 * d * (found - 1) ** 2


def test_the_count_is_a_lower_bound_of_the_library_s_break_even():
    for head_dim in (8, 16):  # the library counts making the features, too
        counted = expected_of(find("break_even_tokens"), {"head_dim": head_dim, "features": complexity.rank(head_dim, 2)})
        assert counted <= complexity.break_even_tokens("poly-2", head_dim) < 2 * counted


def test_what_later_cells_use_is_the_oracle_but_fast():
    for name in ("count_monomials", "rank_exponent"):
        for args in find(name).inputs(8):
            assert math.isclose(use(name)(*args.values()), expected_of(find(name), args))
    assert use("count_monomials")(64, 6) == complexity.rank(64, 6)  # listing them would take an hour
