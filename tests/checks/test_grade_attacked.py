"""Notebooks that attack the grader: each costs its own exercise at most, and none is worth a point."""

import json
import textwrap

import pytest

from tests.checks.test_grade import OFFSETS, graded, notebook
from var_mini import checks
from var_mini.checks.__main__ import main
from var_mini.checks.grade import Worker, WorkerLost, grade
from var_mini.checks.isolation import isolation
from var_mini.checks.wire import decode, encode

pytestmark = pytest.mark.slow
TO_ALL = """\
import os, stat
for fd in range(3, 20):
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode): os.write(fd, {!r})
    except OSError: pass
"""


@pytest.fixture(params=["auto", "process"])
def mode(request) -> str:
    if request.param == "auto" and not isolation().namespaces:
        pytest.skip("no namespaces here")
    return request.param


@pytest.fixture
def worker():
    made = Worker(4096, isolation())
    made.ask({"cell": ""}, 600)
    yield made
    made.close()


def test_reading_and_writing_are_under_one_deadline(worker):
    """The notebook reads no more: a long cell then does not fit into the pipe."""
    for cell in ("while True: pass", "#" * 3_000_000):
        with pytest.raises(WorkerLost, match="time limit"):
            worker.ask({"cell": cell}, 1)


def test_a_notebook_that_answers_itself_stops_at_its_limit(tmp_path):
    forged = TO_ALL.format(b'{"submitted": ["pyramid_offsets"], "id": 1}\n' * 3) + "while True: pass"
    assert grade(notebook(tmp_path, forged, "#" * 300_000, OFFSETS), seconds=10)["score"] == 0


RAW = (
    b'{"id": 2, "value": ' + b"[" * 3000 + b"]" * 3000 + b"}\n",
    b'{"id": 2, "value": ' + b"9" * 5000 + b"}\n",
    b'{"' + b"9" * 5000 + b'": {}}\n',
    b'\xff\xfe\n[1]\n"x"\nNaN\n\n',
)


def test_lines_from_a_notebook_are_noise_and_a_flood_ends_it(worker):
    assert worker.ask({"cell": "".join(map(TO_ALL.format, RAW))}, 120)["submitted"] == []
    worker.ask({"cell": "from var_mini import checks\nchecks.pyramid_offsets(lambda x: x + 1)"}, 120)
    answer = worker.ask({"call": "pyramid_offsets", "args": encode({"x": 6})}, 120)
    assert decode(answer["value"]) == 7
    flood = "while True:\n" + textwrap.indent(TO_ALL.format(b"x" * 60_000), "  ")
    with pytest.raises(WorkerLost, match="the process ended"):
        worker.ask({"cell": flood}, 120)


def cell(name: str, body: str) -> str:
    return f"import os\ndef {name}(*args):\n    {body}\nchecks.{name}({name})"


ATTACKS = {
    "area_downsample": "class Lie(float):\n        def hex(self): return '0x1p99999'\n    return Lie(1)",
    "nearest_code": "deep = []\n    for _ in range(3000): deep = [deep]\n    return deep",
    "mix_phi": "return {10 ** 5000: 1}",
    "residual_step": "os.kill(os.getppid(), 9)",
}


def test_an_attack_costs_the_exercise_it_stands_in(mode, tmp_path):
    cells = [cell(name, body) for name, body in ATTACKS.items()]
    result = graded(notebook(tmp_path, *cells, OFFSETS), isolate=mode)
    assert result["pyramid_offsets"]["passed"] and result["score"] == 1, result


def test_the_graders_own_functions_solve_nothing(mode, tmp_path):
    names = [name for name, exercise in checks.exercises().items() if exercise.lesson == 1]
    lent = [f"checks.{name}(checks.use('{name}'))" for name in names[:2]]
    found = "from var_mini.checks import find\nchecks.{0}(find('{0}').{1})"
    taken = [found.format(names[2], "oracle"), found.format(names[3], "reference")]
    imported = f"from var_mini.checks import lesson01\nchecks.{names[4]}(lesson01.RESIDUAL_STEP.oracle)"
    result = graded(notebook(tmp_path, *lent, *taken, imported), isolate=mode)
    assert result["score"] == 0 and "no cell calls" not in result[names[3]]["message"]
    assert "not written yet" in result[names[0]]["message"] and "no cell calls" in result[names[4]]["message"]


def test_what_was_handed_in_serves_later_cells_and_functions_of_the_library_are_named(tmp_path, capsys):
    calls = """\
from var_mini.pyramid import ScalePyramid

def pyramid_offsets(patch_nums):
    return [(part.start, part.stop) for part in ScalePyramid(patch_nums).slices]

checks.pyramid_offsets(pyramid_offsets)"""
    later = "assert checks.use('pyramid_offsets')((1, 2)) == [(0, 1), (1, 5)]\nchecks.nearest_code(lambda z, codebook: z)"
    assert main(["grade", str(notebook(tmp_path, calls, later)), "--isolate", "process"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    offsets, nearest = (next(e for e in result["exercises"] if e["name"] == n) for n in ("pyramid_offsets", "nearest_code"))
    assert offsets["passed"] and any("var_mini.pyramid.ScalePyramid" in name for name in offsets["library"])
    assert "no cell calls" not in nearest["message"] and nearest["library"] == []
    assert result["not_isolated"] and all(f"not isolated: {gap}\n" in told.err for gap in result["not_isolated"])
