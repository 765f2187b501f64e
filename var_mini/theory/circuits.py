"""VAR as a circuit of constant depth: after arXiv 2501.04299, and the test that does not show its consequence.

A threshold gate says whether a weighted sum of bits reaches a threshold. TC0 holds what such circuits compute in constant depth
with polynomially many gates. The paper shows that a VAR of constantly many layers, width O(n) and poly(n)-bit numbers is
simulated in (DLOGTIME-uniform) TC0, block by block. That is an inclusion, not an equivalence, whatever "equivalent" suggests.
So unless TC0 = NC1, such a VAR cannot solve the word problem of S5 or evaluate Boolean formulas as n grows.

Three things to keep apart: any fixed n is a lookup table, so nothing at fixed n is shown impossible; the number K of scales
must be constant, while doubling sides have K = log2 n + 1; tokens that are drawn and fed back are a chain of thought, which the
bound of one pass does not cover.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import validate
from .measure import refuse_beyond

MAX_GATES = 1 << 20


class Circuit:
    """Threshold gates over input bits, built one by one; knows its size and its depth."""

    def __init__(self, inputs: int):
        self.inputs = validate.integer("inputs", inputs, 1, 1 << 16)
        self.depths = [0] * self.inputs
        self.gates: list[tuple[list[tuple[int, int]], int]] = []
        self.outputs: list[int] = []

    def gate(self, terms: list[tuple[int, int]], threshold: int) -> int:
        """A new gate, 1 where the sum of weight * wire over `terms` is at least `threshold`; returns its wire."""
        if len(self.gates) >= MAX_GATES:
            raise ValueError(f"gates = {len(self.gates) + 1:,}: must be at most {MAX_GATES:,}")
        self.depths.append(1 + max((self.depths[wire] for wire, _ in terms), default=0))
        self.gates.append((terms, threshold))
        return len(self.depths) - 1

    def both(self, *wires: int) -> int:
        return self.gate([(wire, 1) for wire in wires], len(wires))

    def any(self, *wires: int) -> int:
        return self.gate([(wire, 1) for wire in wires], 1)

    def bits(self, terms: list[tuple[int, int]], highest: int) -> list[int]:
        """The binary digits, lowest first, of a sum that lies in [0, highest]: two layers, one gate a value and one a digit.

        Bit b changes at every multiple of 2^b, so it is an alternating sum of the comparisons with those multiples. This takes
        `highest` gates, polynomially many only where the sum has O(log n) digits.
        """
        reached = {t: self.gate(terms, t) for t in range(1, highest + 1)}
        digits = []
        for b in range(highest.bit_length()):
            changes = range(1 << b, highest + 1, 1 << b)
            digits.append(self.gate([(reached[t], 1 if i % 2 == 0 else -1) for i, t in enumerate(changes)], 1))
        return digits

    @property
    def depth(self) -> int:
        return max(self.depths[wire] for wire in self.outputs)

    def run(self, bits: np.ndarray) -> np.ndarray:
        """Input bits (samples, inputs) -> output bits (samples, outputs), gate after gate."""
        wanted = f"must be (samples, {self.inputs}), each 0 or 1"
        if bits.ndim != 2 or bits.shape[1] != self.inputs:
            raise ValueError(f"bits have shape {bits.shape}: {wanted}")
        refuse_beyond("the table of wires", (len(bits), len(self.depths)), 4)
        if not np.isin(bits, (0, 1)).all():
            raise ValueError(f"bits reach from {bits.min()} to {bits.max()}: {wanted}")
        wires = np.zeros((len(self.depths), len(bits)), np.int32)
        wires[: self.inputs] = bits.T
        for wire, (terms, threshold) in enumerate(self.gates, self.inputs):
            where, weights = zip(*terms)
            wires[wire] = np.array(weights, np.int32) @ wires[list(where)] >= threshold
        return wires[self.outputs].T


# -- three circuits ------------------------------------------------------------------------------------------------

DIGITS = 2  # of a query, a key and a value: 0 to 3
EXPONENTIALS = tuple(max(1, round(15 * math.exp((x - 9) / 3))) for x in range(10))  # exp of q k = 0 to 9, as whole numbers


def attention_oracle(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One query's attention in whole numbers, q (samples,), k and v (samples, n): floor(sum of e v / sum of e), 0 to 3."""
    e = np.array(EXPONENTIALS)[q[:, None] * k]
    return (e * v).sum(1) // e.sum(1)


