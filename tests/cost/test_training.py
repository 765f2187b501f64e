"""`bench train`: the parts of a step, by a clock that the test turns."""

import json

import pytest

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from var_mini.__main__ import main
from var_mini.cost import training
from var_mini.training import recipes
from var_mini.training.schedule import Schedule

from . import schemas


@pytest.fixture(autouse=True)
def small(monkeypatch):
    schedule = Schedule(steps=30, batch_size=4, lr=3e-3, muon_lr=0.02, warmup=5)
    monkeypatch.setitem(recipes.RECIPES, "small", recipes.Recipe(TINY_TOKENIZER, TINY_TRANSFORMER, schedule, schedule))


@pytest.mark.parametrize("stage", training.STAGES)
def test_the_command_prints_its_keys(capsys, stage):
    assert main(["bench", "train", "--preset", "small", "--stage", stage, "--batch-size", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    schemas.check("train", result, machine=True)
    assert result["batch_size"] == 2 and all(seconds > 0 for seconds in result["seconds"].values())
    assert result["images_per_second"] == pytest.approx(2 / result["seconds_per_step"])
    assert result["optimizer_share"] == pytest.approx(result["seconds"]["optimizers"] / sum(result["seconds"].values()))


@pytest.mark.parametrize(("stage", "notes"), [("transformer", 6), ("tokenizer", 8)])
def test_every_second_of_a_step_belongs_to_one_part(monkeypatch, stage, notes):
    """A clock that moves by 1 at every reading: a part has as many seconds as it was noted."""
    now = iter(range(10**6))
    monkeypatch.setattr(training, "Clock", lambda device: lambda: float(next(now)))
    result = training.bench_train("small", stage, steps=3)
    inner = (notes - 4) / 2  # modules whose forward passes are timed: one, or encoder and decoder
    assert result["seconds"] == {"data": 1, "forward": inner, "loss": inner + 1, "backward": 1, "optimizers": 1}
    assert result["seconds_per_step"] == notes and result["images_per_second"] == 4 / notes


def test_bad_input_is_named(capsys):
    for arguments, message in (
        (["--preset", "huge"], "preset = 'huge'"),
        (["--preset", "small", "--stage", "decoder"], "stage = 'decoder': must be one of"),
        (["--preset", "small", "--batch-size", "0"], "batch_size = 0"),
    ):
        assert main(["bench", "train", *arguments]) == 2
        assert message in capsys.readouterr().err
