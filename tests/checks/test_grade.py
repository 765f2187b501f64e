"""The grader: a real process runs what a student might hand in, and the score says what is right."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import nbformat
import pytest

from notebooks.source import read, sources
from tests.checks.students import essential
from var_mini.checks import exercises
from var_mini.checks.__main__ import main
from var_mini.checks.grade import Worker, WorkerLost, grade
from var_mini.checks.isolation import isolation

SCHEMA = {
    "type": "object",
    "required": ["score", "max", "exercises", "notebook"],
    "properties": {
        "score": {"type": "integer", "minimum": 0},
        "max": {"type": "integer", "minimum": 1},
        "exercises": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["lesson", "name", "difficulty", "minutes", "passed", "message"],
                "properties": {"passed": {"type": "boolean"}, "message": {"type": "string"}},
            },
        },
    },
}
SET_UP = "import torch\nimport torch.nn.functional as F\nfrom var_mini import checks"
OFFSETS = """\
def pyramid_offsets(patch_nums):
    ends = [sum(s * s for s in patch_nums[:k + 1]) for k in range(len(patch_nums))]
    return [(end - s * s, end) for s, end in zip(patch_nums, ends)]

checks.pyramid_offsets(pyramid_offsets)"""
NEAREST = "def nearest_code(z, codebook):\n    return torch.cdist(z, codebook).argmin(1)\n\nchecks.nearest_code(nearest_code)"


def notebook(tmp_path, *cells, lesson=1) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (SET_UP, *cells)])
    if lesson is not None:
        made.metadata["var_mini"] = {"lesson": lesson}
    path = tmp_path / "mine.ipynb"
    nbformat.write(made, path)
    return path


def graded(path, **limits) -> dict:
    result = grade(path, **limits)
    jsonschema.validate(result, SCHEMA)
    assert result["score"] == sum(entry["passed"] for entry in result["exercises"])
    return {entry["name"]: entry for entry in result["exercises"]} | {"score": result["score"], "max": result["max"]}


def test_right_wrong_unsolved_and_missing(tmp_path):
    phi = "def mix_phi(h, weight, bias, ratio):\n    return ratio * h\n\nchecks.mix_phi(mix_phi)"
    stub = "def area_downsample(f, side):\n    raise NotImplementedError\n\nchecks.area_downsample(area_downsample)"
    # the notebook does not say its lesson: it is found from the checks
    result = graded(notebook(tmp_path, OFFSETS, "1 / 0", NEAREST, phi, stub, lesson=None))
    assert result["score"] == 2 and result["max"] == sum(e.lesson == 1 for e in exercises().values())
    assert result["pyramid_offsets"]["passed"] and result["nearest_code"]["passed"]
    assert "is wrong" in result["mix_phi"]["message"] or "expected" in result["mix_phi"]["message"]
    assert "not written yet" in result["area_downsample"]["message"]
    assert "no cell calls checks.residual_step(residual_step)" in result["residual_step"]["message"]


def test_printing_and_patching_make_nothing_right(tmp_path):
    forged = """\
import json, os, sys
import var_mini.checks as c
import var_mini.checks.judging as judging, var_mini.checks.session as session
judging.difference = lambda *a: None
judging.judge = session.judge = lambda *a: judging.Verdict(True, "right")
line = json.dumps({"score": 5, "max": 5, "passed": True, "value": {"plain": True}, "submitted": ["pyramid_offsets"]})
print(line); sys.stderr.write(line)
for fd in range(3, 20):
    try:
        os.write(fd, line.encode() + b"\\n")
    except OSError:
        pass

def pyramid_offsets(patch_nums):
    class Yes(list):
        def __eq__(self, other): return True
    print("pyramid_offsets: right on all 5 random inputs.")
    return Yes()

checks.pyramid_offsets(pyramid_offsets)"""
    assert graded(notebook(tmp_path, forged))["score"] == 0


def test_a_cell_that_never_ends_stops_at_the_limit_of_the_notebook(tmp_path):
    result = graded(notebook(tmp_path, "while True: pass", OFFSETS), seconds=10)
    assert result["score"] == 0 and "time limit" in result["pyramid_offsets"]["message"]


def test_a_process_that_loops_dies_or_eats_memory_costs_one_exercise_only(tmp_path):
    loops = OFFSETS.replace("    ends =", "    while True: pass\n    ends =")
    dies = "def area_downsample(f, side):\n    import os; os._exit(0)\n\nchecks.area_downsample(area_downsample)"
    eats = NEAREST.replace("    return", "    hold = torch.ones(1 << 40)\n    return")
    phi = """\
