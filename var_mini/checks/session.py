"""Checks inside a notebook: the message, the picture, and which exercises have been solved so far."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .calling import call, quiet_call
from .exercise import Exercise
from .judging import Verdict, expected_of, judge
from .registry import find, grading
from .values import as_expected

SEED = 0  # a notebook's random inputs; the grader takes others

_SOLVED: dict[str, Callable] = {}
_SUBMITTED: dict[str, Callable] = {}


class CheckFailed(AssertionError):  # noqa: N818 (a student reads this name)
    """A student's function is not right; the message says why. Notebooks show it without a stack trace."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31mNot yet right.\x1b[0m {self}"]


def checker(exercise: Exercise) -> Callable:
    """The function behind `checks.NAME`."""

    def check(function: Callable) -> None:
        __tracebackhide__ = True
        verdict = _verdict(exercise, function)
        if verdict is None:
            return
        if verdict.unsolved:
            raise _unsolved(exercise)
        _show(exercise, verdict)
        if not verdict.passed:
            raise CheckFailed(verdict.message)

    check.__name__ = exercise.name
    check.__doc__ = f"Checks your function `{exercise.name}` and shows what it did."
    return check


def _verdict(exercise: Exercise, function: Callable) -> Verdict | None:
    _SOLVED.pop(exercise.name, None)
    if not callable(function):
        told = (
            f"{exercise.name}: give the check your function itself, `checks.{exercise.name}({exercise.name})`, without calling it"
        )
        return Verdict(False, told)
    if grading():
        _SUBMITTED[exercise.name] = _SOLVED[exercise.name] = function
        return None
    calls = iter([call])  # what the function prints is shown once
    verdict = judge(exercise, lambda args: next(calls, quiet_call)(function, args, exercise.gradients), SEED)
    if verdict.passed:
        _SOLVED[exercise.name] = function
    return verdict


def _unsolved(exercise: Exercise) -> NotImplementedError:
    error = NotImplementedError(f"{exercise.name} is not written yet: replace the line `raise NotImplementedError` by your code")
    error._render_traceback_ = lambda: [f"NotImplementedError: {error}"]
    return error


def _show(exercise: Exercise, verdict: Verdict) -> None:
    from .picture import show

    if verdict.passed:
        print(verdict.message)
    show(exercise, verdict)


def submitted() -> dict[str, Callable]:
    """In the grader's process: the functions that checks were called with."""
    return _SUBMITTED


def use(name: str) -> Callable:
    """The student's function once its check has passed in this session; until then ours, so that a lesson reads on."""
    exercise = find(name)
    if name in _SOLVED:
        return _SOLVED[name]
    return exercise.reference or (lambda *args: _like(as_expected(expected_of(exercise, dict(enumerate(args)))), args))


def _like(value, args):
    """An oracle's float64 in the precision of the arguments."""
    if isinstance(value, (list, tuple)):
        return type(value)(_like(part, args) for part in value)
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    given = next((arg.dtype for arg in args if isinstance(arg, torch.Tensor) and arg.is_floating_point()), torch.float32)
    return value.to(given)
