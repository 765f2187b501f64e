"""What a notebook's process can reach, with namespaces and without: real processes try it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from var_mini import checks
from var_mini.checks.isolation import Isolation, isolation, shut_in, unreadable

ROOT = os.geteuid() == 0
MARK = f"98765.{os.getpid()}"  # an argument of `sleep` by which a test finds the processes that it started
STRAY = f"""\
import os, signal, subprocess
if os.fork() == 0:
    os.setsid()
    subprocess.Popen(["sleep", "{MARK}"], start_new_session=True)
    os._exit(0)
signal.pause()"""
KILLS = "import os, signal; os.kill(os.getppid(), 9); signal.pause()"


@pytest.fixture(params=["namespaces", "process"])
def mode(request) -> str:
    try:
        isolation(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    return request.param


def run(mode: str, code: str, *args, memory_mb: int = 2048) -> subprocess.CompletedProcess:
    """Runs Python code shut in, with `args` as the list of that name."""
    given = f"import json, os, signal, socket\nargs = json.loads({json.dumps(args)!r})\n{code}"
    with shut_in(isolation(mode), memory_mb, ["-c", given]) as (command, environment):
        return subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def strays() -> list[str]:
    """Processes with the mark in their command line, as this process sees them."""
    lines = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            lines[place.name] = (place / "cmdline").read_bytes()
        except OSError:  # ended meanwhile
            continue
    return [number for number, line in lines.items() if line == f"sleep\0{MARK}\0".encode()]


def within_minutes(condition) -> bool:
    for _ in range(1800):
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_neither_memory_nor_environment_of_the_grader_is_read(mode, monkeypatch):
    if mode == "process" and ROOT:
        pytest.skip("root reads everything where there are no namespaces")
    monkeypatch.setenv("SECRET_OF_THE_TEACHER", "1")
    code = """\
seen = [name for name in os.environ if "SECRET" in name]
for name in ("mem", "environ", "maps"):
    try:
        open(f"/proc/{args[0]}/{name}", "rb").close()
        seen.append(name)
    except OSError:
        pass
print(json.dumps(seen))"""
    with unreadable():
        done = run(mode, code, os.getpid())
    assert json.loads(done.stdout) == [], done.stderr


def test_the_library_that_a_notebook_finds_has_no_oracles(mode):
    done = run(mode, 'print(json.dumps(os.listdir(os.path.join(os.environ["PYTHONPATH"], "var_mini", "checks"))))')
    found = json.loads(done.stdout)
    assert "session.py" in found
    assert not [name for name in found if name.startswith(("lesson", "pieces", "grade", "__pycache__"))]


def test_with_namespaces_nothing_else_is_in_sight(mode):
    if mode == "process":
        pytest.skip("not shut off without namespaces, as docs/grading.md says")
    places = [str(Path(checks.__file__).parent / "lesson01.py"), __file__, "/etc/shadow", "/old", "/home", "/root/.bashrc"]
    code = """\
def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return True
    return False
print(json.dumps({
    "in sight": [place for place in args[0] if os.path.exists(place)],
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "no network": fails(socket.create_connection, ("127.0.0.1", args[1]), 5),
    "no signal": fails(os.kill, args[2], 0),
    "library is read-only": fails(open, os.path.join(os.environ["PYTHONPATH"], "var_mini", "config.py"), "a"),
    "python is read-only": fails(open, os.__file__, "a"),
    "system is read-only": fails(os.mkdir, "/usr/mine"),
    "user": os.getuid(),
}))"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run(mode, code, places, server.getsockname()[1], os.getpid())
    here = json.loads(done.stdout)
    assert here.pop("user") == (os.getuid() or 65534)
    assert here.pop("processes") == 2  # the first one of the namespace and this one
    assert here.pop("in sight") == [] and all(here.values()), here


@pytest.mark.parametrize("end", ["closed", "grader killed"])
def test_all_that_a_notebook_starts_ends_with_it(mode, end):
    grader = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], start_new_session=True); time.sleep(1e6)"
    with shut_in(isolation(mode), 2048, ["-c", STRAY]) as (command, environment):
        if end == "grader killed":
            command = [sys.executable, "-c", grader, *command]
        process = subprocess.Popen(command, env=environment)
        try:
            assert within_minutes(strays)
        finally:
            process.kill() if end == "grader killed" else process.terminate()
            process.wait()
        assert within_minutes(lambda: not strays())


def test_a_notebook_that_kills_its_parent_ends_itself_at_most(mode):
    """In a namespace the signal does not reach the first process; elsewhere the system ends the orphan."""
    with shut_in(isolation(mode), 2048, ["-c", KILLS]) as (command, environment):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        if mode == "namespaces":
            process.terminate()
        assert process.stdout.read() == b""  # the pipe ends with the last process that holds it
        process.wait()
        process.stdout.close()


def test_the_number_of_processes_is_limited(mode):
    if mode == "process" and ROOT:
        pytest.skip("root has no such limit")
    code = """\
children = []
try:
    while len(children) < 5000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except BlockingIOError:
    print(len(children))"""
    assert 0 < int(run(mode, code).stdout) < 5000


def test_the_memory_of_all_processes_together_is_limited(mode):
    code = """\
for _ in range(4):
    if os.fork() == 0:
        hold = b"x" * (160 << 20)
        signal.pause()
signal.pause()"""
    assert run(mode, code, memory_mb=512).returncode == 1


def test_where_there_are_no_namespaces_it_is_said_what_is_not_shut_off(monkeypatch):
    from var_mini.checks import isolation as module

    refused = "unshare: Operation not permitted"
    monkeypatch.setattr(module, "_tried", lambda namespaces, uid: refused)
    isolation.cache_clear()
    try:
        assert isolation() == Isolation(False, False, refused)
        with pytest.raises(ValueError, match=r"not permitted.*docs/grading\.md"):
            isolation("namespaces")
    finally:
        isolation.cache_clear()
    told = " ".join(Isolation(False, False, refused).gaps())
    assert refused in told and "network" in told and "your files" in told
    assert Isolation(True, True).gaps() == []
