"""What an exercise is: random inputs, an independent oracle, known mistakes, and a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import torch


class Tolerances(TypedDict):
    rtol: float
    atol: float


WHOLE: Tolerances = {"rtol": 0.0, "atol": 0.0}  # of counts, which must be right to the last one


@dataclass(frozen=True)
class Mistake:
    """A well-known wrong solution: where a student's results equal its results, the message can say what went wrong."""

    what: str  # what such code does, a verb phrase: "uses the previous token map instead of f_hat"
    why: str  # a sentence or two that says what is right
    solution: Callable  # computes what that mistake gives; called like the oracle


@dataclass(frozen=True)
class Exercise:
    """One exercise and all that its check knows.

    case      case(rng, number) -> {argument name: value}: random inputs; number counts from 0, small or special ones first.
              Values are torch tensors, numbers, strings, None, and lists, tuples or dicts of these.
    oracle    the right result, computed from the formula by other means than the library (numpy, float64, loops); called with
              copies of a case's values by position. Returns a tensor or array, a number, a string, or a list or tuple of these.
    reference what later cells of the lesson use until the exercise is solved; by default the oracle, in the inputs' precision
    draw      draw(figure, args, got, expected) fills a matplotlib Figure; by default expected, got and difference side by side
    judge     judge(args, got) -> None or a message, for the few exercises that have more than one right answer
    gradients whether the gradients of what is returned count, too: see calling.py; the oracle then gives them as well
    """

    lesson: int
    name: str
    difficulty: int  # 1 to 5
    minutes: int
    case: Callable[[torch.Generator, int], dict]
    oracle: Callable
    mistakes: tuple[Mistake, ...] = ()
    reference: Callable | None = None
    draw: Callable | None = None
    judge: Callable | None = None
    gradients: bool = False
    rtol: float = 1e-4
    atol: float = 1e-5
    cases: int = 5

    def inputs(self, seed: int) -> list[dict]:
        """The inputs of all cases, the same for the same seed."""
        rng = torch.Generator().manual_seed(seed)
        return [self.case(rng, number) for number in range(self.cases)]
