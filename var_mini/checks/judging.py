"""Whether a function is right: it is called on random inputs, and the first fault is put into words.

The function is reached through `call`, so that a notebook judges one in its own process and the grader one in another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .exercise import Exercise, Mistake
from .values import as_expected, difference, duplicate


@dataclass(frozen=True)
class Outcome:
    """What one call of a student's function did."""

    value: object = None
    fault: str | None = None  # it raised, ran too long or died; in words
    unsolved: bool = False  # it raised NotImplementedError
    changed: tuple[str, ...] = ()  # arguments that it changed in place


@dataclass(frozen=True)
class Record:
    """One case: the inputs, what came out and what should have."""

    args: dict
    got: object
    expected: object


@dataclass(frozen=True)
class Verdict:
    passed: bool
    message: str
    unsolved: bool = False
    records: list[Record] = field(default_factory=list)  # up to the first fault, which is the last one


def expected_of(exercise: Exercise, args: dict):
    """What the oracle says about one case."""
    return as_expected(exercise.oracle(*duplicate(list(args.values()))))


def judge(exercise: Exercise, call: Callable[[dict], Outcome], seed: int) -> Verdict:
    """Calls the function on every case of `seed` and stops at the first fault. `call` gets copies of a case's values."""
    records, cases = [], exercise.inputs(seed)
    for number, args in enumerate(cases):
        expected = expected_of(exercise, args)
        outcome = call(duplicate(args))
        records.append(Record(args, outcome.value, expected))
        if outcome.unsolved:
            return Verdict(False, f"{exercise.name} is not written yet", True, records)
        fault = _fault(exercise, args, outcome, expected)
        if fault:
            mistake = None if outcome.fault else _known(exercise, call, cases[number:], outcome.value)
            hint = f"\nIt looks as if your code {mistake.what}. {mistake.why}" if mistake else ""
            return Verdict(False, f"{exercise.name}: {fault} (input {number + 1} of {len(cases)}){hint}", False, records)
    return Verdict(True, f"{exercise.name}: right on all {len(cases)} random inputs.", False, records)


def _fault(exercise: Exercise, args: dict, outcome: Outcome, expected) -> str | None:
    if outcome.fault:
        return outcome.fault
    if outcome.changed:
        names = ", ".join(outcome.changed)
        return f"your function changed its argument {names} in place: the caller still needs it; compute a new tensor instead"
    if exercise.judge is not None:
        return exercise.judge(args, outcome.value)
    return difference(expected, outcome.value, exercise.rtol, exercise.atol)


def _known(exercise: Exercise, call: Callable, cases: list[dict], got) -> Mistake | None:
    """The known mistake that gives exactly these results, on this case and on those after it where it shows."""
    for mistake in exercise.mistakes:
        if not _explains(exercise, mistake, cases[0], got):
            continue
        later = (args for args in cases[1:] if _shows(exercise, mistake, args))
        if all(_explains(exercise, mistake, args, call(duplicate(args)).value) for args in later):
            return mistake
    return None


def mistaken(mistake: Mistake, args: dict):
    """What the mistake gives for a case, or None where such code would fail."""
    try:
        return as_expected(mistake.solution(*duplicate(list(args.values()))))
    except Exception:  # wrong code may fail in any way
        return None


def _explains(exercise: Exercise, mistake: Mistake, args: dict, got) -> bool:
    wrong = mistaken(mistake, args)
    return wrong is not None and difference(wrong, got, exercise.rtol, exercise.atol) is None


def _shows(exercise: Exercise, mistake: Mistake, args: dict) -> bool:
    """Whether the mistake changes the result of this case."""
    wrong = mistaken(mistake, args)
    return wrong is not None and difference(expected_of(exercise, args), wrong, exercise.rtol, exercise.atol) is not None
