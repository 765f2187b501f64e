"""The fused kernels compile for real GPUs: tensor cores are used, shared memory fits, no register spills. No GPU is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
pytestmark = pytest.mark.slow

SHARED = {"sm_80": 163 * 1024, "sm_90": 227 * 1024, "gfx942": 64 * 1024}  # bytes a program may have: A100, H100, MI300
# every head dimension on every chip, every type on every chip, and what takes most registers on both of NVIDIA's
CASES = ["sm_80:8:float32", "sm_80:16:float16", "sm_80:32:float32", "sm_80:32:bfloat16"]
CASES += ["sm_90:8:bfloat16", "sm_90:16:float16", "sm_90:32:float32", "sm_90:32:bfloat16"]
CASES += ["gfx942:8:float32", "gfx942:16:bfloat16", "gfx942:32:float16"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What the compilers said of every kernel; in a process of its own, where kernels are not interpreted."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, script, *CASES], capture_output=True, text=True, env=environment, cwd=script.parents[2]
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_kernel_was_compiled_for_every_case(compiled):
    found = {(f"{r['target']}:{r['head_dim']}:{r['dtype']}", r["kernel"]) for r in compiled}
    kernels = ("poly2_keys", "poly2_queries", "landmark_keys", "landmark_queries")
    assert found == {(case, kernel) for case in CASES for kernel in kernels}


def test_products_run_on_tensor_cores(compiled):
    assert not [r for r in compiled if r["tensor_cores"] == 0]


def test_shared_memory_fits_the_chip(compiled):
    assert not [r for r in compiled if not 0 < r["shared"] <= SHARED[r["target"]]]


def test_no_register_spills(compiled):
    assert not [
        r for r in compiled if r["spilled"] or r["counted"] < 2
    ]  # stores and loads, or scalars and vectors, were reported
    assert not [r for r in compiled if r.get("registers", 0) > 255]
