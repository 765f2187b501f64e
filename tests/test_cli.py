"""The command line: what it prints, and how it refuses bad input."""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image

from var_mini.__main__ import main
from var_mini.generation import Trace


def test_generate_prints_one_line_per_scale_and_writes_files(tiny, tiny_folder, tmp_path, capsys):
    files = {name: tmp_path / name for name in ("out.png", "strip.png", "run.trace")}
    code = main(
        [
            "generate",
            "--model",
            str(tiny_folder),
            "--class",
            "bee",
            "--seed",
            "3",
            "--out",
            str(files["out.png"]),
            "--enlarge",
            "2",
            "--strip",
            str(files["strip.png"]),
            "--trace",
            str(files["run.trace"]),
        ]
    )
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "class bee (#1), seed 3"
    assert len(lines) == 5 and lines[1].startswith("scale 1/3") and "3x3" in lines[3]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    assert lines[4] == f"computed on {device}; attention exact by torch's scaled_dot_product_attention"
    assert Image.open(files["out.png"]).size == (24, 24) and Image.open(files["strip.png"]).width > 300
    assert Trace.load(files["run.trace"]).settings["label"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "3"], "class = 3: must be a whole number from 0 to 2"),
        (["--class", "-1"], "class = -1"),
        (["--class", "dog"], "class = 'dog'"),
        (["--seed", "-1"], "seed = -1"),
        (["--seed", str(10**20)], "seed = "),
        (["--guidance", "nan"], "guidance = nan"),
        (["--guidance", "inf"], "guidance = inf"),
        (["--temperature", "0"], "temperature = 0.0: must be a finite number from 0.01 to 10"),
        (["--temperature", "nan"], "temperature = nan"),
        (["--top-k", "-1"], "top_k = -1"),
        (["--top-p", "1.5"], "top_p = 1.5"),
        (["--attention", "quick"], "attention = 'quick'"),
        (["--device", "abacus"], "device = 'abacus': must be one of cpu"),
        (["--enlarge", "0"], "enlarge = 0: must be a whole number from 1 to 64"),
        (["--out", "."], "out = '.': is a folder, must be a file"),
        (["--strip", "strip.bmp"], "strip = 'strip.bmp': must end in .png, .jpg, .jpeg, .webp"),
        (["--out", "image"], "out = 'image': must end in .png"),
        (["--trace", "."], "trace = '.': is a folder"),
        (["--out", "/proc/none/x.png"], "/proc/none"),
    ],
)
def test_bad_input_exits_with_two_and_one_line(tiny_folder, capsys, arguments, message):
    assert main(["generate", "--model", str(tiny_folder), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


@pytest.mark.parametrize(
    ("attention", "how"),
    [
        ("poly-2", "plain torch (the kernels need a GPU, the tensors are on cpu)"),
        ("landmark-16", "plain torch (the kernels need a GPU, the tensors are on cpu)"),
        ("poly-4", "plain torch (there are kernels for landmarks and for degree 2 with Taylor's coefficients)"),
        ("pool-2", "torch's scaled_dot_product_attention"),
    ],
)
def test_generate_says_what_computed_attention_and_why(calibrated_folder, capsys, attention, how):
    assert main(["generate", "--model", str(calibrated_folder), "--attention", attention, "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"computed on cpu; attention {attention} by {how}"


def test_unknown_model(capsys):
    assert main(["generate", "--model", "nonesuch"]) == 2
    assert "model = 'nonesuch'" in capsys.readouterr().err


def test_as_a_process_without_traceback(tiny_folder):
    run = subprocess.run(
        [sys.executable, "-m", "var_mini", "generate", "--model", str(tiny_folder), "--class", "99"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr and "class = 99" in run.stderr


def test_bench_generate_prints_its_keys(tiny_folder, capsys):
    assert main(["bench", "generate", "--model", str(tiny_folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    keys = {
        "seconds_batch1",
        "seconds_per_image_batch16",
        "attention_share",
        "transformer_share",
        "decoder_share",
        "gemm_peak_share",
    }
    assert keys <= set(result) and {"processor", "threads", "device", "torch", "date"} <= set(result["machine"])
    assert sum(result[k] for k in ("attention_share", "transformer_share", "decoder_share")) == pytest.approx(1)
    assert 0 < result["gemm_peak_share"] < 1.2


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    assert "var_d16" in capsys.readouterr().out


def test_the_library_does_not_import_the_page():
    """Importing gradio takes seconds; the dependency arrow runs one way."""
    code = (
        "import sys, var_mini, var_mini.checkpoints, var_mini.__main__, var_mini.view.images; sys.exit('gradio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
