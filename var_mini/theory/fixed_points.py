"""How many fixed points a looped network can have: after arXiv 2410.11279 (Ke, Li, Liang, Shi, Song).

The paper gives a sufficient condition, by region of the input, under which a looped vector-valued network has several fixed
points, also in a version that withstands errors, and shows networks with 2^d of them for exponential and for polynomial
activations. We did not read its exact definitions; *attracting* and *robust* below are ours:

    attracting   |p'(x)| < 1 at the fixed point, so that every orbit that starts near ends there
    robust       an orbit with an error of at most eps in every step stays in its orthant

All 2^d come from a product of d one-dimensional loops x <- p(x): d bistable switches have 2^d settings. `coupled` mixes the
coordinates and shows how much of that the product structure carries. (A single exponential is convex, and so is a quadratic, so
neither has two attracting points; a cubic has, and so has an exponential of an exponential.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Protocol, overload

import numpy as np
from scipy.optimize import OptimizeResult, minimize_scalar, root_scalar

from .. import validate
from .measure import refuse_beyond

MAX_DIMENSION = 14
RADIUS = 1 / (3 * math.sqrt(3))  # of the cubic: max of p(x) - x = (x - x^3) / 2 over [0, 1], at x = 1 / sqrt 3
STEPS = 400
SETTLED = 150  # steps after which an orbit without errors has settled: near the repelling point it moves away by 1.5 a step


class Map(Protocol):
    """A function of a number, or of every entry of an array."""

    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Activation:
    """A one-dimensional loop x <- p(x) with two attracting fixed points inside [low, high], and one that repels between them."""

    name: str
    p: Map
    low: float
    high: float

    def fixed_points(self) -> list[tuple[float, float]]:
        """Every fixed point in [low, high] with the slope of p there, from sign changes of p(x) - x on a fine grid."""
        margin = 1e-3 * (self.high - self.low)
        grid = np.linspace(self.low - margin, self.high + margin, 20_002)
        gap = self.p(grid) - grid
        brackets = [(a, b) for a, b, i, j in zip(grid, grid[1:], gap, gap[1:]) if i * j < 0]
        roots = [root_scalar(lambda x: self.p(x) - x, bracket=bracket, method="brentq").root for bracket in brackets]
        h = 1e-6
        return [(x, float((self.p(x + h) - self.p(x - h)) / (2 * h))) for x in roots]

    def radius(self) -> float:
        """The largest error a step may have: no orbit from an attracting point passes the repelling one."""
        (lower, _), (middle, _), (upper, _) = self.fixed_points()
        up = minimize_scalar(lambda x: x - self.p(x), bounds=(middle, upper), method="bounded")
        down = minimize_scalar(lambda x: self.p(x) - x, bounds=(lower, middle), method="bounded")
        assert isinstance(up, OptimizeResult) and isinstance(down, OptimizeResult)  # scipy's types do not say so
        return float(min(-up.fun, -down.fun))


CUBIC = Activation("cubic", lambda x: 1.5 * x - 0.5 * x**3, -1.0, 1.0)  # beyond |x| = sqrt 5 orbits leave for infinity
DOUBLE_EXPONENTIAL = Activation("double exponential", lambda x: np.exp(-8 * np.exp(-5 * x)), 0.0, 1.0)
ACTIVATIONS = {activation.name: activation for activation in (CUBIC, DOUBLE_EXPONENTIAL)}


def explicit_attractors(activation: Activation, d: int) -> np.ndarray:
    """All attracting fixed points of d independent loops, (2^d, d): every choice of an attracting point per coordinate."""
    _dimension(d)
    stable = [x for x, slope in activation.fixed_points() if abs(slope) < 1]
    return np.array(list(product(stable, repeat=d)))


def starts_for(d: int) -> int:
    """How many random starts find all 2^d basins: the coupon collector's 2^d (ln 2^d + 10) misses one with chance e^-10 at most.

    That holds where the basins are equally large, as those of the cubic are; the smallest decides otherwise.
    """
    return math.ceil(2**d * (d * math.log(2) + 10))


def found_attractors(
    activation: Activation, d: int, seed: int = 0, rotated: bool = False, starts: int | None = None
) -> np.ndarray:
    """The limits of looping from random starts, each once, (number found, d): nothing is assumed about where they lie.

    `rotated` loops x <- Q p(Q^T x) with a random rotation Q, so that the product structure is not seen in the coordinates.
    """
    _dimension(d)
    rng = np.random.default_rng(validate.integer("seed", seed, 0, 2**32 - 1))
    starts = starts_for(d) if starts is None else validate.integer("starts", starts, 1, 1 << 24)
    refuse_beyond("the table of orbits", (starts, d))
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0] if rotated else np.eye(d)
    x = rng.uniform(activation.low, activation.high, (starts, d)) @ turn.T
    for _ in range(SETTLED):
        x = activation.p(x @ turn) @ turn.T
    return _distinct(x)


def adversarial_orbit(eps: float, steps: int = STEPS) -> float:
    """Where the cubic's orbit from 1 is after `steps` steps of the worst error: x <- p(x) - eps."""
    eps = validate.number("eps", eps, 0, 1)
    x = 1.0
    for _ in range(validate.integer("steps", steps, 1, 100_000)):
        x = max(float(CUBIC.p(x)) - eps, -2.0)
    return x


