"""All exercises, found in the files lessonNN.py beside this one."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import pkgutil
from functools import cache

from .. import validate
from .exercise import Exercise

GRADING = "VAR_MINI_GRADING"  # set in the grader's process to what is public of every exercise: the rest is not there


@cache
def exercises() -> dict[str, Exercise]:
    """Exercises by name, in the order of the lessons."""
    if grading():
        return {public[1]: _without_solution(*public) for public in json.loads(os.environ[GRADING])}
    found: dict[str, Exercise] = {}
    package = importlib.import_module(__package__)
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("lesson")):
        for exercise in importlib.import_module(f"{__package__}.{name}").EXERCISES:
            if exercise.name in found:
                raise ValueError(f"exercise {exercise.name!r}: stands in two lessons")
            found[exercise.name] = exercise
    return found


def grading() -> bool:
    """Whether this is the process in which the grader runs a notebook: a check then only takes note of the function."""
    return GRADING in os.environ


def names_for_worker() -> dict[str, str]:
    """The environment from which that process knows which exercises there are."""
    return {GRADING: json.dumps([(e.lesson, e.name, e.difficulty, e.minutes, e.gradients) for e in exercises().values()])}


def _without_solution(lesson: int, name: str, difficulty: int, minutes: int, gradients: bool) -> Exercise:
    def absent(*_):
        raise NotImplementedError(f"{name}: no solution was handed in, and the grader's own is not in this process")

    return Exercise(lesson, name, difficulty, minutes, case=absent, oracle=absent, reference=absent, gradients=gradients)


def find(name: str) -> Exercise:
    """The exercise of a name. Raises ValueError that names the nearest one."""
    if name not in exercises():
        near = difflib.get_close_matches(str(name), exercises(), 1)
        hint = f"; did you mean {near[0]}?" if near else ": must be one of " + validate.listed(exercises())
        raise ValueError(f"there is no exercise {str(name)[:60]!r}{hint}")
    return exercises()[name]


def number_of(exercise: Exercise) -> str:
    """How the lesson counts it, such as `1.2`."""
    same = [other.name for other in exercises().values() if other.lesson == exercise.lesson]
    return f"{exercise.lesson}.{same.index(exercise.name) + 1}"
