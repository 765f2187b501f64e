"""Grades a student's notebook: its cells run in another process with limits, and results are judged in this one."""

from __future__ import annotations

import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .. import validate
from .exercise import Exercise
from .judging import Outcome, judge
from .registry import exercises, find
from .session import GRADING
from .wire import decode, encode

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_ANSWER_BYTES = 256 * 1024 * 1024
CELL_SECONDS = 120
SKIP = "skip-grading"  # tag of cells that no exercise needs
ROOT = Path(__file__).resolve().parent.parent.parent


class WorkerLost(Exception):  # noqa: N818 (it names what happened)
    """The student's process ran too long or died; the message says which."""


class Worker:
    """A process that runs cells and calls functions."""

    def __init__(self, memory_mb: int):
        self.folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        place = self.folder.name
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS", "SYSTEMROOT") if name in os.environ}
        environment = {**keep, "HOME": place, "TMPDIR": place, "IPYTHONDIR": place, "MPLCONFIGDIR": place, "MPLBACKEND": "Agg"}
        environment |= {GRADING: "1", "VAR_MINI_FAST": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=place,
            env=environment,
            start_new_session=True,
        )
        self.rest = b""

    def ask(self, request: dict, seconds: float) -> dict:
        """One request and its answer. Raises WorkerLost."""
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            answer = json.loads(self._line(time.monotonic() + seconds, seconds))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError):
            raise WorkerLost("the process ended (out of memory, or the code ended Python itself)") from None
        if not isinstance(answer, dict):
            raise WorkerLost("the process gave a foreign answer")
        return answer

    def _line(self, deadline: float, seconds: float) -> bytes:
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.rest:
                left = deadline - time.monotonic()
                if left <= 0 or not ready.select(left):
                    raise WorkerLost(f"time limit: not done after {seconds:.0f} s; does a loop never end?")
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part or len(self.rest) > MAX_ANSWER_BYTES:
                    raise OSError("closed")
                self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def close(self) -> None:
        """Ends the process and all that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        self.folder.cleanup()


class Grading:
    """One notebook's way through a worker, which is replaced when it is lost."""

    def __init__(self, cells: list[str], seconds: float, call_seconds: float, memory_mb: int):
        self.cells, self.call_seconds, self.memory_mb = cells, call_seconds, memory_mb
        self.deadline = time.monotonic() + seconds
        self.lost: dict[int, str] = {}  # cell -> why it is left out
        self.names: set[str] = set()  # exercises that were submitted
        self.worker: Worker | None = None

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def start(self) -> None:
        """A worker that has run all cells but the lost ones. Raises WorkerLost when the time for the notebook is over."""
        while self.worker is None:
            worker = Worker(self.memory_mb)
            for number, cell in enumerate(self.cells):
                if number in self.lost:
                    continue
                try:
                    if self.left() <= 0:
                        raise WorkerLost("time limit of the whole notebook")
                    answer = worker.ask({"cell": cell}, min(self.left(), CELL_SECONDS))
                    names = answer.get("submitted")
                    self.names = {name for name in names if name in exercises()} if isinstance(names, list) else self.names
                except WorkerLost as lost:
                    self.lost[number] = str(lost)
                    worker.close()
                    if self.left() <= 0:
                        raise
                    break
            else:
                self.worker = worker

    def call(self, name: str, args: dict) -> Outcome:
        if self.worker is None:
            self.start()
        try:
            answer = self.worker.ask({"call": name, "args": encode(args)}, min(self.call_seconds, max(self.left(), 0.1)))
            changed = answer.get("changed") or []
            value = decode(answer.get("value"))
            fault = answer.get("fault") or (f"the call failed with {answer['failed']}" if "failed" in answer else None)
            return Outcome(value, fault and str(fault)[:1000], answer.get("unsolved") is True, tuple(map(str, changed)))
        except (WorkerLost, ValueError, TypeError) as lost:
            self.worker.close()
            self.worker = None
            return Outcome(fault=f"your function did not return: {lost}")

    def grade(self, exercise: Exercise) -> tuple[bool, str]:
        """Whether an exercise is solved, and what its check says."""
        try:
            self.start()
        except WorkerLost as lost:
            return False, f"{exercise.name}: {lost}"
        if exercise.name not in self.names:
            mine = (why for number, why in self.lost.items() if f"checks.{exercise.name}(" in self.cells[number])
            why = next(mine, f"no cell calls checks.{exercise.name}({exercise.name})")
            return False, f"{exercise.name}: {why}"
        try:
            verdict = judge(exercise, lambda args: self.call(exercise.name, args), secrets.randbits(32))
        except WorkerLost as lost:
            return False, f"{exercise.name}: {lost}"
        return verdict.passed, verdict.message