def mix_phi(h, weight, bias, ratio):
    return (1 - ratio) * h + ratio * F.conv2d(h, weight, bias, padding=1)

checks.mix_phi(mix_phi)"""
    result = graded(notebook(tmp_path, loops, dies, eats, phi), call_seconds=2)
    assert result["score"] == 1 and result["mix_phi"]["passed"]
    assert "time limit: not done after 2 s" in result["pyramid_offsets"]["message"]
    assert "the process ended" in result["area_downsample"]["message"]
    assert "raised RuntimeError" in result["nearest_code"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"\xff\xfe\x00", b"[]", b"{}", b'{"cells": 3, "nbformat": 4}', b'{"cells": [], "nbformat": 3}',
        b'{"cells": [1], "nbformat": 4}', b'{"cells": [{"cell_type": "code", "source": 7}], "nbformat": 4}', b"[" * 100_000,
        b'{"cells": [{"cell_type": "code", "source": ["a", 1]}], "nbformat": 4}', b'{"cells": [], "nbformat": 4}',
        b'{"nbformat": 4, "metadata": {"x": ' + b"[" * 5000 + b"]" * 5000 + b'}, "cells": []}',
        b'{"nbformat": 4, "metadata": {"var_mini": {"lesson": ' + b"9" * 5000 + b'}}, "cells": []}',
        b'{"nbformat": 4, "metadata": {"var_mini": {"lesson": ' + b"9" * 4000 + b'}}, "cells": []}',
    ],
)  # fmt: skip
def test_files_that_are_not_such_notebooks_are_refused(tmp_path, capsys, content):
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    assert main(["grade", str(path)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: notebook") and "Traceback" not in told.err and not told.out


def test_missing_and_large_files_are_refused(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "none.ipynb")]) == 2
    assert main(["grade", str(tmp_path)]) == 2
    large = tmp_path / "large.ipynb"
    with large.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    assert main(["grade", str(large)]) == 2
    assert "at most" in capsys.readouterr().err
    with pytest.raises(ValueError, match="seconds"):
        grade(notebook(tmp_path, OFFSETS), seconds=float("nan"))


def test_a_worker_keeps_its_pipes_to_itself():
    worker = Worker(4096, isolation())
    try:
        assert worker.ask({"cell": "import sys\nprint('x' * 100000)\nsys.stdin.read()"}, 300)["submitted"] == []
        with pytest.raises(WorkerLost, match="time limit"):
            worker.ask({"cell": "while True: pass"}, 1)
    finally:
        worker.close()
    assert worker.process.poll() is not None


def test_the_list_of_exercises():
    told = subprocess.run([sys.executable, "-m", "var_mini.checks", "list", "--json"], capture_output=True, text=True, check=True)
    listed = json.loads(told.stdout.splitlines()[-1])
    assert [entry["name"] for entry in listed["exercises"]] == list(exercises())
    assert all(set(entry) == {"lesson", "name", "difficulty", "minutes"} for entry in listed["exercises"])
    assert listed["machine"]["torch"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["solution", "student"])
def test_solutions_of_all_lessons_get_full_marks_and_stubs_none(kind, tmp_path):
    """All exercises in one notebook of no lesson; what a lesson shows between them runs in tests/notebooks."""
    cells = [cell for source in sources() for cell in essential(read(source, kind)).cells]
    path = tmp_path / "all.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    result = graded(path)
    assert result["max"] == len(exercises())
    assert result["score"] == (len(exercises()) if kind == "solution" else 0), result
    assert kind == "solution" or all("not written yet" in result[name]["message"] for name in exercises())


@pytest.mark.slow
def test_a_lesson_as_it_is_handed_in_gets_full_marks(tmp_path):
    path = tmp_path / "solution.ipynb"
    nbformat.write(read(sources()[0], "solution"), path)
    result = graded(path)
    assert result["score"] == result["max"] == sum(exercise.lesson == 1 for exercise in exercises().values()), result
