"""Checks of the exercises in notebooks/: `checks.NAME(function)` says whether a student's function is right, and why not.

    from var_mini import checks
    checks.residual_step(residual_step)     # the last line of the exercise's cell
    step = checks.use("residual_step")      # the student's function once its check has passed, ours until then

One file per lesson (lesson01.py ...) holds the exercises; exercise.py says what one is, judging.py compares, grade.py grades.
`checks.capstone(vq_loss, adaln_block, generate)` puts three of the student's functions in place of the library's.
"""

from __future__ import annotations

from .exercise import Exercise, Mistake
from .registry import exercises, find, grading
from .session import use

__all__ = ["Exercise", "Mistake", "exercises", "find", "use"]


def __getattr__(name: str):
    """`checks.NAME` is the check of exercise NAME."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name == "capstone":
        if grading():
            return lambda *args, **options: None  # the grader checks the three exercises; this is the same said in a picture
        from .whole import capstone

        return capstone
    from .session import checker

    try:
        return checker(find(name))
    except ValueError as error:
        raise AttributeError(str(error)) from None
