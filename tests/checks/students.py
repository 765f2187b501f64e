"""What the tests of all lessons share: a check's verdict on a function that a student might hand in."""

from __future__ import annotations

import ast
from functools import cache

import nbformat

from notebooks.source import read, sources
from var_mini.checks import Exercise, exercises, find
from var_mini.checks.calling import quiet_call
from var_mini.checks.judging import Verdict, expected_of, judge

NAMES = list(exercises())
# One exercise for each type of result, and all that judge results by themselves: what does not depend on the exercise takes the
# same path for all others.
KINDS = list(
    {
        exercise.name if exercise.judge else type(expected_of(exercise, exercise.inputs(0)[0])).__name__: exercise.name
        for exercise in reversed(exercises().values())
    }.values()
)


def verdict(name: str, function, seed: int = 0) -> Verdict:
    return verdict_of(find(name), function, seed)


def verdict_of(exercise: Exercise, function, seed: int = 0) -> Verdict:
    return judge(exercise, lambda args: quiet_call(function, args, exercise.gradients), seed)


def told(name: str, function, seed: int = 0) -> str:
    """What the check says about a function that is wrong."""
    found = verdict(name, function, seed)
    assert not found.passed, f"{name}: a wrong solution passed"
    return found.message


@cache
def solutions() -> dict:
    """The solution of every exercise, from the sources of the lessons."""
    found = {}
    for source in sources():
        namespace: dict = {"checks": None}
        for cell in essential(read(source, "solution")).cells:
            name = cell.metadata.get("var_mini", {}).get("exercise")
            code = cell.source.rstrip().rsplit("\n", 1)[0] if name else cell.source  # without the check
            exec(compile(code, f"{source.name}:{name}", "exec"), namespace)
            found |= {name: namespace[name]} if name else {}
    return found


def essential(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its exercises alone, and of all other cells what they import."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        if "exercise" not in cell.metadata.get("var_mini", {}):
            lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
            imports = [node for node in ast.parse("\n".join(lines)).body if isinstance(node, (ast.Import, ast.ImportFrom))]
            cell.source = ast.unparse(ast.Module(imports, []))
    notebook.cells = cells
    return notebook
