"""Wrong solutions of lesson 12, as students write them, what the checks say about them, and oracles against sympy."""

import numpy as np
import pytest
import torch
from sympy.combinatorics import Permutation, PermutationGroup

from tests.checks.students import told
from var_mini.checks import find
from var_mini.checks.judging import expected_of
from var_mini.theory import circuits


def gate_strict(weights, threshold, bits):
    return ((bits * weights).sum(1) > threshold).long()


def gate_unweighted(weights, threshold, bits):
    return (bits.sum(1) >= threshold).long()


def parity_even(bits):
    ones = bits.sum(1, keepdim=True)
    return torch.cat([(ones >= torch.arange(1, bits.shape[1] + 1)).long(), 1 - ones % 2], 1)


def parity_from_zero(bits):
    ones = bits.sum(1, keepdim=True)
    reached = (ones >= torch.arange(bits.shape[1])).long()
    signs = torch.tensor([1, -1]).repeat(bits.shape[1])[: bits.shape[1]]
    return torch.cat([reached, ((reached * signs).sum(1, keepdim=True) >= 1).long()], 1)


def parity_without_last(bits):
    return (bits.sum(1, keepdim=True) >= torch.arange(1, bits.shape[1] + 1)).long()


def parity_always(bits):
    ones = bits.sum(1, keepdim=True)
    reached = (ones >= torch.arange(1, bits.shape[1] + 1)).long()
    return torch.cat([reached, (ones % 2 >= 0).long()], 1)


def depth_in_sequence(factors):
    return 2 * (factors - 1)


def depth_rounded_down(factors):
    return 2 * int(np.log2(factors))


def depth_of_rounds(factors):
    return int(np.ceil(np.log2(factors)))


def orders_once(generators):
    group = circuits.derived_orders([tuple(g) for g in generators])
    return group[:2]


def orders_without_the_last(generators):
    found = circuits.derived_orders([tuple(g) for g in generators])
    return found[:-1] if found[-1] == found[-2] else found


WRONG = [
    ("threshold_gate", gate_strict, "fires only above the threshold"),
    ("threshold_gate", gate_unweighted, "forgets the weights"),
    ("parity_by_thresholds", parity_even, "says even instead of odd"),
    ("parity_by_thresholds", parity_from_zero, "starts the thresholds at 0"),
    ("parity_by_thresholds", parity_always, "always reached"),
    ("parity_by_thresholds", parity_without_last, "shape"),
    ("tree_depth", depth_in_sequence, "one after the other"),
    ("tree_depth", depth_rounded_down, "rounds the logarithm down"),
    ("tree_depth", depth_of_rounds, "one layer a multiplication"),
    ("commutator_orders", orders_once, "stops after the first"),
    ("commutator_orders", orders_without_the_last, "comes twice"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_sympy_and_with_the_circuits():
    for args in find("commutator_orders").inputs(5):
        group = PermutationGroup([Permutation(g) for g in args["generators"]])
        orders = [g.order() for g in group.derived_series()]
        found = expected_of(find("commutator_orders"), args)
        assert found[: len(orders)] == orders and set(found[len(orders) :]) <= {orders[-1]}
    for args in find("tree_depth").inputs(5):
        assert expected_of(find("tree_depth"), args) == circuits.product_circuit(args["factors"]).depth
    for args in find("parity_by_thresholds").inputs(5):
        bits = args["bits"].numpy()
        wanted = circuits.parity_circuit(bits.shape[1]).run(bits)[:, 0]
        assert (expected_of(find("parity_by_thresholds"), args)[:, -1].numpy() == wanted).all()
