"""What the tests of all lessons share: a check's verdict on a function that a student might hand in."""

from __future__ import annotations

from var_mini.checks import Exercise, find
from var_mini.checks.calling import quiet_call
from var_mini.checks.judging import Verdict, judge


def verdict(name: str, function, seed: int = 0) -> Verdict:
    return verdict_of(find(name), function, seed)


def verdict_of(exercise: Exercise, function, seed: int = 0) -> Verdict:
    return judge(exercise, lambda args: quiet_call(function, args, exercise.gradients), seed)


def told(name: str, function, seed: int = 0) -> str:
    """What the check says about a function that is wrong."""
    found = verdict(name, function, seed)
    assert not found.passed, f"{name}: a wrong solution passed"
    return found.message
