"""What each paper's experiment shows as whole curves: `python -m var_mini.theory.curves` prints all as one JSON object.

    bound     R: errors of a whole pass of VAR with entries within R (var_pass)
    depth     n keys: layers of gates of an attention head, and of a product of n permutations (circuits)
    norm      largest entry of the projected queries and keys: errors of an adapter's gradient (lora)
    order     size of all entries: errors where 2, 3 and 4 tokens meet in one logit (tensor_attention)
    series    value v of one head: the least error on sign changes that any weights leave it (forecasting)
    coupling  c: points that coupled switches settle at (fixed_points)

What each one does not show stands in docs/limits.md: none of them sees a threshold, which is a statement about n to infinity. A
mark says where its order of growth lies at the size used here, with the constant, which is unknown, taken as 1.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from .. import validate
from . import circuits, fixed_points, forecasting, lora, tensor_attention, var_pass

DEGREES = (2, 4, 6)
SIDE = 8  # of the pass
LENGTH = 200  # tokens of the layer whose adapters are trained
TOKENS, WIDTH, DEGREE, ORDERS = 12, 3, 4, (2, 3, 4)  # of attention of a higher order: n, d, its polynomial, tokens that meet
SWITCHES, MATRICES = 8, 3
DIGITS = 6


@dataclass(frozen=True)
class Curves:
    """An experiment: `at(place)` gives every series' value there, by name; `marks` are (series or None, place)."""

    at: Callable[[float], dict[str, float]]
    places: tuple[float, ...]
    start: float
    marks: tuple[tuple[str | None, float], ...] = ()
    facts: Mapping[str, float | Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """{places, start, series: {name: values}, marks, facts}, all JSON values."""
        rows = [self.at(place) for place in self.places]
        series = {name: [_rounded(row[name]) for row in rows] for name in rows[0]}
        marks = [{"series": name, "at": _rounded(at)} for name, at in self.marks]
        return {"places": list(self.places), "start": self.start, "series": series, "marks": marks, "facts": dict(self.facts)}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _steps(low: float, high: float, step: float) -> tuple[float, ...]:
    return tuple(round(low + i * step, 9) for i in range(round((high - low) / step) + 1))


def pass_errors(bound: float) -> dict[str, float]:
    """Largest error of the last logits by degree, and the share of tokens that degree 6 chooses as exact attention does."""
    rows = {degree: var_pass.compare(SIDE, bound, degree) for degree in DEGREES}
    return {str(degree): row["logits"] for degree, row in rows.items()} | {"same": rows[DEGREES[-1]]["same_tokens"]}


def depths(n: float) -> dict[str, float]:
    """Layers of threshold gates: one head of n keys; a product of n permutations as a tree, and one after the other."""
    n = validate.integer("n", n, 2, 64)
    tree, chain = (circuits.product_circuit(n, tree=tree).depth for tree in (True, False))
    return {"head": float(circuits.attention_circuit(n).depth), "tree": float(tree), "chain": float(chain)}


def gradient_errors(norm: float) -> dict[str, float]:
    """Relative error of an adapter's gradient by degree."""
    task, adapters = lora.make_task(LENGTH, norm)
    return {str(degree): lora.relative_error(task, adapters, degree) for degree in DEGREES}


def order_errors(entries: float) -> dict[str, float]:
    """Relative error of the output by the number of tokens that meet in a logit.

    With entries within B a logit reaches B^order: that is why the threshold is (log n)^(1 / order). Entries here are B or -B,
    which reach it; of evenly spread ones the products would shrink, and the errors with them.
    """
    entries = validate.number("entries", entries, 0, 10, low_open=True)
    return {str(order): _order_error(order, entries) for order in ORDERS}


def _order_error(order: int, entries: float) -> float:
    generator = torch.Generator().manual_seed(0)

    def drawn() -> torch.Tensor:
        return torch.rand(TOKENS, WIDTH, generator=generator, dtype=torch.float64) * 2 - 1

    q, *keys = (drawn().sign() * entries for _ in range(order))
    values = [drawn() for _ in keys]
    exact = tensor_attention.explicit_of_order(q, keys, values)
    return ((tensor_attention.features_of_order(q, keys, values, DEGREE) - exact).norm() / exact.norm()).item()


def hull_errors(value: float) -> dict[str, float]:
    """Squared error on sign changes as a share of that of saying 0: the least of one head, of saying 0, of a linear model."""
    return {"head": forecasting.hull_nmse(value), "zero": 1.0, "linear": forecasting.residual_forecast()["nmse"]}


def settled(strength: float) -> dict[str, float]:
    """Points that the switches settle at when coupled this strongly, for three random matrices, and how many there are alone."""
    found = {str(seed + 1): float(fixed_points.coupled_attractors(strength, SWITCHES, seed)) for seed in range(MATRICES)}
    return found | {"alone": 2.0**SWITCHES}


CURVES = {
    "bound": Curves(
        pass_errors, _steps(0.25, 4, 0.25), 1.0, ((None, math.sqrt(math.log(SIDE**2))),), {"side": SIDE, "cells": SIDE**2}
    ),
    "depth": Curves(depths, (2, 4, 8, 16, 32, 64), 8, (("tree", 32.0),), {"bits": circuits.DIGITS}),
    "norm": Curves(
        gradient_errors,
        _steps(0.5, 6, 0.25),
        1.0,
        ((None, math.sqrt(math.log(LENGTH))),),
        {
            "length": LENGTH,
            "multiplications": {
                str(degree): lora.multiplications(LENGTH, degree) / lora.multiplications(LENGTH, None) for degree in DEGREES
            },
        },
    ),
    "order": Curves(
        order_errors,
        _steps(0.25, 3, 0.25),
        1.0,
        tuple((str(order), math.log(TOKENS) ** (1 / order)) for order in ORDERS),
        {"tokens": TOKENS, "degree": DEGREE},
    ),
    "series": Curves(hull_errors, _steps(0.25, 2.5, 0.25), 1.0, (), {"windows": 2000}),
    "coupling": Curves(settled, _steps(0, 0.4, 0.02), 0.1, ((None, fixed_points.RADIUS),), {"switches": SWITCHES}),
}


def main() -> int:
    torch.set_num_threads(1)
    print(json.dumps({name: curves.to_dict() for name, curves in CURVES.items()}, allow_nan=False, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
