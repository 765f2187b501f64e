"""docs/paper_map.md names files, functions and tests: all of them are there, under these names."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ROWS = [line.strip("|").split("|") for line in (DOCS / "paper_map.md").read_text().splitlines() if line.startswith("| ")][2:]


def names_in(place: Path) -> set[str]:
    """What may be named of a file: classes, functions, and methods with or without their class; of a folder: its files."""
    if place.is_dir():
        return {path.stem for path in place.iterdir()}
    found = set()
    for node in ast.parse(place.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            found |= {*methods, *(f"{node.name}.{method}" for method in methods)}
    return found


def missing(cell: str) -> list[str]:
    """Of a cell with [files](...) and the `names` that stand behind each: those that are not there."""
    lost = []
    for target, behind in re.findall(r"\]\(([^)]+)\)([^\[]*)", cell):
        place = (DOCS / target).resolve()
        known = names_in(place) if place.is_dir() or place.suffix == ".py" else set()
        lost += [] if place.exists() else [target]
        lost += [f"{target} {name}" for name in re.findall(r"`([^`]+)`", behind) if name not in known]
    return lost


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip()[:40] for row in ROWS])
def test_every_file_function_and_test_of_a_row_exists(row):
    _, code, _, tests = row
    assert re.search(r"\]\(", code), "a row names its file"
    assert missing(code) == []
    assert [path for path in tests.strip().split(", ") if not (ROOT / path).exists()] == []


def test_what_is_not_there_is_seen():
    cell = "[a](../var_mini/pyramid.py) `ScalePyramid.split`, `ScalePyramid.mask`; [b](../var_mini/attention) `no`; [c](x)"
    assert missing(cell) == ["../var_mini/pyramid.py ScalePyramid.mask", "../var_mini/attention no", "x"]