def noisy_escapes(eps: float, runs: int = 200_000, steps: int = STEPS, seed: int = 0) -> float:
    """Share of the cubic's orbits from 1 that ever change sign, with errors drawn uniformly from [-eps, eps]."""
    eps = validate.number("eps", eps, 0, 1)
    runs = validate.integer("runs", runs, 1, 10_000_000)
    refuse_beyond("the table of runs", (runs,))
    rng = np.random.default_rng(seed)
    x, escaped = np.ones(runs), np.zeros(runs, bool)
    for _ in range(steps):
        x = np.clip(CUBIC.p(x) + rng.uniform(-eps, eps, runs), -2, 2)
        escaped |= x < 0
    return float(escaped.mean())


def coupled_attractors(strength: float, d: int = 8, seed: int = 0) -> int:
    """How many points x <- p(x + c A x) settles at from random starts, rows of A with absolute sum 1: c = 0 is the product.

    A box [x*, 1] in every orthant, with x* = c + 1 / sqrt 3, maps into itself as long as p(x) - x reaches c, that is c <= RADIUS:
    up to there at least 2^d orbits stay apart, whatever A is.
    """
    _dimension(d)
    strength = validate.number("strength", strength, 0, 1)
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((d, d))
    A /= np.abs(A).sum(1, keepdims=True)
    x = rng.uniform(-1, 1, (starts_for(d), d))
    for _ in range(STEPS):
        before, x = x, np.clip(CUBIC.p(x + strength * x @ A.T), -2, 2)
    settled = np.abs(x - before).max(1) < 1e-9  # strong coupling also makes orbits that go round for ever
    return len(_distinct(x[settled]))


def _distinct(x: np.ndarray) -> np.ndarray:
    return np.unique(np.round(x, 4) + 0.0, axis=0)  # + 0.0 makes -0 a 0


def _dimension(d: object) -> int:
    return validate.integer("d", d, 1, MAX_DIMENSION)


def experiment() -> dict:
    """Counts for d = 1 to 10, the radius and its two kinds of error, and what coupling leaves."""
    counts = [
        {"activation": name, "d": d, "starts": starts_for(d), "found": len(found_attractors(activation, d)), "expected": 2**d}
        for name, activation in ACTIVATIONS.items()
        for d in range(1, 11)
    ]
    strengths = (0.0, 0.05, 0.1, 0.15, 0.19, 0.2, 0.3)
    coupled = {c: [coupled_attractors(c, seed=seed) for seed in range(3)] for c in strengths}
    return {
        "counts": counts,
        "rotated_d6": len(found_attractors(CUBIC, 6, rotated=True)),
        "fixed_points": {name: [list(pair) for pair in a.fixed_points()] for name, a in ACTIVATIONS.items()},
        "radius": {name: a.radius() for name, a in ACTIVATIONS.items()},
        "radius_formula": RADIUS,
        "adversarial": [{"eps": eps, "end": adversarial_orbit(eps)} for eps in (0.1, 0.19, 0.2)],
        "noise": [{"eps": eps, "escaped": noisy_escapes(eps)} for eps in (0.2, 0.3, 0.4)],
        "coupling": [{"strength": c, "found": found, "expected": 256} for c, found in coupled.items()],
    }
