"""Practice beside theory: what the rows hold, and cross-entropy image by image against the definition."""

import json
import math

import pytest
import torch

from var_mini import checkpoints
from var_mini import data as datasets
from var_mini.checkpoints import ASSETS
from var_mini.cost import practice


@pytest.fixture
def made(monkeypatch):
    images = torch.randint(0, 256, (40, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    made = datasets.ImageData("made", ("ant", "bee", "cow"), images, labels, images[:8], labels[:8])
    monkeypatch.setattr(datasets, "load", lambda name: made)
    return made


def test_cross_entropy_of_an_image_is_the_mean_of_minus_log_probabilities(tiny):
    ids = torch.randint(0, 24, (3, 14), generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 2, 1])
    found = practice.image_cross_entropy(tiny, ids, labels, "exact", batch_size=2)
    with torch.no_grad():
        logits = tiny.transformer(labels, tiny.tokenizer.quantize.inputs_from_ids(ids)).double()
    for i in range(3):
        each = [math.log(sum(math.exp(x) for x in row)) - row[int(id)].item() for row, id in zip(logits[i], ids[i])]
        assert found[i].item() == pytest.approx(sum(each) / 14, abs=1e-5)


def test_rows_winners_and_what_is_left_out(tiny_folder, made, monkeypatch):
    monkeypatch.setattr(practice, "METHODS", ("exact", "landmark-16", "local-9", "budget-4", "poly-2"))
    found = practice.bench_practice(str(tiny_folder), images=8, steps=2, rank=2, repeats=2)
    rows = {(row["method"], row["adapted_steps"]): row for row in found["rows"]}
    assert list(rows) == [("exact", 0), ("local-9", 0), ("budget-4", 0), ("poly-2", 0), ("local-9", 2), ("exact", 2)]
    assert set(found["left_out"]) == {"landmark-16"}  # not calibrated
    exact = rows["exact", 0]
    assert exact["pairs"] == 1 + 4 * 5 + 9 * 14 and exact["pairs_share"] == 1 and exact["excess"] == 0
    assert rows["local-9", 0]["pairs"] == 1 + 16 + 49 and rows["poly-2", 0]["pairs"] == 14 * 2 * 45
    for row in found["rows"]:
        assert row["excess"] == pytest.approx(row["cross_entropy"] - exact["cross_entropy"], abs=1e-9) and row["seconds"] > 0
    for winner in found["winners"]:
        fitting = [r for r in found["rows"][1:4] if r["pairs_share"] <= winner["pairs_share"]]
        assert winner["method"] == min(fitting, key=lambda row: row["cross_entropy"])["method"]


@pytest.mark.parametrize(("option", "value"), [("images", 1), ("steps", -1), ("repeats", 1)])
def test_bad_values_are_refused(tiny_folder, option, value):
    with pytest.raises(ValueError, match=f"{option} = {value}: must be a whole number"):
        practice.bench_practice(str(tiny_folder), **{option: value})


def test_the_stored_result_belongs_to_the_model_it_names():
    stored = json.loads((ASSETS / "results" / "practice.json").read_text())
    pyramid = checkpoints.load_config(stored["model"]).pyramid
    exact = stored["rows"][0]
    assert exact["method"] == "exact" and exact["pairs"] == pyramid.attention_pairs() and stored["tokens"] == pyramid.tokens
    assert {"pairs_share", "cross_entropy", "seconds"} <= set(exact) and len(stored["rows"]) > 8
