"""The shipped models of a thousand things: geometry and regime, their size, and what a judge sees in what they draw."""

import json
import math

import jsonschema
import pytest
import torch

from tests.test_shipped import NUMBER, SHARE, schema, stored
from var_mini import checkpoints, data
from var_mini.__main__ import main
from var_mini.analysis import evaluation
from var_mini.checkpoints import ASSETS
from var_mini.training.judge import load_judge

MODELS = {"things-16": (4, 16), "things-32": (8, 32), "things-64": (16, 64)}  # side of the last map, pixels


def size(name: str) -> int:
    return sum(path.stat().st_size for path in (ASSETS / name).glob("*.safetensors"))


def test_the_checkpoints_fit():
    assert size("things-64") <= 16_000_000
    assert size("things-16") + size("things-32") <= 8_000_000 + 250_000  # the landmarks beside the weights


@pytest.mark.parametrize("name", MODELS)
def test_geometry_and_regime(name):
    model = checkpoints.load(name)
    c, things = model.transformer.config, data.load(name.removesuffix("-64"))
    assert (model.config.pyramid.side, model.config.tokenizer.image_size) == MODELS[name]
    assert c.head_dim in (8, 16) and c.scale_cap == 2.0
    assert model.config.class_names == things.class_names and model.config.style_names == things.style_names
    kept = torch.cat([block.attn.scale_mul_1H11.flatten() for block in model.transformer.blocks])
    assert (kept - math.log(c.scale_init)).abs().max() > 0.005  # training has moved them
    assert sorted(model.transformer.calibration.landmarks) == [16, 32, 64]
    assert "test_cross_entropy_poly" in (ASSETS / name / "transformer_log.csv").read_text()


def test_drawn_pictures_are_in_the_style_that_was_asked_for():
    """Above the eighth of a blind guess; the measured share is in assets/results, with its number of pictures."""
    asked = torch.arange(32) % 8
    drawn = checkpoints.load("things-64").sample_images((torch.arange(32) * 29).tolist(), list(range(32)), style=asked.tolist())
    things = data.load("things")
    judge = load_judge(things.name, things.class_names, things.style_names)
    assert (judge.judge(drawn * 2 - 1).style == asked).float().mean() > 0.3


def test_stored_results_have_their_keys():
    near = dict.fromkeys(("near_copy_share", "near_copy_share_real", "style_accuracy", "concept_top1", "concept_top5"), SHARE)
    real = dict.fromkeys(("real_concept_top1", "real_concept_top5", "concept_top5_heldout_pairs", "nameable"), SHARE)
    jsonschema.validate(stored("evaluate", "things-64"), schema({"psnr_db": NUMBER, "codebook_used": SHARE} | near | real))


def test_what_readers_named_is_told_of_the_shipped_weights_alone(monkeypatch, capsys):
    """Whatever is trained from them has their name."""
    monkeypatch.setattr(evaluation, "evaluate", lambda model, samples: {})
    for model, known in (("things-64", True), (str(ASSETS / "things-64"), False)):
        assert main(["evaluate", "--model", model, "--json"]) == 0
        assert ("nameable" in json.loads(capsys.readouterr().out)) is known


def test_stored_ladder_has_every_model():
    rows = json.loads((ASSETS / "results" / "ladder.json").read_text())["rows"]
    assert {row["model"] for row in rows} == set(MODELS)
    for row in rows:
        jsonschema.validate(row, schema({"seconds": NUMBER, "attention_share": SHARE, "state_bytes": NUMBER}))
