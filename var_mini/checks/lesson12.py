"""Exercises of lesson 12, what constant depth cannot compute."""

from __future__ import annotations

import torch

from .exercise import WHOLE, Exercise, Mistake
from .pieces import whole

# -- threshold_gate ----------------------------------------------------------------------------------------------------


def _gate_case(rng, number):
    n = 4 + number
    bits = torch.randint(0, 2, (24, n), generator=rng)
    weights = torch.randint(-3, 4, (n,), generator=rng)
    sums = (bits * weights).sum(1)
    return {"weights": weights, "threshold": int(sums.median()), "bits": bits}  # a threshold that some sums meet exactly


def _gate(weights, threshold, bits, fires=lambda total, threshold: total >= threshold):
    rows = []
    for row in bits.tolist():
        total = 0
        for weight, bit in zip(weights.tolist(), row):
            total += weight * bit
        rows.append(int(fires(total, threshold)))
    return torch.tensor(rows)


THRESHOLD_GATE = Exercise(
    lesson=12,
    name="threshold_gate",
    difficulty=1,
    minutes=5,
    case=_gate_case,
    oracle=_gate,
    mistakes=(
        Mistake(
            "fires only above the threshold",
            "A sum equal to the threshold is enough: at least, not more than.",
            lambda weights, threshold, bits: _gate(weights, threshold, bits, lambda total, t: total > t),
        ),
        Mistake(
            "fires below the threshold",
            "The comparison is turned around: 1 where the sum reaches the threshold.",
            lambda weights, threshold, bits: _gate(weights, threshold, bits, lambda total, t: total < t),
        ),
        Mistake(
            "forgets the weights",
            "Each bit counts as often as its weight says, which may be negative.",
            lambda weights, threshold, bits: _gate(torch.ones_like(weights), threshold, bits),
        ),
    ),
    **WHOLE,
)

# -- parity_by_thresholds ----------------------------------------------------------------------------------------------


def _parity_case(rng, number):
    return {"bits": torch.randint(0, 2, (16, 2 + number), generator=rng)}


def _parity(bits):
    """All gates of each row: first whether at least 1, 2, ..., n bits are set, then whether their number is odd."""
    rows = []
    for row in bits.tolist():
        ones = sum(row)
        rows.append([int(ones >= t) for t in range(1, len(row) + 1)] + [ones % 2])
    return torch.tensor(rows)


def _with_last(change):
    return lambda bits: torch.cat([_parity(bits)[:, :-1], change(bits).long().view(-1, 1)], 1)


def _from_zero(bits):
    reached = torch.cat([torch.ones(len(bits), 1).long(), _parity(bits)[:, :-2]], 1)
    return torch.cat([reached, reached.sum(1, keepdim=True) % 2], 1)


PARITY_BY_THRESHOLDS = Exercise(
    lesson=12,
    name="parity_by_thresholds",
    difficulty=3,
    minutes=15,
    case=_parity_case,
    oracle=_parity,
    mistakes=(
        Mistake(
            "counts how many thresholds are reached and stops there",
            "The last gate must say odd or even: give its inputs the weights +1, -1, +1, ... in turn.",
            _with_last(lambda bits: bits.sum(1)),
        ),
        Mistake(
            "starts the alternating weights with -1",
            "One bit set reaches one threshold, and one is odd: the first weight is +1.",
            _with_last(lambda bits: bits.sum(1) * 0),
        ),
        Mistake(
            "gives the last gate a threshold that is always reached",
            "The alternating sum is 0 or 1: the last gate's threshold is 1.",
            _with_last(lambda bits: bits.sum(1) * 0 + 1),
        ),
        Mistake(
            "starts the thresholds at 0",
            "At least 0 bits are always set; thresholds are 1, 2, ..., n.",
            _from_zero,
        ),
        Mistake(
            "says even instead of odd",
            "Parity is 1 where the number of ones is odd.",
            _with_last(lambda bits: 1 - bits.sum(1) % 2),
        ),
    ),
    **WHOLE,
)

# -- tree_depth --------------------------------------------------------------------------------------------------------


def _depth_case(rng, number):
    return {"factors": (2, 3, 8, 9, 33)[number] if number < 2 else (2, 3, 8, 9, 33)[number] + whole(rng, 0, 5)}


