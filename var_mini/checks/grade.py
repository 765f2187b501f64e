"""Grades a student's notebook: its cells run in another process with limits, and results are judged in this one."""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path

from .. import validate
from .exercise import Exercise
from .isolation import MODES, Isolation, isolation, unreadable
from .judging import Outcome, judge
from .registry import exercises, find
from .remote import Worker, WorkerLost
from .wire import decode, encode

MAX_FILE_BYTES = 16 * 1024 * 1024
CELL_SECONDS = 120
SKIP = "skip-grading"  # tag of cells that no exercise needs


class Grading:
    """One notebook's way through a worker, which is replaced when it is lost."""

    def __init__(self, cells: list[str], seconds: float, call_seconds: float, memory_mb: int, shut_in: Isolation):
        self.cells, self.call_seconds, self.memory_mb, self.shut_in = cells, call_seconds, memory_mb, shut_in
        self.deadline = time.monotonic() + seconds
        self.lost: dict[int, str] = {}  # cell -> why it is left out
        self.names: set[str] = set()  # exercises that were submitted
        self.library: dict[str, set[str]] = {}  # exercise -> functions of the library that the student's function called
        self.worker: Worker | None = None

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def start(self) -> None:
        """A worker that has run all cells but the lost ones. Raises WorkerLost when the time for the notebook is over."""
        while self.worker is None:
            self.worker = Worker(self.memory_mb, self.shut_in)
            try:
                self.worker.ask({"cell": ""}, max(self.left(), 0.1))  # it has imported its libraries
            except WorkerLost:
                self.close()
                raise
            for number, cell in enumerate(self.cells):
                if number in self.lost:
                    continue
                try:
                    if self.left() <= 0:
                        raise WorkerLost("time limit of the whole notebook")
                    answer = self.worker.ask({"cell": cell}, min(self.left(), CELL_SECONDS))
                    self.names = set(_texts(answer.get("submitted"))) & set(exercises())
                except WorkerLost as lost:
                    self.lost[number] = str(lost)
                    self.close()
                    if self.left() <= 0:
                        raise
                    break

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def call(self, name: str, args: dict) -> Outcome:
        if self.worker is None:
            self.start()
        try:
            answer = self.worker.ask({"call": name, "args": encode(args)}, min(self.call_seconds, max(self.left(), 0.1)))
            value = decode(answer["value"]) if "value" in answer else None
        except (WorkerLost, ValueError) as lost:
            self.close()
            return Outcome(fault=f"your function did not return: {lost}")
        self.library.setdefault(name, set()).update(_texts(answer.get("library")))
        fault = answer.get("fault") or (f"the call failed with {answer['failed']}" if "failed" in answer else None)
        return Outcome(value, fault and str(fault)[:1000], answer.get("unsolved") is True, tuple(_texts(answer.get("changed"))))

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
        except Exception as error:  # a result that an exercise's own judge was not made for
            return False, f"{exercise.name}: the result cannot be judged ({type(error).__name__})"
        return verdict.passed, verdict.message


def _texts(value) -> list[str]:
    """The short texts in a list of the notebook's process."""
    return [text[:100] for text in value[:100] if isinstance(text, str)] if isinstance(value, list) else []


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


def grade(path: Path | str, seconds: float = 600, call_seconds: float = 20, memory_mb: int = 4096, isolate: str = "auto") -> dict:
    """Grades one notebook: {notebook, score, max, exercises, not_isolated}.

    `seconds` bounds the whole notebook, `call_seconds` one call of a function, `memory_mb` the memory of all its processes.
    `isolate` is "auto", "namespaces" (refuses to run where the system has none) or "process" (does without them).
    exercises     [{lesson, name, difficulty, minutes, passed, message, library}]; `library` names functions of this library
                  that the student's own called, as far as its process says so: not what the exercise asks for
    not_isolated  what the notebook could reach beside its own process, in words
    Raises ValueError where the file is not a notebook of these lessons or a limit is out of range.
    """
    seconds = validate.number("seconds", seconds, 1, 86_400)
    call_seconds = validate.number("call_seconds", call_seconds, 0.1, 3600)
    memory_mb = validate.integer("memory_mb", memory_mb, 512, 1 << 20)
    lesson, cells = read(path)
    asked = wanted(lesson, cells)
    shut_in = isolation(validate.one_of("isolate", isolate, MODES))
    grading = Grading(cells, seconds, call_seconds, memory_mb, shut_in)
    results = []
    try:
        with unreadable():
            for exercise in asked:
                passed, message = grading.grade(exercise)
                library = sorted(grading.library.get(exercise.name, ()))
                results.append({**describe(exercise), "passed": passed, "message": message, "library": library})
    finally:
        grading.close()
    return {
        "notebook": Path(path).name,
        "score": sum(result["passed"] for result in results),
        "max": len(results),
        "exercises": results,
        "not_isolated": shut_in.gaps(),
    }


def describe(exercise: Exercise) -> dict:
    return {"lesson": exercise.lesson, "name": exercise.name, "difficulty": exercise.difficulty, "minutes": exercise.minutes}
