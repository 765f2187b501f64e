"""Four experiments small enough for a slider: each takes one number, checks it, and returns plain numbers (JSON) within a second.

    bound      R: a whole pass of VAR with entries within R (var_pass)
    norm       largest entry of the projected queries and keys: gradients of adapters (lora)
    order      tokens that meet in one logit, 2 being ordinary attention (tensor_attention)
    dimension  d: resting points of d coupled switches (fixed_points)

What each one does not show stands in docs/limits.md: none of them sees a threshold, which is a statement about n to infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import validate
from . import fixed_points, lora, tensor_attention, var_pass

SIDE = 8  # of the pass
LENGTH = 200  # tokens of the layer whose adapters are trained
TOKENS, WIDTH, ENTRIES = 12, 3, 1.5  # of attention of a higher order: n, d and the size of all entries
COUPLING = 0.3  # beyond the radius 1 / (3 sqrt 3), where resting points are lost


@dataclass(frozen=True)
class Slider:
    """An experiment, the range of its one number, and where a page begins."""

    run: Callable[[float], dict]
    low: float
    high: float
    step: float
    start: float


def pass_errors(bound: float) -> dict:
    """Largest error of the last logits and of the decoded map, and the share of equal tokens, by degree."""
    bound = validate.number("bound", bound, SLIDERS["bound"].low, SLIDERS["bound"].high)
    rows = [var_pass.compare(SIDE, bound, degree) for degree in (2, 4, 6)]
    return {
        "bound": bound,
        "side": SIDE,
        "sqrt_log_tokens": math.sqrt(math.log(SIDE**2)),
        "rows": [{key: row[key] for key in ("degree", "logits", "decoded", "same_tokens")} for row in rows],
    }


def gradient_errors(norm: float) -> dict:
    """Relative error of an adapter's gradient by degree, and the multiplications of the chain and of the explicit way."""
    norm = validate.number("norm", norm, SLIDERS["norm"].low, SLIDERS["norm"].high)
    task, adapters = lora.make_task(LENGTH, norm)
    rows = [
        {
            "degree": degree,
            "relative_error": lora.relative_error(task, adapters, degree),
            "multiplications": lora.multiplications(LENGTH, degree),
        }
        for degree in (2, 4, 6)
    ]
    return {"norm": norm, "length": LENGTH, "explicit_multiplications": lora.multiplications(LENGTH, None), "rows": rows}


def order_errors(order: float) -> dict:
    """Relative error by degree where `order` tokens meet in a logit, the terms that meet, and the bound on the logits.

    With entries within B a logit reaches B^order: that is why the threshold is (log n)^(1 / order). Entries here are B or -B,
    which reach it; of evenly spread ones the products would shrink, and the errors with them.
    """
    order = validate.integer("order", order, int(SLIDERS["order"].low), int(SLIDERS["order"].high))
    generator = torch.Generator().manual_seed(0)

    def drawn() -> torch.Tensor:
        return torch.rand(TOKENS, WIDTH, generator=generator, dtype=torch.float64) * 2 - 1

    q, *keys = (drawn().sign() * ENTRIES for _ in range(order))
    values = [drawn() for _ in keys]
    exact = tensor_attention.explicit_of_order(q, keys, values)
    rows = [
        {
            "degree": degree,
            "relative_error": (
                (tensor_attention.features_of_order(q, keys, values, degree) - exact).norm() / exact.norm()
            ).item(),
            "features": math.comb(WIDTH + degree, degree),
        }
        for degree in (2, 4, 6)
    ]
    return {
        "order": order,
        "entries": ENTRIES,
        "tokens": TOKENS,
        "terms": TOKENS**order,
        "largest_logit": ENTRIES**order,
        "threshold_exponent": 1 / order,
        "rows": rows,
    }


def resting_points(dimension: float) -> dict:
    """Points that d switches settle at from random starts: alone (2^d), and coupled beyond the radius for three matrices."""
    d = validate.integer("dimension", dimension, int(SLIDERS["dimension"].low), int(SLIDERS["dimension"].high))
    return {
        "dimension": d,
        "starts": fixed_points.starts_for(d),
        "found": len(fixed_points.found_attractors(fixed_points.CUBIC, d)),
        "expected": 2**d,
        "coupling": COUPLING,
        "radius": fixed_points.RADIUS,
        "coupled": [fixed_points.coupled_attractors(COUPLING, d, seed) for seed in range(3)],
    }


SLIDERS = {
    "bound": Slider(pass_errors, 0.25, 4.0, 0.25, 1.0),
    "norm": Slider(gradient_errors, 0.5, 6.0, 0.25, 1.0),
    "order": Slider(order_errors, 2, 4, 1, 2),
    "dimension": Slider(resting_points, 1, 6, 1, 3),
}


def run(name: str, value: float) -> dict:
    """The experiment of one slider. Raises ValueError where there is none of that name, or the value is out of its range."""
    return SLIDERS[validate.one_of("slider", name, SLIDERS)].run(value)
