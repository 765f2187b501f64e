"""What decides shapes and settings: the ablations and the choice of sampling settings, on a tiny model and few pictures."""

import csv
import math
import sys
from dataclasses import replace

import pytest
import torch

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from var_mini import data
from var_mini.analysis import sampling_choice
from var_mini.data import ImageData
from var_mini.training import ablation
from var_mini.training.recipes import RECIPES

MEASURED = {"psnr_db": 12.34567, "codebook_used": 0.5}


@pytest.fixture
def pictures(monkeypatch) -> ImageData:
    def drawn(count, seed):
        return torch.randint(256, (count, 1, 12, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)

    flips = torch.ones(20, dtype=torch.bool)
    images = ImageData("animals", ("ant", "bee", "cow"), drawn(20, 0), torch.arange(20) % 3, drawn(9, 1), torch.arange(9) % 3)
    images.flips = flips
    monkeypatch.setattr(data, "load", lambda name: images)
    return images


@pytest.fixture
def short(monkeypatch, pictures):
    """The ablations on the tiny shapes and the few pictures."""
    recipe = replace(RECIPES["fashion-28"], tokenizer=TINY_TOKENIZER, transformer=TINY_TRANSFORMER)
    monkeypatch.setattr(ablation, "RECIPES", dict.fromkeys(ablation.PRESETS.values(), recipe))
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(ablation.Variant, "seconds_per_step", lambda self: 1.0)


def test_a_variant_differs_in_what_it_is_named_after(short, tiny_folder, monkeypatch, tmp_path):
    """More weights and a lower loss than a transformer knows nothing of: log V nats a token is what a blind guess costs."""
    twice = {"as it is": ({}, {}), "twice the depth": ({"depth": 2 * TINY_TRANSFORMER.depth}, {}), "two": ({}, {"batch_size": 2})}
    monkeypatch.setitem(ablation.VARIANTS, "transformer", twice)
    out = tmp_path / "rows.csv"
    common = ["ablation", "transformer", "--out", str(out), "--seconds", "25", "--tokenizer", str(tiny_folder)]
    monkeypatch.setattr(sys, "argv", common)
    ablation.main()
    with open(out, newline="") as file:
        plain, deep, small = csv.DictReader(file)
    assert int(deep["parameters"]) > int(plain["parameters"]) == int(small["parameters"])
    assert plain["steps"] == "25" and plain["images"] == str(25 * RECIPES["fashion-28"].transformer_schedule.batch_size)
    assert small["images"] == "50"
    assert float(plain["test_cross_entropy"]) < 1.2 * math.log(TINY_TOKENIZER.vocab_size)
    with pytest.raises(ValueError, match="variant = 'none': must be one of"):
        ablation.run_variant("transformer", "none", 1.0, tiny_folder)


def test_a_tokenizers_variant_is_measured_on_unseen_pictures(short, pictures, monkeypatch):
    seen = []
    monkeypatch.setattr(ablation, "measure_tokenizer", lambda model, images: (seen.append((model, images)), MEASURED)[1])
    monkeypatch.setitem(ablation.VARIANTS, "tokenizer", {"one left out": ({"patch_nums": (1, 3)}, {})})
    row = ablation.run_variant("tokenizer", "one left out", 20.0)
    [(model, images)] = seen
    assert images is pictures.test_images and model.pyramid.patch_nums == (1, 3)
    assert (row["variant"], row["steps"], row["psnr_test"], row["codebook_used"]) == ("one left out", 20, 12.346, 0.5)


def test_settings_are_compared_with_training_images(tiny_folder, pictures, monkeypatch, tmp_path):
    class Judge:
        def judge(self, images):
            return torch.zeros(len(images), dtype=torch.long), images.flatten(1)[:, :3].double()

    seen = []
    judged = sampling_choice.judge_drawn
    monkeypatch.setattr(sampling_choice, "load_classifier", lambda name, kinds: Judge())
    monkeypatch.setattr(sampling_choice, "judge_drawn", lambda *given: (seen.append(given), judged(*given))[1])
    out = tmp_path / "rows.csv"
    monkeypatch.setattr(sys, "argv", ["choice", "--model", str(tiny_folder), "--samples", "100", "--out", str(out)])
    sampling_choice.main()
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    settings = [(float(row["guidance"]), float(row["top_p"])) for row in rows]
    assert settings == [(g, p) for g in sampling_choice.GUIDANCE for p in sampling_choice.TOP_P]
    assert [(given[5].guidance, given[5].top_p) for given in seen] == settings
    real = data.to_unit(pictures.train_images).flatten(1)[:, :3].double()
    assert all(torch.equal(given[3], real) for given in seen)
    assert all(float(row["frechet_to_training"]) > 0 and row["samples"] == "100.0" for row in rows)
    with pytest.raises(ValueError, match="samples = 5: must be"):
        sampling_choice.measure_settings(str(tiny_folder), 5)


def test_bad_input_is_told_in_one_line(tmp_path, capsys):
    out = ["--out", str(tmp_path / "rows.csv")]
    for command, arguments, message in (
        (sampling_choice.main, ["--model", "nosuch", *out], "sampling_choice: model = 'nosuch': must be one of"),
        (sampling_choice.main, ["--model", "fashion-28", "--samples", "5", *out], "sampling_choice: samples = 5"),
        (ablation.main, ["transformer", "--variants", "none", *out], "ablation: variant = 'none': must be one of"),
        (ablation.main, ["transformer", "--tokenizer", "nosuch", *out], "ablation: tokenizer = 'nosuch': must be one of"),
        (ablation.main, ["tokenizer", "--out", str(tmp_path)], "ablation: out = "),
    ):
        assert command(arguments) == 2
        told = capsys.readouterr().err
        assert told.startswith(message) and told.count("\n") == 1
    assert not list(tmp_path.iterdir())