def _tree(factors):
    depth = 0
    while factors > 1:
        factors = -(-factors // 2)  # of an odd number one waits
        depth += 2
    return depth


TREE_DEPTH = Exercise(
    lesson=12,
    name="tree_depth",
    difficulty=2,
    minutes=8,
    case=_depth_case,
    oracle=_tree,
    mistakes=(
        Mistake(
            "multiplies one after the other",
            "Neighbours can be multiplied at the same time: each round halves the number of factors.",
            lambda factors: 2 * (factors - 1),
        ),
        Mistake(
            "counts one layer a multiplication",
            "A product of two permutation matrices takes two layers: AND, then OR.",
            lambda factors: _tree(factors) // 2,
        ),
        Mistake(
            "rounds the logarithm down",
            "Of an odd number of factors one waits for the next round, so the number of rounds is rounded up.",
            lambda factors: 2 * (factors.bit_length() - 1),
        ),
    ),
    **WHOLE,
)

# -- commutator_orders -------------------------------------------------------------------------------------------------


def _closure(generators):
    """All products, by multiplying until nothing new comes."""
    found = {tuple(range(len(generators[0])))}
    while True:
        more = found | {tuple(g[i] for i in x) for x in found for g in generators}
        if len(more) == len(found):
            return found
        found = more


def _inverse(x):
    back = [0] * len(x)
    for i, j in enumerate(x):
        back[j] = i
    return tuple(back)


def _then(*moves):
    return tuple(_walk(i, moves) for i in range(len(moves[0])))


def _walk(i, moves):
    for move in moves:
        i = move[i]
    return i


FOUR = ([1, 2, 3, 0], [1, 0, 2, 3])  # generate S4
SETS = (
    [[1, 2, 0], [1, 0, 2]],  # S3: 6, 3, 1
    [list(g) for g in FOUR],  # S4: 24, 12, 4, 1
    [[1, 2, 3, 0], [3, 2, 1, 0]],  # D4: 8, 2, 1
    [[1, 2, 3, 4, 0], [0, 2, 4, 1, 3]],  # F20: 20, 5, 1
    [[1, 2, 3, 4, 0], [1, 2, 0, 3, 4]],  # A5: 60, 60
)


def _groups_case(rng, number):
    generators = SETS[number]
    order = torch.randperm(len(generators[0]), generator=rng).tolist()  # the same group with its points renamed
    back = _inverse(order)
    return {"generators": [[order[g[back[i]]] for i in range(len(g))] for g in generators]}


def _commutator(a, b):
    return _then(_inverse(a), _inverse(b), a, b)


def _series(generators, product=_commutator, whole_group=True):
    """Orders of the groups, each generated by the commutators of all pairs of the one before, or of its generators alone."""
    moves, orders = [tuple(g) for g in generators], []
    while True:
        group = _closure(moves)
        orders.append(len(group))
        if len(orders) > 1 and orders[-1] in (1, orders[-2]):
            return orders
        factors = group if whole_group else moves
        moves = list({product(a, b) for a in factors for b in factors})


COMMUTATOR_ORDERS = Exercise(
    lesson=12,
    name="commutator_orders",
    difficulty=4,
    minutes=20,
    case=_groups_case,
    oracle=_series,
    mistakes=(
        Mistake(
            "multiplies the elements instead of taking commutators",
            "A commutator is a^-1 b^-1 a b: it is the identity where a and b can be exchanged.",
            lambda generators: _series(generators, _then),
        ),
        Mistake(
            "stops after the first commutator subgroup",
            "Go on with the subgroup's own commutators, until an order is 1 or comes twice.",
            lambda generators: _series(generators)[:2],
        ),
        Mistake(
            "takes commutators of the generators alone",
            "All pairs of elements of the group have a commutator, and all of those together generate the subgroup.",
            lambda generators: _series(generators, whole_group=False),
        ),
        Mistake(
            "leaves out the order that comes twice",
            "Where the orders stop getting smaller the last one is listed twice: [60, 60], so that one sees that it repeats.",
            lambda generators: list(dict.fromkeys(_series(generators))),
        ),
    ),
    **WHOLE,
)

EXERCISES = (THRESHOLD_GATE, PARITY_BY_THRESHOLDS, TREE_DEPTH, COMMUTATOR_ORDERS)
