"""What decides shapes and settings: the ablations and the choice of sampling settings, on a tiny model and few pictures."""

import csv
import sys

import pytest
import torch

from var_mini import data
from var_mini.analysis import sampling_choice
from var_mini.data import ImageData
from var_mini.training import ablation
from var_mini.training.tokenizer import measure_tokenizer


@pytest.fixture
def pictures(monkeypatch) -> ImageData:
    def drawn(count, seed):
        return torch.randint(256, (count, 1, 12, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)

    flips = torch.ones(20, dtype=torch.bool)
    images = ImageData("emoji", ("ant", "bee", "cow"), drawn(20, 0), torch.arange(20) % 3, drawn(9, 1), torch.arange(9) % 3)
    images.flips = flips
    monkeypatch.setattr(data, "load", lambda name: images)
    return images


def test_going_on_starts_from_the_given_tokenizer(tiny, tiny_folder, pictures, monkeypatch, tmp_path):
    monkeypatch.setattr(ablation, "FURTHER", {"same scales": ((1, 2, 3), 8.0), "one left out": ((1, 3), 8.0)})
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    out = tmp_path / "rows.csv"
    arguments = ["ablation", "--out", str(out), "--start", str(tiny_folder), "--steps", "3"]
    monkeypatch.setattr(sys, "argv", arguments)
    ablation.main()
    with open(out, newline="") as file:
        same, fewer = csv.DictReader(file)
    before = measure_tokenizer(tiny.tokenizer, pictures.test_images)["psnr_db"]
    assert float(same["psnr_start"]) == pytest.approx(before, abs=0.02)  # weights are stored as float16
    assert float(same["psnr_test"]) != float(same["psnr_start"]) and (same["tokens"], fewer["tokens"]) == ("14", "10")
    with pytest.raises(ValueError, match="variant = 'none': must be one of"):
        ablation.go_on("none", tiny_folder, 3)


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
