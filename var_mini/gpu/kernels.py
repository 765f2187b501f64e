"""Part `kernels`: the fused kernels against float64, the same bits every time, and NVIDIA's sanitizer where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import torch

from ..attention import fused
from . import cases
from .report import Report

REPEATS = 50
REPEATED = [([577, 1], 8, 64), ([577, 1], 16, 100), ([577, 1], 32, 33)]
SANITIZERS = ("racecheck", "memcheck")
DRY = [("poly", [3], 8, 16, "float32"), ("landmark", [3], 8, 16, "bfloat16")]  # the interpreter is slow


def run(report: Report) -> None:
    device, found = report.device, report.result
    found |= {"ok": True, "max_error": 0.0, "repeats_equal": True, "cases": 0, "repeats": 0, "largest": {}}
    with torch.no_grad():
        for case in DRY if report.dry else cases.every_case(cases.SIZES + cases.MORE):
            _compare(report, case)
        for case in DRY[1:] if report.dry else cases.every_case(REPEATED):
            repeats = 2 if report.dry else REPEATS
            equal = cases.repeats_equal(*case, device, repeats)
            found["repeats"] += repeats
            found["repeats_equal"] &= equal
            report.check(f"{repeats} repeats of {_name(case)}", equal, "" if equal else "other bits: programs race")
        if not report.dry:
            _the_rest(report)
    for tool in SANITIZERS:
        _sanitize(report, tool)
    found["ok"] = all(check["ok"] for check in report.checks)


def _the_rest(report: Report) -> None:
    """That nothing was forgotten, and what the kernels do inside a state."""
    names = [f"{method} {d} {dtype}" for method, d, dtype in product(("poly", "landmark"), fused.HEAD_DIMS, cases.TYPES)]
    missing = [name for name in names if name not in report.result["largest"]]
    report.check("every head dimension and type was compared", not missing, ", ".join(missing))
    for name, state in cases.through_states(report.device).items():
        close = state["out"] < 2e-2 and state["fallbacks"][0] == state["fallbacks"][1]
        report.check(f"state {name}, fused and not", close, f"differ by {state['out']:.3g}")
    for method, other in cases.alone(report.device).items():
        report.check(f"{method}: a head changes itself alone", other["elsewhere"] == 0 and other["there"] > 0.05, str(other))


def _compare(report: Report, case: tuple) -> None:
    found, compared = report.result, cases.compare(*case, report.device)
    wrong = cases.fault(compared, tensor_cores=not report.dry)
    method, _, d, _, dtype = case
    key = f"{method} {d} {dtype}"
    found["largest"][key] = max(found["largest"].get(key, 0.0), compared["out"])
    found["max_error"] = max(found["largest"].values())
    found["cases"] += 1
    report.check(_name(case), wrong is None, wrong or f"{compared['out']:.3g}")


def _name(case: tuple) -> str:
    method, extends, d, m, dtype = case
    marks = f", {m} landmarks" if method == "landmark" else ""
    return f"{method} {'+'.join(map(str, extends))} tokens, d = {d}, {dtype}{marks}"


def _sanitize(report: Report, tool: str) -> None:
    place = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=f"{os.environ.get('CUDA_HOME')}/bin")
    if report.dry or place is None or report.left() < 20:
        why = "a dry run" if report.dry else "compute-sanitizer is not installed" if place is None else "no time left"
        report.skip(f"compute-sanitizer {tool}", why)
        return
    command = [place, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", "var_mini.gpu.cases"]
    try:
        folder = Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=report.left(), cwd=folder)
    except subprocess.TimeoutExpired:
        report.skip(f"compute-sanitizer {tool}", "did not end in time")
        return
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    report.check(f"compute-sanitizer {tool}", done.returncode == 0, "".join(last))
