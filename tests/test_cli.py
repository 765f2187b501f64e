"""The command line: what it prints, and how it refuses bad input."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.analysis.evaluation import evaluate
from var_mini.generation import Trace
from var_mini.model import Model
from var_mini.training.recipes import RECIPES
from var_mini.view.images import to_uint8


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
    ("command", "message"),
    [
        ("train decoder --minutes 3", "minutes = 3.0: is no option of train decoder"),
        ("train landmarks --steps 4", "steps = 4: is no option of train landmarks"),
        ("train transformer --patch-nums 1,2", "patch_nums = '1,2': is no option of train transformer"),
        ("train transformer --lora-rank 4 --steps 5", "steps = 5: is no option of train transformer --lora-rank"),
        ("train tokenizer --finish", "finish = True: is no option of train tokenizer"),
        ("train classifier --preset x", "preset = 'x': is no option of train classifier"),
        ("train tokenizer --patch-nums 1,2,4 --out .", "patch_nums = (1, 2, 4): takes pictures of 16 x 16 pixels"),
        ("train landmarks --start fashion-28", "start = 'fashion-28': is no option of train landmarks"),
        ("train landmarks --model x --preset fashion-28", "preset = 'fashion-28': is no option of train landmarks --model"),
        (
            "train transformer --lora-rank 4 --start fashion-28 --preset things-64",
            "preset = 'things-64': is no option of train transformer --lora-rank --start",
        ),
        ("bench error --device cpu", "device = 'cpu': is an option of bench generate, scaling, dtype alone"),
        (
            "bench scaling --model nosuch",
            "model = 'nosuch': is an option of bench generate, error, dtype, practice",
        ),
        ("bench scaling --samples -5", "samples = -5: is an option of bench error, best-of alone"),
        ("bench scaling --batch-size 0", "batch_size = 0: is an option of bench train alone"),
        ("bench scaling --dtype float16", "dtype = 'float16': is an option of bench generate, dtype alone"),
        ("bench train --out x", "out = 'x': is an option of bench laws alone"),
        ("bench raster --steps 5", "steps = 5: is an option of bench laws alone"),
        (
            "figure samples --json x.json --out x.png",
            "json = 'x.json': is an option of figure error, scaling, peers, raster, laws alone",
        ),
        ("figure toggle --style noto --out x.png", "style = 'noto': is an option of figure drawing, nearest, ladder alone"),
        ("figure samples --classes 1 --out x.png", "classes = '1': is an option of figure drawing, nearest, ladder, toggle, pra"),
        ("figure ladder --model things-64 --out x.png", "model = 'things-64': is an option of figure drawing, samples, nearest"),
        ("figure laws --seed 3 --out x.png", "seed = 3: is an option of figure drawing, samples, nearest, ladder, toggle"),
        ("bench dtype --dtype float32", "dtype = 'float32': must be one of bfloat16, float16"),
    ],
)
def test_an_option_that_would_be_left_aside_is_refused(capsys, command, message):
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


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


@pytest.mark.parametrize(("name", "kind"), [("x.PNG", "PNG"), ("x.jpg", "JPEG"), ("x.jpeg", "JPEG"), ("x.webp", "WEBP")])
def test_a_picture_is_written_in_the_format_that_its_ending_names(tiny, tiny_folder, tmp_path, name, kind):
    assert main(["generate", "--model", str(tiny_folder), "--class=#2", "--out", str(tmp_path / name)]) == 0
    written = Image.open(tmp_path / name)
    exact = to_uint8(checkpoints.load(tiny_folder).trace(2, 0).image[0])
    tolerance = 12 if kind == "JPEG" else 0
    assert written.format == kind and np.abs(np.asarray(written.convert("RGB"), int) - exact).max() <= tolerance


def ranges(command: str, capsys) -> dict[str, str]:
    """Option -> help text in one line."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.partition("options:")[2].split())
    parts = re.split(r" (?=--[a-z-]+ [A-Z_]+ )", text)
    return {part.split()[0].removeprefix("--"): part for part in parts if part.startswith("--")}


