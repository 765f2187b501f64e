"""The record of a part: a JSON file, replaced whole whenever something was added, so that a killed run leaves what it had."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from ..files import atomic_write


def write_json(path: Path, value: dict) -> None:
    """Atomically; a float that is not finite becomes null."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(_finite(value), indent=1, allow_nan=False) + "\n")


def _finite(value):
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


class Report:
    """What a part has found so far.

    `result` is the part's own dictionary; `check` notes something that must hold, `skip` what was left out and why. `device`
    is where to compute, `left()` the seconds that are left of the part's share.
    """

    def __init__(self, path: Path, name: str, seconds: float, dry: bool = False, training: float = 0.0):
        self.path, self.name, self.dry = path, name, dry
        self.training = training  # seconds for training a model, beyond the part's own
        self.device = torch.device("cpu" if dry else "cuda")
        self.until = time.monotonic() + seconds
        self.began = time.monotonic()
        self.result: dict = {}
        self.checks: list[dict] = []
        self.skipped: list[dict] = []
        self.state = "running"
        self.save()

    def left(self) -> float:
        return self.until - time.monotonic()

    def check(self, name: str, ok: bool, detail: str = "") -> None:
        self.checks.append({"name": name, "ok": bool(ok), "detail": detail})
        self.save()

    def skip(self, what: str, why: str) -> None:
        self.skipped.append({"what": what, "why": why})
        self.save()

    def save(self) -> None:
        whole = {"part": self.name, "dry": self.dry, "state": self.state, "seconds": round(time.monotonic() - self.began, 2)}
        write_json(self.path, whole | {"checks": self.checks, "skipped": self.skipped, "result": self.result})
