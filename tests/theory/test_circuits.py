"""Circuits against whole numbers and brute force; groups against sympy; a control that any claim about training must pass."""

from itertools import product

import numpy as np
import pytest
from sympy.combinatorics import Permutation, PermutationGroup

from var_mini.theory import circuits as c


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_the_head_is_the_rounded_softmax_average_on_random_numbers(n):
    """The oracle here is written with Python's integers, one sample at a time."""
    rng = np.random.default_rng(n)
    q, k, v = (rng.integers(0, 4, (200, m)) for m in (1, n, n))
    circuit = c.attention_circuit(n)
    out = circuit.run(c.bits_of(np.concatenate([q, k, v], 1)))
    for row, (a,), keys, values in zip(out, q.tolist(), k.tolist(), v.tolist()):
        weights = [c.EXPONENTIALS[a * key] for key in keys]
        assert row[0] + 2 * row[1] == sum(w * x for w, x in zip(weights, values)) // sum(weights)


def test_the_head_with_two_keys_is_right_on_every_input():
    numbers = np.array(list(product(range(4), repeat=5)))
    out = c.attention_circuit(2).run(c.bits_of(numbers))
    assert (out[:, 0] + 2 * out[:, 1] == c.attention_oracle(numbers[:, 0], numbers[:, 1:3], numbers[:, 3:])).all()


def test_the_depth_of_the_head_is_ten_for_every_n_and_its_gates_grow_in_proportion():
    built = {n: c.attention_circuit(n) for n in (2, 4, 8, 16, 32)}
    assert {circuit.depth for circuit in built.values()} == {10}
    gates = {n: len(circuit.gates) for n, circuit in built.items()}
    assert all(95 <= gates[n] / n <= 110 for n in gates)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10])
def test_parity_is_right_on_every_input_with_n_plus_one_gates_in_two_layers(n):
    inputs = np.array(list(product((0, 1), repeat=n)))
    circuit = c.parity_circuit(n)
    assert (circuit.run(inputs)[:, 0] == inputs.sum(1) % 2).all()
    assert (circuit.depth, len(circuit.gates)) == (2, n + 1)


@pytest.mark.parametrize("highest", [1, 6, 15, 21])
def test_digits_of_a_sum_are_those_of_the_number(highest):
    circuit = c.Circuit(highest)
    circuit.outputs = circuit.bits([(i, 1) for i in range(highest)], highest)
    for total in range(highest + 1):
        bits = circuit.run(np.array([[1] * total + [0] * (highest - total)]))[0]
        assert sum(int(bit) << place for place, bit in enumerate(bits)) == total


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("tree", [True, False])
def test_the_product_circuit_multiplies_permutations(n, tree):
    rng = np.random.default_rng(n)
    sequences = [[tuple(rng.permutation(5).tolist()) for _ in range(n)] for _ in range(20)]
    eye = np.eye(5, dtype=int)
    bits = np.array([np.concatenate([eye[list(p)].ravel() for p in sequence]) for sequence in sequences])
    circuit = c.product_circuit(n, tree)
    for row, sequence in zip(circuit.run(bits), sequences):
        for start in range(5):
            state = start
            for p in sequence:
                state = p[state]
            assert row.reshape(5, 5)[start].tolist() == eye[state].tolist()
    if n > 1:
        assert circuit.depth == (2 * int(np.ceil(np.log2(n))) if tree else 2 * (n - 1))


def test_derived_series_agree_with_sympy_and_only_s5_and_a5_are_not_solvable():
    for name, generators in c.GROUPS.items():
        group = PermutationGroup([Permutation(list(g)) for g in generators])
        wanted = [g.order() for g in group.derived_series()]
        found = c.derived_orders(generators)
        assert found[: len(wanted)] == wanted and set(found[len(wanted) :]) <= {wanted[-1]}
        assert (found[-1] == 1) == (name in ("Z5", "F20")) == group.is_solvable


def test_tracked_states_are_those_of_the_moves_one_by_one():
    moves = np.random.default_rng(0).integers(0, 2, (5, 7))
    for row, states in zip(moves, c.track(c.GROUPS["F20"], moves, start=3)):
        state = 3
        for move, said in zip(row, states):
            state = (state + 1) % 5 if move == 0 else 2 * state % 5
            assert said == state


def test_training_runs_for_both_kinds_and_gives_an_accuracy_a_position():
    for kind in c.KINDS:
        found = c.learned("Z5", kind, steps=2, length=6, batch=4)
        assert len(found) == 6 and all(0 <= a <= 1 for a in found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: c.attention_circuit(0), "n = 0: must be a whole number from 1 to 256"),
        (lambda: c.parity_circuit(513), "n = 513: must be a whole number from 1 to 512"),
        (lambda: c.learned("M11", "gru"), "group = 'M11': must be one of A5, F20, S5, Z5"),
        (lambda: c.learned("Z5", "rnn"), "kind = 'rnn'"),
        (lambda: c.parity_circuit(3).run(np.array([[0, 1]])), r"bits have shape \(1, 2\): must be \(samples, 3\)"),
        (lambda: c.parity_circuit(2).run(np.array([[0, 2]])), "each 0 or 1"),
        (
            lambda: c.parity_circuit(2).run(np.broadcast_to(np.int8(0), (10**9, 2))),
            "the table of wires has 1,000,000,000 x 5 numbers",
        ),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
