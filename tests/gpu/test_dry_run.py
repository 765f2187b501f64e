"""`python -m var_mini gpu --dry` as a process, on a machine that has nothing but what the kit may use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from var_mini.gpu import PARTS

from . import schemas

pytest.importorskip("triton")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ABSENT = ("gradio", "pooch", "jsonschema", "playwright", "anywidget", "huggingface_hub", "fontTools", "IPython", "pytest")
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def dry(tmp_path_factory):
    """(finished process, folder of a dry run); every process of it starts with the packages blocked."""
    site, out = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("gpu")
    (site / "sitecustomize.py").write_text(BLOCKER)
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    blocked = [sys.executable, "-c", "import huggingface_hub"]
    assert b"(blocked)" in subprocess.run(blocked, env=environment, capture_output=True).stderr
    command = [sys.executable, "-m", "var_mini", "gpu", "--dry", "--out", str(out)]
    return subprocess.run(command, env=environment, capture_output=True, text=True), out


def test_it_is_green_and_prints_a_table(dry):
    done, out = dry
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    last = done.stdout.strip().splitlines()[-len(PARTS) - 1 :]
    assert [line.split()[:2] for line in last[:-1]] == [[name, "ok"] for name in PARTS]
    assert last[-1] == f"written: {out / 'gpu.json'}"


def test_every_file_has_the_layout_that_is_promised(dry):
    _, out = dry
    assert sorted(path.name for path in out.iterdir()) == sorted([*(f"{name}.json" for name in PARTS), "gpu.json"])
    for name in PARTS:
        part = json.loads((out / f"{name}.json").read_text())
        jsonschema.validate(part, schemas.PART)
        assert part["part"] == name and part["dry"] and part["state"] == "finished"
    whole = json.loads((out / "gpu.json").read_text())
    jsonschema.validate(whole, schemas.GPU)
    assert whole["facts"]["device"] == "cpu"  # a dry run never poses as a GPU


def test_every_part_did_its_work(dry):
    whole = json.loads((dry[1] / "gpu.json").read_text())
    assert whole["kernels"]["ok"] and whole["kernels"]["repeats_equal"] and whole["kernels"]["cases"] == 2
    assert whole["generate"] == {"tiny": {"exact": 1.0, "poly-2": 1.0, "landmark-16": 1.0, "pool-2": 1.0}}
    rows = {(row["what"], row["method"], row["implementation"]) for row in whole["scaling"]["rows"]}
    assert {("attention", "exact", "sdpa-math"), ("attention", "landmark-32", "triton")} <= rows
    assert {("transformer", "exact", "sdpa"), ("transformer", "landmark-32", "torch")} <= rows
    assert all(row["speedup_vs_best_sdpa"] for row in whole["scaling"]["rows"])
    assert all(row["ids_equal"] == 1 for row in whole["speed"]["rows"])
    assert {row["stage"] for row in whole["train"]["rows"]} == {"tokenizer", "transformer"}
    left_out = {entry["what"]: entry["why"] for entry in whole["parts"]["kernels"]["skipped"]}
    assert left_out == {"compute-sanitizer racecheck": "a dry run", "compute-sanitizer memcheck": "a dry run"}