def attention_circuit(n: int) -> Circuit:
    """One head, one query, n keys and values of two bits each: depth 10 for every n.

    Layers: products of digits 1, digits of q k 3, lookup of the exponential 5, products with v 6, digits of the denominator 7 and
    of the numerator 8, comparisons 9, read-out 10. Inputs: q, then each k, then each v, lowest digit first.
    """
    n = validate.integer("n", n, 1, 256)
    c = Circuit(DIGITS * (1 + 2 * n))
    q = range(DIGITS)
    largest = max(EXPONENTIALS)
    exponentials, weighted = [], []
    for j in range(n):
        k = range(DIGITS * (1 + j), DIGITS * (2 + j))
        v = range(DIGITS * (1 + n + j), DIGITS * (2 + n + j))
        score = c.bits([(c.both(q[a], k[b]), 1 << (a + b)) for a, b in product(range(DIGITS), repeat=2)], 9)
        is_value = [c.gate([(bit, 1 if x >> b & 1 else -1) for b, bit in enumerate(score)], x.bit_count()) for x in range(10)]
        table = [[w for w, e in zip(is_value, EXPONENTIALS) if e >> b & 1] for b in range(largest.bit_length())]
        e = [(c.any(*wires), 1 << b) for b, wires in enumerate(table)]
        exponentials += e
        weighted += [(c.both(bit, v[a]), weight << a) for bit, weight in e for a in range(DIGITS)]
    below = [(wire, 1 << b) for b, wire in enumerate(c.bits(exponentials, n * largest))]
    above = [(wire, 1 << b) for b, wire in enumerate(c.bits(weighted, n * largest * 3))]
    at_least = [c.gate(above + [(wire, -m * weight) for wire, weight in below], 0) for m in (1, 2, 3)]
    c.outputs = [c.gate([(at_least[0], 1), (at_least[1], -1), (at_least[2], 1)], 1), c.gate([(at_least[1], 1)], 1)]
    return c


def parity_circuit(n: int) -> Circuit:
    """Whether an odd number of n bits is set: depth 2, n + 1 gates. (Without thresholds, AND and OR of constant depth cannot.)"""
    c = Circuit(validate.integer("n", n, 1, 512))
    reached = [c.gate([(i, 1) for i in range(n)], t) for t in range(1, n + 1)]
    c.outputs = [c.gate([(wire, 1 if i % 2 == 0 else -1) for i, wire in enumerate(reached)], 1)]
    return c


def product_circuit(n: int, tree: bool = True, points: int = 5) -> Circuit:
    """The product of n permutations of 5 points, each given as a matrix of bits: depth 2 a multiplication.

    As a balanced tree 2 ceil(log2 n) deep, one after the other 2 (n - 1). No constant depth with polynomially many gates is
    known for S5, and none exists unless TC0 = NC1 (Barrington).
    """
    n = validate.integer("n", n, 1, 256)
    size = points * points
    c = Circuit(n * size)
    factors = [list(range(i * size, (i + 1) * size)) for i in range(n)]

    def multiply(a, b):
        """The matrix of "first a, then b": entry (i, j) says whether some m has a(i) = m and b(m) = j."""
        cells = product(range(points), repeat=2)
        return [c.any(*(c.both(a[i * points + m], b[m * points + j]) for m in range(points))) for i, j in cells]

    while len(factors) > 1:
        if tree:
            pairs = [multiply(*factors[i : i + 2]) for i in range(0, len(factors) - 1, 2)]
            factors = pairs + factors[2 * len(pairs) :]
        else:
            factors = [multiply(factors[0], factors[1])] + factors[2:]
    c.outputs = factors[0]
    return c


# -- groups, and what a small transformer learns of them -------------------------------------------------------------

KINDS = ("transformer", "gru")
Permutation = tuple[int, ...]
GROUPS: dict[str, tuple[Permutation, Permutation]] = {  # two generators each, as moves of five states
    "Z5": ((1, 2, 3, 4, 0), (2, 3, 4, 0, 1)),
    "F20": ((1, 2, 3, 4, 0), (0, 2, 4, 1, 3)),  # x -> x + 1 and x -> 2 x mod 5
    "A5": ((1, 2, 3, 4, 0), (1, 2, 0, 3, 4)),
    "S5": ((1, 2, 3, 4, 0), (1, 0, 2, 3, 4)),
}


def then(a: Permutation, b: Permutation) -> Permutation:
    """First a, then b."""
    return tuple(b[x] for x in a)


