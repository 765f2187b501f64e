"""The law of scale: made data whose exponent is known, a closed form for three sizes, and five tiny trainings that resume."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from var_mini.data import ImageData
from var_mini.training import scaling_laws, stages
from var_mini.training.scaling_laws import bench_laws, bootstrap, fit_power, losses_of

SIZES = [3e4, 1e5, 3e5, 5e5, 1.1e6]


@pytest.mark.parametrize(("floor", "factor", "alpha"), [(3.0, 20.0, 0.3), (0.0, 500.0, 0.5), (2.5, 2e4, 0.9), (4.0, 5.0, 0.07)])
def test_the_fit_recovers_a_law_without_noise(floor, factor, alpha):
    found = fit_power(SIZES, [floor + factor * n**-alpha for n in SIZES])
    assert found["alpha"] == pytest.approx(alpha, rel=1e-3)
    assert found["floor"] == pytest.approx(floor, abs=0.02) and found["factor"] == pytest.approx(factor, rel=0.01)
    assert found["rms"] < 1e-6


def test_three_sizes_in_equal_ratio_have_a_closed_form():
    """(L1 - L2) / (L2 - L3) = r^alpha, whatever E and a are."""
    losses = [4.1, 3.7, 3.5]
    found = fit_power([1e4, 4e4, 16e4], losses)
    alpha = math.log((losses[0] - losses[1]) / (losses[1] - losses[2])) / math.log(4)
    assert found["alpha"] == pytest.approx(alpha, rel=1e-4)
    assert found["floor"] == pytest.approx(losses[2] - found["factor"] * 16e4**-alpha, abs=1e-3)


def test_no_floor_and_no_factor_below_zero():
    rising, steep = fit_power(SIZES, [1.0, 2.0, 3.0, 4.0, 5.0]), fit_power(SIZES, [5.0, 2.0, 0.3, 0.01, 0.0])
    assert rising["factor"] == 0 and rising["floor"] == pytest.approx(3.0)  # the best constant: their mean
    assert steep["floor"] >= 0 and steep["factor"] > 0


def made(pictures: int, seed: int) -> np.ndarray:
    """Losses of a law with alpha 0.4 on pictures that differ from each other, and a little from model to model."""
    rng = np.random.default_rng(seed)
    law = np.array([3 + 40 * n**-0.4 for n in SIZES])
    return law[:, None] + 0.3 * rng.standard_normal(pictures) + 0.02 * rng.standard_normal((len(SIZES), pictures))


def test_the_interval_holds_the_true_exponent_and_narrows_with_more_pictures():
    few, many = (bootstrap(SIZES, made(pictures, 1), resamples=60)["alpha"] for pictures in (50, 5000))
    assert few["low"] < 0.4 < few["high"] and many["low"] < 0.4 < many["high"]
    assert many["high"] - many["low"] < 0.5 * (few["high"] - few["low"])


def test_the_interval_is_that_of_resampled_pictures_one_by_one():
    losses, rng, found = made(20, 2), np.random.default_rng(5), []
    for _ in range(10):
        chosen = rng.integers(0, 20, 20)
        found.append(fit_power(SIZES, [sum(row[i] for i in chosen) / 20 for row in losses])["alpha"])
    told = bootstrap(SIZES, losses, resamples=10, seed=5)
    assert (told["alpha"]["low"], told["alpha"]["high"]) == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])), rel=1e-4)
    assert told["fit"] == fit_power(SIZES, losses.mean(1))


@pytest.mark.parametrize(
    ("sizes", "losses", "told"),
    [
        ([1, 2], [1, 2], "at least 3 different sizes"),
        ([1, 2, 2], [1, 2, 3], "at least 3 different sizes"),
        ([1, 2, 3], [1, 2], "as many losses"),
        ([0, 1, 2], [1, 2, 3], "positive and finite"),
        ([1, 2, 3], [1, math.nan, 3], "losses finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, losses, told):
    with pytest.raises(ValueError, match=told):
        fit_power(sizes, losses)


def test_a_table_that_does_not_fit_and_widths_without_heads_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"losses has shape \(2, 4\): must be \(3, at least 2 pictures\)"):
        bootstrap([1, 2, 3], np.zeros((2, 4)))
    with pytest.raises(ValueError, match="width = 40: must be a multiple of 32"):
        bench_laws(tmp_path, 1, (32, 40, 64))
    with pytest.raises(ValueError, match="at least 3 different ones"):
        bench_laws(tmp_path, 1, (32, 64, 64))
    assert not list(tmp_path.iterdir())


def test_the_loss_of_a_picture_is_the_mean_of_its_tokens(tiny):
    net, quantizer = tiny.transformer, tiny.tokenizer.quantize
    ids, labels = torch.randint(0, net.vocab_size, (3, net.pyramid.tokens)), torch.tensor([0, 2, 1])
    found = losses_of(net, quantizer, ids.int(), labels, batch_size=2)
    for i in range(3):
        maps = quantizer.accumulate([part[None] for part in net.pyramid.split(ids[i], dim=0)])
        logits = net(labels[i : i + 1], quantizer.teacher_forcing_input(maps))[0]
        wanted = sum(-F.log_softmax(row, 0)[code].item() for row, code in zip(logits, ids[i])) / net.pyramid.tokens
        assert found[i].item() == pytest.approx(wanted, rel=1e-4)


@pytest.fixture
def few_pictures(monkeypatch):
    """Sixty pictures, and a tokenizer trained for one step."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randint(0, 256, (80, 1, 28, 28), generator=generator, dtype=torch.uint8), torch.arange(80) % 10
    data = ImageData("made", tuple("0123456789"), images[:60], labels[:60], images[60:], labels[60:])
    for place in (scaling_laws, stages):
        monkeypatch.setattr(place, "load_data", lambda recipe, folder: data)
    monkeypatch.setattr(scaling_laws, "TOKENIZER_STEPS", 1)


@pytest.mark.slow
def test_a_stopped_bench_goes_on_and_gives_the_same(few_pictures, tmp_path, monkeypatch):
    whole = bench_laws(tmp_path / "whole", 2, (32, 64, 96))
    assert [row["width"] for row in whole["rows"]] == [32, 64, 96] and whole["tokens"] == 2 * scaling_laws.BATCH * 88
    assert whole["pictures"] == 2 * scaling_laws.BATCH and whole["held_out"] == 20
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    # attention 4 C A and feed-forward 2 * 2.8 C^2 a layer, A = C / 2: what is fitted against
    for row in whole["rows"]:
        C = row["width"]
        assert row["parameters"] == pytest.approx(4 * (2 * C * C + 2 * round(2.8 * C) * C), rel=0.05)

    run = scaling_laws.Trainer.run

    def stops(trainer, *given, **options):
        if trainer.out.name == "width-64":
            run(trainer, *given, **options, stop_at=1)
            raise KeyboardInterrupt
        return run(trainer, *given, **options)

    monkeypatch.setattr(scaling_laws.Trainer, "run", stops)
    with pytest.raises(KeyboardInterrupt):
        bench_laws(tmp_path / "parts", 2, (32, 64, 96))
    monkeypatch.setattr(scaling_laws.Trainer, "run", run)
    parts = bench_laws(tmp_path / "parts", 2, (32, 64, 96))
    assert [row["cross_entropy"] for row in parts["rows"]] == [row["cross_entropy"] for row in whole["rows"]]
    assert parts["fit"] == whole["fit"]