def read(path: Path | str) -> tuple[int | None, list[str]]:
    """The lesson that a notebook says it is, if any, and its code cells; runs nothing. Raises ValueError for other files."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"notebook = {str(path)!r}: no such file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"notebook = {str(path)!r}: has {path.stat().st_size:,} bytes, at most {MAX_FILE_BYTES:,} allowed")
    told = f"notebook = {str(path)!r}: is not a Jupyter notebook (.ipynb, format 4)"
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # neither UTF-8 nor JSON
        raise ValueError(told) from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list) or content.get("nbformat") != 4 or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError(told)
    sources = []
    for cell in cells:
        source, meta = cell.get("source", ""), cell.get("metadata", {})
        parts = source if isinstance(source, list) else [source]
        if not all(isinstance(part, str) for part in parts) or not isinstance(meta, dict):
            raise ValueError(told)
        tags = meta.get("tags")
        if cell.get("cell_type") == "code" and not (isinstance(tags, list) and SKIP in tags):
            sources.append("".join(parts))
    metadata = content.get("metadata")
    lesson = metadata.get("var_mini", {}) if isinstance(metadata, dict) else {}
    lesson = lesson.get("lesson") if isinstance(lesson, dict) else None
    return (lesson if isinstance(lesson, int) else None), sources


def wanted(lesson: int | None, cells: list[str]) -> list[Exercise]:
    """All exercises of the lesson; of a notebook that does not say its lesson, those of every lesson that it has a check of."""
    if lesson is None:
        named = {name for cell in cells for name in re.findall(r"checks\.(\w+)\(", cell)}
        lessons = {find(name).lesson for name in named if name in exercises()}
    else:
        lessons = {lesson}
    found = [exercise for exercise in exercises().values() if exercise.lesson in lessons]
    if not found:
        raise ValueError("notebook: has no exercise of these lessons in it")
    return found


def grade(path: Path | str, seconds: float = 600, call_seconds: float = 20, memory_mb: int = 4096) -> dict:
    """Grades one notebook: {score, max, exercises: [{lesson, name, difficulty, minutes, passed, message}]}.

    `seconds` bounds the whole notebook, `call_seconds` one call of a function, `memory_mb` the data of the process.
    Raises ValueError where the file is not a notebook of these lessons or a limit is out of range.
    """
    seconds = validate.number("seconds", seconds, 1, 86_400)
    call_seconds = validate.number("call_seconds", call_seconds, 0.1, 3600)
    memory_mb = validate.integer("memory_mb", memory_mb, 512, 1 << 20)
    lesson, cells = read(path)
    asked = wanted(lesson, cells)
    grading = Grading(cells, seconds, call_seconds, memory_mb)
    results = []
    try:
        for exercise in asked:
            passed, message = grading.grade(exercise)
            results.append({**describe(exercise), "passed": passed, "message": message})
    finally:
        if grading.worker is not None:
            grading.worker.close()
    return {
        "notebook": Path(path).name,
        "score": sum(result["passed"] for result in results),
        "max": len(results),
        "exercises": results,
    }


def describe(exercise: Exercise) -> dict:
    return {"lesson": exercise.lesson, "name": exercise.name, "difficulty": exercise.difficulty, "minutes": exercise.minutes}
