"""`bench scaling`: a small run, its memory probe, and the results that the repository stores."""

import json

import numpy as np
import pytest
import torch

from var_mini.checkpoints import ASSETS
from var_mini.cost import scaling
from var_mini.cost.scaling import bench_scaling, peak_bytes

from . import schemas

STORED = [
    "scaling",
    "peers",
    "raster",
    "error-fashion-28-bounded",
    "error-fashion-28",
    "generate-fashion-28",
    "generate-fashion-28-bounded",
]


@pytest.fixture(scope="module")
def small():
    before = scaling.ENOUGH_SECONDS
    scaling.ENOUGH_SECONDS = 0.0
    try:
        return bench_scaling(
            sides=(4, 6, 8, 10, 12, 14), head_dims=(8,), methods=("exact", "exact-uncached", "poly-2", "landmark-32")
        )
    finally:
        scaling.ENOUGH_SECONDS = before


def test_a_small_run_has_every_row_and_says_that_weights_are_random(small):
    schemas.check("scaling", small)
    assert len(small["rows"]) == 6 * 2 * 4 and small["weights"].startswith("random")
    assert {(e["what"], e["method"]) for e in small["exponents"]} == {(r["what"], r["method"]) for r in small["rows"]}
    assert all(e["sides"] == [10, 12, 14] and e["low"] <= e["exponent"] <= e["high"] for e in small["exponents"])
    for row in small["rows"]:
        reference = next(r for r in small["rows"] if r["method"] == "exact" and all(r[k] == row[k] for k in ("what", "side")))
        assert row["speedup_vs_exact"] == pytest.approx(reference["median_s"] / row["median_s"])
        if row["method"] == "poly-2":
            assert row["state_bytes"] == 8 * 45 * 9 * 4
        if row["method"] == "exact":
            assert row["state_bytes"] == 8 * row["tokens"] * 2 * 8 * 4


def test_threads_are_put_back(small):
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="side = 3"):
        bench_scaling(sides=(3,))
    with pytest.raises(ValueError, match="head_dim = '12'"):
        bench_scaling(sides=(4,), head_dims=(12,))
    with pytest.raises(ValueError, match="must include exact"):
        bench_scaling(sides=(4,), methods=("poly-2",))
    assert torch.get_num_threads() == before


def test_the_memory_probe_sees_what_is_allocated_and_freed():
    megabyte = 1 << 20

    def run():
        return int(np.ones(64 * megabyte, np.uint8)[:: 1 << 16].sum(dtype=int))  # 64 MiB, touched and freed

    peak, result = peak_bytes(run, "cpu")
    assert result == 64 * megabyte >> 16
    assert peak is None or 60 * megabyte < peak < 90 * megabyte


@pytest.mark.parametrize("name", STORED)
def test_stored_results_are_what_the_commands_print(name):
    result = json.loads((ASSETS / "results" / f"{name}.json").read_text())
    schemas.check(name.partition("-")[0], result, machine=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_scaling_on_a_gpu():
    schemas.check("scaling", bench_scaling("cuda", sides=(8, 16, 32), methods=("exact", "poly-2", "landmark-64")))
