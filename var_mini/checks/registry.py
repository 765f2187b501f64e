"""All exercises, found in the files lessonNN.py beside this one."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from .. import validate
from .exercise import Exercise


@cache
def exercises() -> dict[str, Exercise]:
    """Exercises by name, in the order of the lessons."""
    found: dict[str, Exercise] = {}
    package = importlib.import_module(__package__)
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("lesson")):
        for exercise in importlib.import_module(f"{__package__}.{name}").EXERCISES:
            if exercise.name in found:
                raise ValueError(f"exercise {exercise.name!r}: stands in two lessons")
            found[exercise.name] = exercise
    return found


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
