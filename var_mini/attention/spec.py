"""Which attention back end to use, with its parameters: read from a short name such as `poly-2` or `landmark-64`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import comb

from .. import validate

METHODS = ("auto", "budget", "exact", "landmark", "local", "poly", "pool")
PARAMETERS = {  # method -> the field that its number sets
    "poly": "degree",
    "landmark": "landmarks",
    "pool": "factor",
    "local": "neighbours",
    "budget": "budget",
}
DEGREES = (2, 4, 6, 8)
FACTORS = (2, 4)
NEIGHBOURS = (1, 9, 25, 49, 81)
MIN_BUDGET, MAX_BUDGET = 4, 4096
MIN_LANDMARKS, MAX_LANDMARKS = 16, 256
MAX_RANK = 4096  # a state of r * (d + 1) numbers, as large as a cache of r * (d + 1) / 2d tokens


@dataclass(frozen=True)
class AttentionSpec:
    """One back end. Raises ValueError naming the parameter, its value and the range.

    exact     softmax over a KV cache
    poly      exp replaced by a polynomial of even `degree`, with Taylor or calibrated coefficients
    landmark  Nystrom approximation with `landmarks` centres per head, calibrated on training images
    pool      keys and values of every fine scale averaged over `factor` x `factor` cells
    local     the `neighbours` nearest tokens of the same scale, without a cache
    budget    the `budget` keys of each head that a few probing queries look at most
    auto      one of these by tokens, rank and logit bound, see `choose`
    """

    method: str = "exact"
    degree: int = 2
    calibrated: bool = False
    landmarks: int = 64
    factor: int = 2
    neighbours: int = 9
    budget: int = 32

    def __post_init__(self) -> None:
        validate.one_of("attention", self.method, METHODS)
        degree = validate.integer("degree", self.degree, 1, DEGREES[-1])
        if degree % 2:
            raise ValueError(f"degree = {degree}: must be even (2, 4, 6 or 8); weights of an odd degree can be negative")
        validate.boolean("calibrated", self.calibrated)
        validate.integer("landmarks", self.landmarks, MIN_LANDMARKS, MAX_LANDMARKS)
        if self.factor not in FACTORS:
            raise ValueError(f"factor = {validate.shown(self.factor)}: pooling must be by 2 or 4")
        if self.neighbours not in NEIGHBOURS:
            raise ValueError(f"neighbours = {validate.shown(self.neighbours)}: must be a square window, 1, 9, 25, 49 or 81")
        validate.integer("budget", self.budget, MIN_BUDGET, MAX_BUDGET)

    @staticmethod
    def parse(given: str | AttentionSpec) -> AttentionSpec:
        """`exact`, `poly[-DEGREE][-calibrated]`, `landmark[-M]`, `pool[-F]`, `local[-K]`, `budget[-B]` or `auto`."""
        if isinstance(given, AttentionSpec):
            return given
        match = re.fullmatch(r"([a-z]+)(?:-(\d{1,6}))?(-calibrated)?", given) if isinstance(given, str) else None
        method, number, calibrated = match.groups() if match else (given, None, None)
        validate.one_of("attention", method, METHODS)
        parameter = PARAMETERS.get(method)
        if (number and parameter is None) or (calibrated and method != "poly"):
            raise ValueError(f"attention = {validate.shown(given)}: {method} takes no such parameter")
        spec = AttentionSpec(method, calibrated=bool(calibrated))
        return replace(spec, **{parameter: int(number)}) if number and parameter else spec

    def __str__(self) -> str:
        number = getattr(self, PARAMETERS[self.method]) if self.method in PARAMETERS else None
        return self.method + (f"-{number}" if number else "") + ("-calibrated" if self.calibrated else "")

    def rank(self, head_dim: int) -> int | None:
        """As `features`; None for a method without a state of constant size."""
        return self.features(head_dim) if self.method in ("poly", "landmark") else None

    def features(self, head_dim: int) -> int:
        """Number of features r of a state of constant size: C(d + g, g) monomials, or m landmarks.

        Raises ValueError where r is above MAX_RANK, and for a method without such a state.
        """
        if self.method == "landmark":
            return self.landmarks
        if self.method != "poly":
            raise ValueError(f"attention = {str(self)!r}: must have a state of constant size, poly-G or landmark-M")
        rank = comb(head_dim + self.degree, self.degree)
        if rank > MAX_RANK:
            raise ValueError(
                f"attention = {str(self)!r}: has C({head_dim} + {self.degree}, {self.degree}) = {rank:,} features at head "
                f"dimension {head_dim}: must be at most {MAX_RANK:,}, or the state is larger than the cache of most token maps"
            )
        return rank