def test_help_tells_defaults_and_the_names_of_presets(capsys):
    said = ranges("generate", capsys)
    assert "default fashion-28" in said["model"] and "default #0" in said["class"]
    said = ranges("train", capsys)["preset"]
    assert all(name in said for name in RECIPES)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train tokenizer --start nosuch", "start = 'nosuch': must be one of fashion-28, "),
        ("train transformer --start nosuch --preset fashion-28", "start = 'nosuch': must be one of"),
        ("train transformer --start var_d16", "start = 'var_d16': must be one of"),
        ("train transformer --lora-rank 4 --start nosuch", "start = 'nosuch': must be one of"),
        ("train transformer --tokenizer nosuch", "tokenizer = 'nosuch': must be one of fashion-28, "),
    ],
)
def test_a_checkpoint_is_called_by_its_option(tmp_path, capsys, command, message):
    """And published models are not offered where none is taken."""
    assert main([*command.split(), "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"var_mini: {message}") and "var_d20" not in told


def test_help_tells_the_ranges_that_are_checked(tiny_folder, capsys):
    """The ends of every range in the help text are accepted, and a little beyond them is not."""
    said = ranges("generate", capsys)
    beyond = {
        "seed": ("-1", "0", str(2**32 - 1), str(2**32)),
        "guidance": ("-0.1", "0", "100", "100.1"),
        "temperature": ("0.009", "0.01", "10", "10.1"),
        "top-k": ("-1", "0", str(2**31 - 1), str(2**31)),
        "top-p": ("-0.1", "0", "1", "1.1"),
        "enlarge": ("0", "1", "64", "65"),
    }
    for option, (below, low, high, above) in beyond.items():
        assert f"{low} to {high}" in said[option]
        for value, code in ((below, 2), (low, 0), (high, 0), (above, 2)):
            assert main(["generate", "--model", str(tiny_folder), f"--{option}={value}"]) == code, (option, value)
    assert "100 to 100000" in ranges("evaluate", capsys)["samples"]
    for samples in (99, 100_001):
        with pytest.raises(ValueError, match=r"samples = .*from 100 to 100000"):
            evaluate(checkpoints.load(tiny_folder), samples)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_names_are_printed_in_any_encoding(tiny, tmp_path, encoding):
    config = replace(tiny.config, class_names=("caf\u00e9", "\u4e2d\u6587", "x"))
    checkpoints.save(Model(config, tiny.tokenizer, tiny.transformer), tmp_path / "m")
    run = subprocess.run(
        [sys.executable, "-m", "var_mini", "generate", "--model", str(tmp_path / "m"), "--class=\u4e2d\u6587"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    first = run.stdout.splitlines()[0]
    shown = "\u4e2d\u6587" if encoding == "utf-8" else r"\u4e2d\u6587"
    assert run.returncode == 0 and first == f"class {shown} (#1), seed 0".encode(encoding) and b"Traceback" not in run.stderr


@pytest.mark.slow
def test_a_reader_that_stops_early_is_no_error(tiny_folder):
    command = f'"{sys.executable}" -m var_mini generate --model "{tiny_folder}" | head -n 1; exit ${{PIPESTATUS[0]}}'
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stdout.count("\n") == 1 and run.stderr == "" and run.returncode in (0, 128 + signal.SIGPIPE)


def test_a_stored_result_that_is_nested_too_deeply_is_named(tmp_path, capsys):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert main(["figure", "scaling", "--json", str(tmp_path / "deep.json"), "--out", str(tmp_path / "x.png")]) == 2
    assert "is no stored result of `bench scaling --json`" in capsys.readouterr().err
    for out, message in ((tmp_path, "out = .*is a folder"), (tmp_path / "x.txt", r"must end in \.png, \.svg")):
        assert main(["figure", "samples", "--out", str(out)]) == 2
        assert re.search(message, capsys.readouterr().err)


def test_unknown_model(capsys):
    assert main(["generate", "--model", "nonesuch"]) == 2
    assert "model = 'nonesuch'" in capsys.readouterr().err


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_library_does_not_import_the_page():
    """Importing gradio takes seconds; the dependency arrow runs one way."""
    code = (
        "import sys, var_mini, var_mini.checkpoints, var_mini.__main__, var_mini.view.images; sys.exit('gradio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
