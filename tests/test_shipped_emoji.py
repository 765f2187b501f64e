"""The shipped emoji models: geometry and regime, their size, their classes by name, and drawing without font or list."""

import json
import math

import jsonschema
import pytest
import torch

from tests.test_shipped import EVALUATE, GENERATE, NUMBER, SHARE, schema, stored
from var_mini import checkpoints, data
from var_mini.__main__ import main
from var_mini.checkpoints import ASSETS
from var_mini.data import emoji
from var_mini.training.classifier import load_classifier

MODELS = {"emoji-16": (4, 16), "emoji-32": (8, 32), "emoji-64": (16, 64)}  # side of the last map, pixels


def size(name: str) -> int:
    return sum(path.stat().st_size for path in (ASSETS / name).glob("*.safetensors"))


def test_the_checkpoints_fit():
    assert size("emoji-64") <= 16_000_000
    assert size("emoji-16") + size("emoji-32") <= 8_000_000


@pytest.mark.parametrize("name", MODELS)
def test_geometry_and_regime(name):
    model = checkpoints.load(name)
    c = model.transformer.config
    assert (model.config.pyramid.side, model.config.tokenizer.image_size) == MODELS[name]
    assert c.head_dim in (8, 16) and c.scale_cap == 2.0 and c.num_classes == 99
    kept = torch.cat([block.attn.scale_mul_1H11.flatten() for block in model.transformer.blocks])
    assert (kept - math.log(c.scale_init)).abs().max() > 0.005  # training has moved them
    assert sorted(model.transformer.calibration.landmarks) == [16, 32, 64]
    assert "test_cross_entropy_poly" in (ASSETS / name / "transformer_log.csv").read_text()


def test_the_finest_has_at_least_seven_scales_and_nine_groups():
    config = checkpoints.load_config("emoji-64")
    assert config.pyramid.num_scales >= 7 and len(set(config.class_groups)) == 9
    assert config.class_names[0] == "face-smiling" and config.class_groups[0] == "Smileys & Emotion"


def test_drawn_images_are_of_their_group():
    """Above the ninth of a blind guess; the measured share is in assets/results, with its number of images."""
    model = checkpoints.load("emoji-64")
    kinds = list(dict.fromkeys(model.config.class_groups))
    labels = [members[i % len(members)] for members in model.config.groups().values() for i in range(8)]
    images = model.sample_images(labels, list(range(len(labels))))
    predicted, _ = load_classifier("emoji", tuple(kinds)).judge(images * 2 - 1)
    wanted = torch.tensor([kinds.index(model.config.class_groups[label]) for label in labels])
    assert (predicted == wanted).float().mean() > 0.4


def test_drawing_needs_neither_font_nor_list(tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise AssertionError("drawing an image must not read a data set")

    for name in ("FONT", "LIST"):
        monkeypatch.setattr(emoji, name, tmp_path / "missing")
    for module, name in ((data, "load"), (emoji, "load_emoji"), (emoji, "_fetch")):
        monkeypatch.setattr(module, name, refuse)
    out = tmp_path / "out.png"
    assert main(["generate", "--model", "emoji-64", "--class", "animal-mammal", "--seed", "3", "--out", str(out)]) == 0
    scales = [line for line in capsys.readouterr().out.splitlines() if line.startswith("scale ")]
    assert len(scales) == checkpoints.load_config("emoji-64").pyramid.num_scales and out.exists()


def test_stored_results_have_their_keys():
    near = {
        **dict.fromkeys(("class_accuracy_as_data", "near_copy_share", "near_copy_share_heldout"), SHARE),
        "by_guidance": {"type": "array", "minItems": 5},
    }
    jsonschema.validate(stored("evaluate", "emoji-64"), schema(EVALUATE | near))
    jsonschema.validate(stored("generate", "emoji-64"), schema(GENERATE))


def test_stored_ladder_has_every_model():
    rows = json.loads((ASSETS / "results" / "ladder.json").read_text())["rows"]
    assert {row["model"] for row in rows} == set(MODELS)
    for row in rows:
        jsonschema.validate(row, schema({"seconds": NUMBER, "attention_share": SHARE, "state_bytes": NUMBER}))
