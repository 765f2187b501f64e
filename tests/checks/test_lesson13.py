"""Wrong solutions of lesson 13, as students write them, and what the checks say about them; oracles against autograd."""

import pytest
import torch

from tests.checks.students import told
from var_mini.checks import find
from var_mini.checks.judging import expected_of


def weight_unscaled(weight, B, A, alpha):
    return weight + B @ A


def weight_by_alpha(weight, B, A, alpha):
    return weight + alpha * B @ A


def change_alone(weight, B, A, alpha):
    return alpha / A.shape[0] * (B @ A)


def gradients_unscaled(G, B, A, alpha):
    return [G @ A.T, B.T @ G]


def gradients_by_alpha(G, B, A, alpha):
    return [alpha * G @ A.T, alpha * B.T @ G]


def gradients_swapped(G, B, A, alpha):
    s = alpha / B.shape[1]
    return [s * B.T @ G, s * G @ A.T]


def gradients_turned(G, B, A, alpha):
    s = alpha / B.shape[1]
    return [s * A @ G.T, s * G.T @ B]


def products_other_order(U, C):
    return (U.unsqueeze(1) * C.unsqueeze(2)).flatten(1)


def products_kronecker(U, C):
    return torch.kron(U, C)


def sums_of_columns(U, V, C, H):
    return ((U @ V.T) * (C @ H.T)).sum(0)


def product_of_sums(U, V, C, H):
    return (U @ V.T).sum(1) * (C @ H.T).sum(1)


WRONG = [
    ("adapted_weight", weight_unscaled, "leaves out the factor"),
    ("adapted_weight", weight_by_alpha, "without dividing by the rank"),
    ("adapted_weight", change_alone, "returns the change alone"),
    ("adapter_gradients", gradients_unscaled, "forgets that the change is scaled"),
    ("adapter_gradients", gradients_by_alpha, "without dividing by the rank"),
    ("adapter_gradients", gradients_swapped, "in the other order"),
    ("adapter_gradients", gradients_turned, "turns the gradients around"),
    ("row_products", products_other_order, "orders the columns by C first"),
    ("row_products", products_kronecker, "every row with every other row"),
    ("row_sums_without_matrix", sums_of_columns, "sums columns instead of rows"),
    ("row_sums_without_matrix", product_of_sums, "multiplies the two row sums"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_gradients_are_those_of_autograd():
    for args in find("adapter_gradients").inputs(3):
        B, A = (args[name].double().requires_grad_() for name in ("B", "A"))
        W = args["alpha"] / B.shape[1] * B @ A
        (W * args["G"].double()).sum().backward()
        dB, dA = expected_of(find("adapter_gradients"), args)
        torch.testing.assert_close(dB, B.grad)
        torch.testing.assert_close(dA, A.grad)


def test_row_products_multiply_to_the_product_entry_by_entry():
    for args in find("row_sums_without_matrix").inputs(3):
        U, V, C, H = (args[name].double() for name in ("U", "V", "C", "H"))
        left, right = (expected_of(find("row_products"), {"U": a, "C": b}) for a, b in ((U, C), (V, H)))
        torch.testing.assert_close(left @ right.T, (U @ V.T) * (C @ H.T))
        torch.testing.assert_close(expected_of(find("row_sums_without_matrix"), args), (left @ right.T).sum(1))
