"""What a notebook's process can reach: every attack runs in a real one, with namespaces and without."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checks.test_grade import OFFSETS, graded, notebook
from var_mini import checks
from var_mini.checks.grade import Worker, WorkerLost, grade
from var_mini.checks.isolation import Isolation, isolation, unreadable
from var_mini.checks.wire import decode, encode

MARK = f"98765.{os.getpid()}"  # an argument of `sleep` by which a test finds the processes of its notebook again
STRAY = f"""\
import os, subprocess
if os.fork() == 0:
    os.setsid()
    subprocess.Popen(["sleep", "{MARK}"], start_new_session=True)
    os._exit(0)
os.wait()"""


@pytest.fixture(scope="module", params=["namespaces", "process"])
def mode(request) -> str:
    try:
        isolation(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture(scope="module")
def shared(mode):
    """One process for all tests that leave it as it was."""
    made = Worker(4096, isolation(mode))
    yield made
    made.close()


@pytest.fixture
def worker():
    made = Worker(4096, isolation())
    yield made
    made.close()


def found(worker: Worker, body: str, *args):
    """What the function `probe(*args)` of these lines returns in the notebook's process."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    names = ", ".join(f"x{i}" for i in range(len(args)))
    cell = f"from var_mini import checks\ndef probe({names}):\n{lines}\nchecks.pyramid_offsets(probe)"
    assert worker.ask({"cell": cell}, 120)["submitted"] == ["pyramid_offsets"]
    sent = encode({f"x{i}": value for i, value in enumerate(args)})
    answer = worker.ask({"call": "pyramid_offsets", "args": sent}, 120)
    assert answer.get("fault") is None, answer
    return decode(answer["value"])


def strays() -> list[str]:
    """Processes with the mark in their command line, as this process sees them."""
    lines = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            lines[place.name] = (place / "cmdline").read_bytes()
        except OSError:
            continue
    return [number for number, line in lines.items() if line == f"sleep\0{MARK}\0".encode()]


def gone() -> bool:
    for _ in range(600):
        if not strays():
            return True
        time.sleep(0.1)
    return False


def test_neither_memory_nor_environment_of_the_grader_is_read(mode, shared):
    if mode == "process" and os.geteuid() == 0:
        pytest.skip("root reads everything where there are no namespaces")
    body = """\
seen = []
for name in ("mem", "environ", "maps"):
    try:
        open(f"/proc/{x0}/{name}", "rb").close()
        seen.append(name)
    except OSError:
        pass
return seen"""
    with unreadable():
        assert found(shared, body, os.getpid()) == []


def test_the_oracles_are_not_there_to_be_imported(shared):
    body = """\
import importlib, pkgutil, var_mini.checks
gone = []
for name in ["lesson01", "lesson05", "pieces", "grade", "remote", "isolation"]:
    try:
        importlib.import_module(f"var_mini.checks.{name}")
    except ImportError:
        gone.append(name)
return gone + [module.name for module in pkgutil.iter_modules(var_mini.checks.__path__)]"""
    answer = found(shared, body)
    assert answer[:6] == ["lesson01", "lesson05", "pieces", "grade", "remote", "isolation"]
    assert "session" in answer[6:] and not [name for name in answer[6:] if name.startswith("lesson")]


def test_with_namespaces_nothing_else_is_in_sight(mode, shared):
    if mode == "process":
        pytest.skip("not shut off without namespaces, as docs/grading.md says")
    places = [str(Path(checks.__file__).parent / "lesson01.py"), str(Path(__file__)), "/etc/shadow", os.path.expanduser("~/.ssh")]
    body = """\
import os, socket
def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return True
    return False
library = os.path.dirname(os.path.dirname(__import__("var_mini").checks.__file__))
here = {
    "in sight": [place for place in x0 if os.path.exists(place)],
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "no network": fails(socket.create_connection, ("127.0.0.1", x1), 5),
    "no signal": fails(os.kill, x2, 0),
    "library is read-only": fails(open, os.path.join(library, "config.py"), "a"),
    "python is read-only": fails(open, os.__file__, "a"),
    "no mount": fails(os.mkdir, "/usr/mine"),
    "user": os.getuid(),
}
return here"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = found(shared, body, places, server.getsockname()[1], os.getpid())
    assert here.pop("user") == (os.getuid() or 65534)
    assert here.pop("processes") <= 3  # the first one of the namespace, the notebook's, and nothing else
    assert here.pop("in sight") == [] and all(here.values()), here


def test_all_that_a_notebook_starts_ends_with_it(mode):
    worker = Worker(4096, isolation(mode))
    try:
        worker.ask({"cell": STRAY}, 120)
        assert strays()
    finally:
        worker.close()
    assert gone()


def test_all_ends_with_a_grader_that_is_killed(mode, tmp_path):
    path = notebook(tmp_path, STRAY, "while True: pass")
    grader = subprocess.Popen([sys.executable, "-m", "var_mini.checks", "grade", str(path), "--isolate", mode])
    try:
        for _ in range(600):
            if strays():
                break
            time.sleep(0.1)
        assert strays()
    finally:
        grader.kill()
        grader.wait()
    assert gone()


def test_the_number_of_processes_is_limited(mode, shared):
    if mode == "process" and os.geteuid() == 0:
        pytest.skip("root has no such limit")
    body = """\
import os, signal
children = []
try:
    while len(children) < 5000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
return len(children)"""
    assert 0 < found(shared, body) < 5000


def test_the_memory_of_all_processes_together_is_limited(mode):
    eats = """\
import os, signal
for _ in range(8):
    if os.fork() == 0:
        hold = bytearray(os.urandom(1)) * (160 << 20)
        signal.pause()