def generated(generators) -> set[Permutation]:
    """All products of some permutations."""
    found = {tuple(range(len(g))) for g in generators}
    fresh = set(found)
    while fresh:
        fresh = {then(x, g) for x in fresh for g in generators} - found
        found |= fresh
    return found


def derived_orders(generators) -> list[int]:
    """Orders of the group, its commutator subgroup, that one's, and so on until they repeat; ends at 1 where it is solvable."""
    group = generated(generators)
    orders = [len(group)]
    while True:
        inverse = {x: tuple(sorted(range(len(x)), key=x.__getitem__)) for x in group}
        commutators = {then(then(inverse[a], inverse[b]), then(a, b)) for a in group for b in group}
        group = generated(commutators)
        orders.append(len(group))
        if orders[-1] == orders[-2] or orders[-1] == 1:
            return orders


class _Tracker(nn.Module):
    """Which state a sequence of moves leads to, at every position: a causal transformer, or a recurrent network."""

    def __init__(self, kind: str, width: int = 48, layers: int = 2, length: int = 20, states: int = 5):
        super().__init__()
        self.move = nn.Embedding(2, width)
        self.place = nn.Parameter(torch.randn(length, width) * 0.1)
        self.kind = kind
        if kind == "gru":
            self.body = nn.GRU(width, width, batch_first=True)
        else:
            layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.read = nn.Linear(width, states)

    def forward(self, moves: torch.Tensor) -> torch.Tensor:
        x = self.move(moves)
        if self.kind == "gru":
            return self.read(self.body(x)[0])
        mask = nn.Transformer.generate_square_subsequent_mask(moves.shape[1])
        return self.read(self.body(x + self.place, mask=mask, is_causal=True))


def track(generators, moves: np.ndarray, start: int = 0) -> np.ndarray:
    """The state after every move, moves 0 or 1 (samples, n) -> states (samples, n)."""
    table = np.array(generators)
    state, states = np.full(len(moves), start), []
    for column in moves.T:
        state = table[column, state]
        states.append(state)
    return np.stack(states, 1)


def learned(group: str, kind: str, steps: int = 600, length: int = 20, batch: int = 128, seed: int = 0) -> list[float]:
    """Accuracy at every position after training; chance is 0.2 once the moves have mixed the states."""
    generators = GROUPS[validate.one_of("group", group, GROUPS)]
    validate.one_of("kind", kind, KINDS)
    validate.integer("steps", steps, 1, 100_000)
    validate.integer("length", length, 1, 256)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = _Tracker(kind, length=length)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        moves = rng.integers(0, 2, (batch, length))
        wanted = torch.from_numpy(track(generators, moves))
        loss = F.cross_entropy(model(torch.from_numpy(moves)).transpose(1, 2), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    moves = rng.integers(0, 2, (2000, length))
    with torch.no_grad():
        said = model(torch.from_numpy(moves)).argmax(-1).numpy()
    return (said == track(generators, moves)).mean(0).tolist()


def bits_of(numbers: np.ndarray, digits: int = DIGITS) -> np.ndarray:
    """Whole numbers (samples, m) -> bits (samples, m * digits), lowest digit first."""
    return (numbers[..., None] >> np.arange(digits) & 1).reshape(len(numbers), -1)


def experiment() -> dict:
    """Counted circuits, the head against whole numbers, derived series, and what training shows (and does not)."""
    rng = np.random.default_rng(0)
    heads = []
    for n in (2, 4, 8, 16, 32):
        circuit = attention_circuit(n)
        q, k, v = (rng.integers(0, 1 << DIGITS, (2000, m)) for m in (1, n, n))
        out = circuit.run(bits_of(np.concatenate([q, k, v], 1)))
        right = out[:, 0] + 2 * out[:, 1] == attention_oracle(q[:, 0], k, v)
        heads.append({"n": n, "depth": circuit.depth, "gates": len(circuit.gates), "equal": float(right.mean())})
    trees = [
        {"n": n, "tree": product_circuit(n).depth, "sequential": product_circuit(n, tree=False).depth}
        for n in (2, 4, 8, 16, 32, 33, 64)
    ]
    accuracy = {kind: {group: learned(group, kind)[7::4] for group in GROUPS} for kind in KINDS}
    return {
        "heads": heads,
        "parity": [{"n": n, "depth": parity_circuit(n).depth, "gates": len(parity_circuit(n).gates)} for n in (2, 8, 32)],
        "products": trees,
        "derived": {name: derived_orders(generators) for name, generators in GROUPS.items()},
        "positions": [8, 12, 16, 20],
        "accuracy": accuracy,
        "seeds": 1,
    }
