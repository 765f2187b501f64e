"""Runs the parts one after the other, each in a process of its own with a share of the time, and merges what they wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from .. import validate
from . import PARTS
from .merge import merged, table
from .report import write_json

MINUTES = 10.0  # of the parts together; what is given beyond them trains a model
GRACE = 45.0  # seconds that a part may need beyond its share, to start and to end what it is at


def run(out: Path, minutes: float | None = None, only: str | None = None, dry: bool = False) -> int:
    """All of `python -m var_mini gpu`. Returns 0 where no check failed, else 1.

    Raises ValueError where an argument is wrong, the folder cannot be written, or there is no CUDA device; before anything runs.
    """
    minutes = MINUTES if minutes is None else validate.number("minutes", minutes, 0, 60 * 24 * 7, low_open=True)
    asked = {validate.one_of("part", name.strip(), PARTS) for name in only.split(",")} if only is not None else set(PARTS)
    _check_folder(out)
    if not dry and not torch.cuda.is_available():
        raise ValueError("no CUDA device is found here; `python -m var_mini gpu --dry --out FOLDER` proves the kit without one")
    training = max(0.0, minutes - MINUTES) * 60
    until = time.monotonic() + min(minutes, MINUTES) * 60
    left = [name for name in PARTS if name in asked]
    while left:
        share = PARTS[left[0]] / sum(PARTS[name] for name in left)
        name = left.pop(0)
        extra = training if name == "train" else 0.0
        _run_part(name, out / f"{name}.json", max(5.0, (until - time.monotonic()) * share), dry, extra)
        whole = merged(out)
        write_json(out / "gpu.json", whole)
        print(table(whole, [name]), flush=True)
    print(f"\n{table(whole, [name for name in PARTS if name in asked])}\nwritten: {out / 'gpu.json'}")
    return 0 if all(whole["parts"][name]["ok"] for name in asked) else 1


def _check_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"out = {str(out)!r}: cannot be written: {error.strerror or error}") from None


def _run_part(name: str, file: Path, seconds: float, dry: bool, training: float) -> None:
    """Starts the process, waits at most its time and the grace, and notes in its file how it ended."""
    command = [sys.executable, "-m", "var_mini.gpu.part", name, str(file), f"{seconds:.1f}", "--training", f"{training:.1f}"]
    environment = os.environ | ({"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""} if dry else {})
    file.unlink(missing_ok=True)  # an old result must not pass for this run's
    print(f"{name}: at most {(seconds + training) / 60:.1f} minutes", file=sys.stderr, flush=True)
    process = subprocess.Popen(command + ["--dry"] * dry, env=environment, start_new_session=True)
    try:
        process.wait(seconds + training + GRACE)
        ended = None if process.returncode == 0 else f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        ended = f"hung: stopped after {seconds + training + GRACE:.0f} s"
    finally:
        _stop(process)
    if ended is None:
        return
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        found = {"part": name, "dry": dry, "state": "", "seconds": 0.0, "checks": [], "skipped": [], "result": {}}
    if not found["state"].startswith("failed"):
        found["state"] = f"failed: {ended}"
    write_json(file, found)


def _stop(process: subprocess.Popen) -> None:
    """The part and whatever it started; they are a process group of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