while True: pass"""
    worker = Worker(700, isolation(mode))
    try:
        with pytest.raises(WorkerLost, match="the process ended"):
            worker.ask({"cell": eats}, 300)
    finally:
        worker.close()


def test_reading_and_writing_are_under_one_deadline(worker):
    """The notebook answers a question itself and reads no more: a long cell then does not fit into the pipe."""
    with pytest.raises(WorkerLost, match="time limit"):
        worker.ask({"cell": "while True: pass"}, 1)
    with pytest.raises(WorkerLost, match="time limit"):
        worker.ask({"cell": "#" * 3_000_000}, 1)


FORGING = """\
import os, time
for fd in range(3, 20):
    try:
        os.write(fd, b'{"submitted": ["pyramid_offsets"], "id": 1}\\n' * 3)
    except OSError:
        pass
while True: pass"""


def test_a_notebook_that_answers_itself_stops_at_its_limit(tmp_path):
    path = notebook(tmp_path, FORGING, "#" * 300_000, OFFSETS)
    assert grade(path, seconds=20)["score"] == 0


def cell(name: str, body: str) -> str:
    return f"import os, sys\ndef {name}(*args):\n    {body}\nchecks.{name}({name})"


ATTACKS = {
    "area_downsample": "class Lie(float):\n        def hex(self): return '0x1p99999'\n    return Lie(1)",
    "nearest_code": "deep = []\n    for _ in range(3000): deep = [deep]\n    return deep",
    "mix_phi": "return {10 ** 5000: 1}",
    "residual_step": "os.kill(os.getppid(), 9)",
}


def test_an_attack_costs_the_exercise_it_stands_in(mode, tmp_path):
    path = notebook(tmp_path, OFFSETS, *(cell(name, body) for name, body in ATTACKS.items()))
    result = graded(path, isolate=mode)
    assert result["pyramid_offsets"]["passed"] and result["score"] == 1


RAW = [
    b'{"id": 1, "value": ' + b"[" * 3000 + b"]" * 3000 + b"}\n",
    b'{"id": 1, "value": ' + b"9" * 5000 + b"}\n",
    b'{"' + b"9" * 5000 + b'": {}}\n',
    b"\xff\xfe\n",
    b'[1]\n"x"\nNaN\n',
]


def test_no_line_from_a_notebook_is_more_than_noise(worker):
    told = "import os\n" + "".join(f"for fd in range(3, 20):\n    try: os.write(fd, {line!r})\n    except OSError: pass\n" for line in RAW)
    assert worker.ask({"cell": told}, 120)["submitted"] == []
    assert found(worker, "return 7") == 7


def test_a_flood_of_answers_ends_the_talk(worker):
    flood = "import os\nwhile True:\n    for fd in range(3, 20):\n        try: os.write(fd, b'x' * 65536)\n        except OSError: pass"
    with pytest.raises(WorkerLost, match="the process ended"):
        worker.ask({"cell": flood}, 120)


def test_the_graders_own_functions_solve_nothing(mode, tmp_path):
    names = [name for name, exercise in checks.exercises().items() if exercise.lesson == 1]
    lent = [f"checks.{name}(checks.use('{name}'))" for name in names[:2]]
    found = "from var_mini.checks.registry import find\nchecks.{0}(find('{0}').{1})"
    taken = [found.format(names[2], "oracle"), found.format(names[3], "reference")]
    imported = f"from var_mini.checks import lesson01\nchecks.{names[4]}(lesson01.RESIDUAL_STEP.oracle)"
    result = graded(notebook(tmp_path, *lent, *taken, imported), isolate=mode)
    assert result["score"] == 0, result


def test_later_cells_use_what_was_handed_in(tmp_path):
    checked = "assert checks.use('pyramid_offsets')((1, 2)) == [(0, 1), (1, 5)]\n" + OFFSETS.replace("pyramid_offsets(", "mix_phi(")
    result = graded(notebook(tmp_path, OFFSETS, checked))
    assert "no cell calls" not in result["mix_phi"]["message"]


def test_functions_of_the_library_are_named(tmp_path):
    calls = """\
from var_mini.pyramid import ScalePyramid

def pyramid_offsets(patch_nums):
    return [(part.start, part.stop) for part in ScalePyramid(patch_nums).slices]

checks.pyramid_offsets(pyramid_offsets)"""
    result = graded(notebook(tmp_path, calls, OFFSETS.replace("pyramid_offsets", "nearest_code")))
    assert result["pyramid_offsets"]["passed"]
    assert any("var_mini.pyramid.ScalePyramid" in name for name in result["pyramid_offsets"]["library"])
    assert result["nearest_code"]["library"] == []


def test_where_there_are_no_namespaces_the_result_says_what_is_not_shut_off(monkeypatch, capsys, tmp_path):
    from var_mini.checks import isolation as module
    from var_mini.checks.__main__ import main

    refused = "unshare: Operation not permitted"
    monkeypatch.setattr(module, "_tried", lambda namespaces, uid: refused)
    isolation.cache_clear()
    try:
        assert isolation() == Isolation(False, False, refused)
        path = notebook(tmp_path, OFFSETS)
        assert main(["grade", str(path), "--isolate", "namespaces"]) == 2
        assert refused in capsys.readouterr().err
        assert main(["grade", str(path)]) == 0
        told = capsys.readouterr()
        result = json.loads(told.out)
        assert result["score"] == 1 and any("network" in gap for gap in result["not_isolated"])
        assert all(f"not isolated: {gap}\n" in told.err for gap in result["not_isolated"])
    finally:
        isolation.cache_clear()
