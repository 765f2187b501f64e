"""The shipped weights: they are there, they draw what is asked for, and the stored results are theirs."""

import json
import math
import subprocess
import sys

import jsonschema
import pytest
import torch

from var_mini import checkpoints, data
from var_mini.__main__ import main
from var_mini.analysis import evaluation
from var_mini.checkpoints import ASSETS
from var_mini.training.classifier import load_classifier
from var_mini.view.results import all_tables

MODELS = ("fashion-28", "fashion-28-bounded")
NUMBER, SHARE = {"type": "number"}, {"type": "number", "minimum": 0, "maximum": 1}
MACHINE = {"type": "object", "required": ["processor", "threads", "device", "torch", "date"]}
EVALUATE = {
    "psnr_db": NUMBER,
    "codebook_used": SHARE,
    "codebook_used_per_scale": {"type": "array", "items": SHARE},
    "cross_entropy": NUMBER,
    "cross_entropy_per_scale": {"type": "array", "items": NUMBER},
    "classifier_real_accuracy": SHARE,
    "class_accuracy": SHARE,
    "frechet_samples": NUMBER,
    "frechet_reconstructions": NUMBER,
    "frechet_train": NUMBER,
    "memorised_share": SHARE,
    "machine": MACHINE,
}
GENERATE = {
    "seconds_batch1": NUMBER,
    "seconds_per_image_batch16": NUMBER,
    "attention_share": SHARE,
    "transformer_share": SHARE,
    "decoder_share": SHARE,
    "gemm_peak_share": NUMBER,
    "machine": MACHINE,
}


def schema(properties: dict) -> dict:
    return {"type": "object", "required": list(properties), "properties": properties}


def stored(kind: str, name: str) -> dict:
    return json.loads((ASSETS / "results" / f"{kind}-{name}.json").read_text())


def test_the_two_checkpoints_fit_in_twelve_megabytes():
    assert set(MODELS) <= set(checkpoints.available())
    assert sum((ASSETS / name / "model.safetensors").stat().st_size for name in MODELS) <= 12_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_drawn_images_are_of_their_class(name):
    model, judge = checkpoints.load(name), load_classifier("fashion-mnist")
    labels = [i % 10 for i in range(100)]
    images = model.sample_images(labels, list(range(100)))
    predicted, _ = judge.judge(images * 2 - 1)
    assert (predicted == torch.tensor(labels)).float().mean() > 0.7


def test_the_bounded_model_stands_in_its_regime():
    transformer = checkpoints.load("fashion-28-bounded").transformer
    c = transformer.config
    assert (c.heads, c.head_dim, c.scale_cap) == (8, 8, 2.0)
    # the stored logarithms, not logit_scale(), which clamps them: some are free of the cap, and training has moved them
    stored = torch.cat([block.attn.scale_mul_1H11.flatten() for block in transformer.blocks])
    assert (stored < math.log(2.0) - 1e-3).any()
    assert (stored - math.log(c.scale_init)).abs().max() > 0.01


def generate_arguments(out) -> list[str]:
    return ["generate", "--model", "fashion-28", "--class", "7", "--seed", "0", "--out", str(out)]


def test_generate_as_the_readme_says_without_any_data_set(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise AssertionError("drawing an image must not read a data set")

    for name in ("load", "load_folder"):
        monkeypatch.setattr(data, name, refuse)
    out = tmp_path / "out.png"
    assert main(generate_arguments(out)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "class Sneaker (#7), seed 0"
    assert [line.split()[2] for line in lines[1:-1]] == ["1x1", "2x2", "3x3", "5x5", "7x7"] and out.exists()
    assert lines[-1].startswith("computed on ")


@pytest.mark.slow
def test_generate_does_not_even_import_data_sets(tmp_path):
    out = tmp_path / "out.png"
    code = (
        "import json, sys\n"
        "from var_mini.__main__ import main\n"
        "code = main(json.loads(sys.argv[1]))\n"
        "unwanted = {'pooch', 'var_mini.data'} & sys.modules.keys()\n"
        "sys.exit(f'exit code {code}, imported {unwanted}' if code or unwanted else 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(generate_arguments(out))], capture_output=True, text=True, cwd=ASSETS.parent
    )
    assert run.returncode == 0, run.stderr
    assert out.exists()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("kind", "properties"), [("evaluate", EVALUATE), ("generate", GENERATE)])
def test_stored_results_have_their_keys(kind, properties, name):
    jsonschema.validate(stored(kind, name), schema(properties))


@pytest.mark.slow
def test_evaluate_prints_its_keys(monkeypatch, capsys):
    """On a small part of the real data, so that it takes seconds."""
    if not data.FASHION_FOLDER.exists():
        pytest.skip("needs Debian's dataset-fashion-mnist")
    whole = data.load("fashion-mnist")
    # every class equally often, so that no images are drawn a second time in other numbers
    some = torch.cat([(whole.test_labels == label).nonzero().flatten()[:30] for label in range(10)])
    part = data.ImageData(
        whole.name, whole.class_names, whole.train_images[:600], whole.train_labels[:600], whole.test_images[some],
        whole.test_labels[some],
    )  # fmt: skip
    monkeypatch.setattr(evaluation, "GUIDANCE", (0.0, 3.0))
    monkeypatch.setitem(data.REGISTRY, "fashion-mnist", lambda: part)
    assert main(["evaluate", "--model", "fashion-28", "--samples", "100", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    jsonschema.validate(result, schema(EVALUATE))
    assert len(result["cross_entropy_per_scale"]) == len(result["codebook_used_per_scale"]) == 5
    saved = stored("evaluate", "fashion-28")
    assert result["psnr_db"] == pytest.approx(saved["psnr_db"], abs=0.5)  # the stored figure is of these weights
    assert result["cross_entropy"] == pytest.approx(saved["cross_entropy"], rel=0.03)
    assert result["classifier_real_accuracy"] > 0.85 and [row["guidance"] for row in result["by_guidance"]] == [0.0, 3.0]


def test_the_pages_show_the_stored_results():
    shown = [path.read_text() for path in (*(ASSETS.parent / "docs").glob("*.md"), ASSETS / "results" / "README.md")]
    for table in all_tables(ASSETS / "results"):
        assert sum(table in text for text in shown) == 1


def test_every_asset_says_where_it_comes_from():
    for folder in {path.parent for path in ASSETS.rglob("*") if path.is_file()}:
        told = next(up / "README.md" for up in (folder, folder.parent) if (up / "README.md").is_file())
        text = told.read_text()
        assert folder == told.parent or f"`{folder.name}`" in text, folder
        assert "python -m" in text or "make" in text, folder
