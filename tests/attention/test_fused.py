"""The fused kernels against float64, interpreted on the CPU; the same on a GPU where there is one; their bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from var_mini.attention import kernels, new_state
from var_mini.gpu import cases


def check(result, tensor_cores=False):
    assert [found for found in result["cases"] if cases.fault(found, tensor_cores)] == []
    for name, found in result["states"].items():
        rounding = 0 if found["dtype"] == "float32" else 2 * cases.TOLERANCE[found["dtype"]]
        assert found["out"] < (5e-3 if name.startswith("landmark") else 2e-5) + rounding, found
        assert found["fallbacks"][0] == found["fallbacks"][1]
        assert found["type"] == f"torch.{found['dtype']}" and found["refused"] == "which know no gradients"
    for found in result["alone"].values():
        assert found["elsewhere"] == 0 and found["there"] > 0.05 and found["permuted"] < 1e-2


@pytest.mark.slow
def test_interpreted_kernels_equal_the_formulas():
    """In a process of its own: the kernels are interpreted only if the variable is set before they are imported."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "var_mini.gpu.cases"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    sizes, half_sizes = len(cases.SIZES), len(cases.HALF_SIZES if not torch.cuda.is_available() else cases.SIZES)
    assert len(result["cases"]) == 2 * (sizes + 2 * half_sizes)
    every = {(method, d, dtype) for method in ("poly", "landmark") for d in (8, 16, 32) for dtype in cases.TYPES}
    assert {(method, d, dtype) for method, _, d, _, dtype in (found["case"] for found in result["cases"])} == every
    check(result)


def test_what_is_wrong_with_a_comparison_is_told():
    sound = {"case": ["poly", [3], 8, 16, "bfloat16"], "out": 9e-3, "denominator": 1e-6, "type": "torch.bfloat16", "steady": 1}
    assert cases.fault(sound) is None
    assert cases.fault(sound | {"out": 0.0110}) == "out differs by 0.011, at most 0.01 allowed"
    assert cases.fault(sound | {"out": 0.0110}, tensor_cores=True) is None
    assert cases.fault(sound | {"denominator": float("nan")}).startswith("denominator differs by nan")
    assert cases.fault(sound | {"type": "torch.float32"}) == "output is torch.float32"


def test_without_a_gpu_plain_torch_computes_and_says_why():
    scale = torch.ones(2)
    if not torch.cuda.is_available():
        assert not kernels.capable()
    with torch.no_grad():
        assert kernels.why_not("poly", scale, 8) == "the kernels need a GPU, the tensors are on cpu"
        assert kernels.why_not("poly", scale, 8, "torch") == "plain torch was asked for"
        assert kernels.why_not("poly-4", scale, 8, "triton").startswith("there are kernels for landmarks")
        assert new_state("poly", 1, scale, 8, 4).implementation == "torch"


def test_kernels_that_cannot_do_what_was_asked_of_them_say_so():
    with pytest.raises(ValueError, match="implementation = 'triton': the kernels know no gradients"):
        new_state("poly-2", 1, torch.ones(2), 8, 4, implementation="triton")  # k may need gradients though the scale does not
    with torch.no_grad(), pytest.raises(ValueError, match="implementation = 'triton': there are kernels for landmarks and for"):
        new_state("poly-4", 1, torch.ones(2), 8, 4, implementation="triton")
    with pytest.raises(ValueError, match="implementation = 'fast': must be one of auto, torch, triton"):
        new_state("exact", 1, torch.ones(2), 8, 4, implementation="fast")


class TestBadInput:
    @pytest.fixture
    def fused(self):
        pytest.importorskip("triton")
        from var_mini.attention import fused

        return fused

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("poly", 64, torch.float32), r"head_dim = 64: the kernels take 8, 16, 32 \(a degree-2 state of 1,098,500 bytes"),
            (("poly", 12, torch.float32), "head_dim = 12: the kernels take 8, 16, 32"),
            (("poly", 8, torch.float64), "dtype = torch.float64: the kernels take float32, bfloat16 and float16"),
            (("landmark", 8, torch.float32, 8), "landmarks = 8: the kernels take 16 to 256"),
            (("landmark", 8, torch.float32, 257), "landmarks = 257: the kernels take 16 to 256"),
        ],
    )
    def test_what_the_kernels_cannot_take_has_a_reason(self, fused, arguments, reason):
        import re

        assert re.match(reason, fused.unsupported(*arguments))

    def test_what_they_can_take_has_none(self, fused):
        assert all(
            fused.unsupported(method, d, dtype) is None
            for method in ("poly", "landmark")
            for d in (8, 16, 32)
            for dtype in (torch.float32, torch.bfloat16, torch.float16)
        )

    def test_arguments_that_do_not_fit_are_named(self, fused):
        state, scale, x = fused.poly2_state(1, 2, 8, "cpu"), torch.ones(2), torch.zeros(1, 2, 5, 8)
        marks, table = torch.zeros(2, 16, 8), torch.zeros(1, 2, 16, 9)
        for call, message in (
            (lambda: fused.poly2_attend(state, x[0], scale), r"q or k has shape \(2, 5, 8\)"),
            (lambda: fused.poly2_attend(state, x[:, :, :0], scale), "none of them 0"),
            (lambda: fused.poly2_attend(state, torch.zeros(1, 2, 5, 64), scale), "head_dim = 64"),
            (lambda: fused.poly2_attend(state, x, torch.ones(3)), r"scale has shape \(3,\) on cpu: must be \(2,\)"),
            (lambda: fused.poly2_attend(state[:, :1], x, scale), r"state has shape \(1, 1, 9, 9, 9\)"),
            (lambda: fused.poly2_attend(state.half(), x, scale), "state is torch.float16: must be contiguous float32"),
            (lambda: fused.poly2_extend(state, x, x.half(), scale), "v has type torch.float16"),
            (lambda: fused.poly2_extend(state, x, x[:, :, :4], scale), r"v has shape \(1, 2, 4, 8\)"),
            (lambda: fused.landmark_extend(table, x, x, scale, torch.zeros(2, 8, 8)), "landmarks = 8"),
            (lambda: fused.landmark_attend(table[:, :, :15], x, scale, marks), r"state has shape \(1, 2, 15, 9\)"),
            (lambda: fused.landmark_attend(table, x, scale, marks[:1]), r"centres has shape \(1, 16, 8\)"),
        ):
            with pytest.raises(ValueError, match=message):
                call()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
class TestOnGPU:
    def test_kernels_equal_the_formulas(self):
        check(cases.main("cuda", cases.SIZES + cases.MORE), tensor_cores=True)

    @pytest.mark.parametrize("name", ["exact", "poly-2", "landmark-16", "pool-2"])
    def test_generation_draws_what_the_cpu_draws(self, calibrated_folder, name):
        from var_mini import checkpoints

        drawn = []
        for device in ("cpu", "cuda"):
            trace = checkpoints.load(calibrated_folder, device).trace([0, 1, 2], [0, 1, 2], attention=name)
            drawn.append(torch.cat([step.token_ids for step in trace.steps], 1))
        assert (drawn[0] == drawn[1]).float().mean() > 0.95  # ties of the last bit may fall differently
