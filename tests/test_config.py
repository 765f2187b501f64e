"""Configurations go to JSON and back; entries from outside are checked."""

import json

import pytest

from var_mini.config import ModelConfig


def test_json_round_trip(tiny):
    data = json.loads(json.dumps(tiny.config.to_dict()))
    assert ModelConfig.from_dict(data) == tiny.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(colour="red"), "unknown entries: colour"),
        (lambda d: d["transformer"].update(layers=3), "transformer has unknown entries: layers"),
        (lambda d: d.pop("tokenizer"), "tokenizer"),
        (lambda d: d["tokenizer"].update(patch_nums=[3, 1]), "patch_nums"),
        (lambda d: d["transformer"].update(depth=10**9), "depth = 1000000000"),
        (lambda d: d.update(class_names=["one"]), "class_names has 1 names: must have 3"),
        (lambda d: d.update(class_names=[1, 2, 3]), "must be a list of strings"),
        (lambda d: d.update(class_groups=["one"]), "class_groups has 1 names: must have 3"),
        (lambda d: d.update(tokenizer=[]), "must be a JSON object"),
        (lambda d: d["tokenizer"].update(image_channels=2), r"image_channels = 2: must be 1 \(grey\) or 3 \(colour\)"),
        (lambda d: d["tokenizer"].update(image_channels=4), "image_channels = 4"),
        (lambda d: d["tokenizer"].update(image_channels=True), "image_channels = True"),
    ],
)
def test_foreign_entries_are_named(tiny, change, message):
    data = json.loads(json.dumps(tiny.config.to_dict()))
    change(data)
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict(data)
