"""The best of several drawings: scores by hand, the choice against a loop, the shipped ranker, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER, awake
from var_mini import checkpoints, data
from var_mini.__main__ import main
from var_mini.analysis.best_of import bench_best_of, load_ranker, ranked, scores
from var_mini.checkpoints import ASSETS
from var_mini.config import ModelConfig, Sampling
from var_mini.generation.sampling import MAX_SEED
from var_mini.model import Model
from var_mini.training.judge import Judge


def log_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return np.log(e / e.sum())


def test_scores_are_the_two_log_probabilities_and_any_style_counts_nothing():
    torch.manual_seed(0)
    ranker = Judge(5, 3, width=8).eval()
    images, asked = torch.rand(4, 3, 32, 32), torch.tensor([[0, 2], [4, 0], [1, 3], [2, 1]])  # style 3 is any
    found = scores(ranker, images, asked)
    with torch.inference_mode():
        things, styles = (part.double().numpy() for part in (ranker(images * 2 - 1)[1], ranker.style(images * 2 - 1)))
    for i, (thing, style) in enumerate(asked.tolist()):
        wanted = log_softmax(things[i])[thing] + (log_softmax(styles[i])[style] if style < 3 else 0.0)
        assert found[i].item() == pytest.approx(wanted, abs=1e-4)


def test_drawings_stand_in_the_order_of_those_drawn_one_by_one():
    config = replace(TINY_TRANSFORMER, num_styles=2)
    model = awake(
        Model.build(ModelConfig("styled", TINY_TOKENIZER, config, ("ant", "bee", "cow"), style_names=("flat", "round")))
    )

    def brightness(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).mean(1)

    for first in (0, MAX_SEED - 2):  # behind the largest seed comes 0
        seeds = [(first + i) % 2**32 for i in range(6)]
        images = [model.trace(1, seed, Sampling(guidance=2.0), style=0).image[0] for seed in seeds]
        order = np.argsort([-image.mean().item() for image in images], kind="stable")
        found = ranked(model, brightness, 1, first, 6, Sampling(guidance=2.0), style=0)
        assert [drawing.seed for drawing in found] == [seeds[i] for i in order]
        for drawing, i in zip(found, order):
            assert drawing.score == pytest.approx(images[i].mean().item(), abs=1e-5)
            assert torch.allclose(drawing.image, images[i], atol=1e-4)


@pytest.mark.parametrize("count", [0, 65, 2.5])
def test_a_number_of_drawings_out_of_range_is_named(tiny, count):
    with pytest.raises(ValueError, match=r"best_of = .*: must be a whole number from 1 to 64"):
        ranked(tiny, lambda images: images, 0, 0, count)


def test_a_model_without_a_ranker_says_so(capsys):
    assert main(["generate", "--model", "fashion-28", "--best-of", "4"]) == 2
    assert "model = 'fashion-28': has no styles, and so no ranker" in capsys.readouterr().err
    assert main(["generate", "--model", "things-16", "--best-of", "4"]) == 2
    assert "no ranker of things and styles for data set 'things-16'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_keeps_one_seed_and_draws_it(tmp_path, capsys):
    command = ["generate", "--model", "things-64", "--class", "tiger", "--style", "noto", "--seed", "5"]
    assert main([*command, "--best-of", "3", "--out", str(tmp_path / "best.png")]) == 0
    told = capsys.readouterr().out.splitlines()
    seed = int(told[0].removeprefix("best of 3 seeds from 5 on: "))
    assert (
        5 <= seed < 8
        and told[1]
        == f"class tiger (#{checkpoints.load_config('things-64').class_names.index('tiger')}), style noto, seed {seed}"
    )
    assert main([*command[:-1], str(seed), "--out", str(tmp_path / "alone.png")]) == 0
    assert (tmp_path / "best.png").read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_the_shipped_ranker_tells_real_pictures_apart():
    """Each held-out picture scores more for what it is than for another's thing and style, for nearly all of them."""
    things, config = data.load("things"), checkpoints.load_config("things-64")
    images, asked = things.test_images[:200].float() / 255, things.test_conditions[:200]
    ranker = load_ranker(config)
    right, wrong = (scores(ranker, images, conditions) for conditions in (asked, asked.roll(1, 0)))
    assert (right > wrong).float().mean() > 0.9


@pytest.mark.slow
def test_the_measurement_has_every_row_and_one_drawing_is_no_choice(monkeypatch):
    from var_mini.analysis import best_of

    whole = data.load

    def few(name):  # of the 6,000 pictures that the judge would look at
        all_of_them = whole(name)
        parts = ("train_images", "train_labels", "train_styles")
        return replace(all_of_them, flips=None, train_names=(), **{part: getattr(all_of_them, part)[::12] for part in parts})

    monkeypatch.setattr(data, "load", few)
    monkeypatch.setattr(best_of, "COUNTS", (1, 2))
    rows = bench_best_of("things-64", 4)["rows"]
    assert [(row["pairs"], row["best_of"]) for row in rows] == [("trained", 1), ("trained", 2), ("held out", 1), ("held out", 2)]
    assert all(0 <= row["concept_top1"] <= row["concept_top5"] <= 1 for row in rows)


def test_what_is_stored_is_of_more_pictures_and_choosing_helped():
    stored = json.loads((ASSETS / "results" / "best-of-things-64.json").read_text())
    assert stored["samples"] >= 200
    for pairs in ("trained", "held out"):
        alone, best = (next(r for r in stored["rows"] if (r["pairs"], r["best_of"]) == (pairs, count)) for count in (1, 8))
        assert best["style_accuracy"] > alone["style_accuracy"] and best["concept_top1"] > alone["concept_top1"]
