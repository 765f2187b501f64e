"""Training that is stopped, or cannot write: what is saved, and what is said about it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.config import ModelConfig
from var_mini.model import Model
from var_mini.training import recipes, stages
from var_mini.training.loop import Trainer
from var_mini.training.schedule import Schedule
from var_mini.training.stopping import Stopped, between_steps
from var_mini.training.tokenizer import TokenizerObjective

STEPS = 12


def trainer(out) -> Trainer:
    torch.manual_seed(0)
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).tokenizer
    schedule = Schedule(steps=STEPS, batch_size=4, lr=1e-3, warmup=2, log_every=4)
    return Trainer(TokenizerObjective(model, STEPS), schedule, out, precision="no", cpu=True)


def run(trainer, at: dict) -> Trainer:
    """Trains on random images; before step `n` it does what `at[n]` says."""
    images = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def batch(indices, _):
        at.pop(trainer.step, lambda: None)()
        return [images[indices]]

    trainer.run(8, batch)
    return trainer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_running_step_and_all_steps_are_saved(tmp_path, number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped after step 6 of {STEPS}, saved in .*; the same command goes on") as stop:
        run(trainer(tmp_path / "a"), {5: lambda: os.kill(os.getpid(), number)})
    assert stop.value.number == number and signal.getsignal(number) == before
    assert torch.load(tmp_path / "a" / "state.pt", weights_only=True)["step"] == 6
    parts, whole = (run(trainer(tmp_path / name), {}) for name in ("a", "b"))
    assert all(torch.equal(parts.ema[name], whole.ema[name]) for name in whole.ema)


def test_a_second_ctrl_c_stops_at_once_and_says_what_is_lost(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match=r"at once in step 6 of 12; nothing of this run is saved in .*, its 5 steps are lost"):
        run(trainer(tmp_path), {5: twice})
    saving = trainer(tmp_path)
    with pytest.raises(Stopped, match=r"the state in .* is of step 3, the 4 steps after it are lost"):
        run(saving, {3: saving.save, 7: twice})


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("var_mini.training.loop.SAVE_SECONDS", 0.0)
    with monkeypatch.context() as full:
        full.setattr(torch, "save", broken_save)
        run(trainer(tmp_path), {4: full.undo})
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == STEPS
    said = capsys.readouterr().err
    assert "not saved at step 1: " in said and "state.pt could not be written" in said and "not saved at step 5" not in said


def broken_save(state, path):
    Path(path).write_bytes(b"half")
    raise RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0: file write failed")


def test_a_disk_that_stays_full_says_what_is_lost(tmp_path, monkeypatch):
    saving = trainer(tmp_path)
    steps = {3: saving.save, 4: lambda: monkeypatch.setattr(torch, "save", broken_save)}
    with pytest.raises(OSError, match=r"could not be written, with .* MB free on its disk: .*Trained to step 12 of 12; "
                       r"the state in .* is of step 3, the 9 steps after it are lost"):  # fmt: skip
        run(saving, steps)
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".tmp")] == []


def test_a_result_that_cannot_be_written_says_that_the_training_is_kept(tmp_path):
    done = run(trainer(tmp_path), {})
    with pytest.raises(OSError, match=r"No space left on device.*All 12 steps are saved in"), done.finished():
        raise OSError(28, "No space left on device", "model.safetensors")


def test_outside_of_the_steps_a_signal_says_that_none_is_lost():
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(Stopped, match="no step was running: none is lost"), between_steps():
            os.kill(os.getpid(), number)


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    schedule = Schedule(steps=4, batch_size=2, lr=1e-3, warmup=2, log_every=2)
    recipe = recipes.Recipe(TINY_TOKENIZER, TINY_TRANSFORMER, schedule, schedule, validate_every=2)
    monkeypatch.setitem(recipes.RECIPES, "small", recipe)


def never(*_):
    raise AssertionError("computed before the output was tried")


@pytest.mark.parametrize("stage", ["tokenizer", "transformer", "classifier"])
def test_the_output_folder_is_tried_before_anything_is_computed(small, tmp_path, monkeypatch, capsys, stage):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(stages, "load_data", never)
    monkeypatch.setattr("var_mini.data.load", never)
    assert main(["train", stage, "--out", str(tmp_path / "file" / "run")]) == 2
    assert "must be a folder that can be written to: Not a directory" in capsys.readouterr().err


def test_a_tokenizer_for_other_pictures_is_refused_by_the_name_of_its_option(small, tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stages, "load_data", never)
    common = ["train", "transformer", "--preset", "things-16", "--out", str(tmp_path)]
    assert main([*common, "--tokenizer", str(tiny_folder)]) == 2
    said = capsys.readouterr().err
    assert f"tokenizer = '{tiny_folder}': takes pictures of 12 x 12 pixels in grey, but those of data set 'things-16'" in said
    assert "16 x 16 pixels in colour" in said and "--data" in said


def test_classes_of_one_picture_can_be_trained_on_without_measuring(small, tmp_path, capsys):
    from PIL import Image

    for number, name in enumerate("abc"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20), (90 * number, 40, 200)).save(tmp_path / "pets" / name / "0.png")
    common = ["--preset", "small", "--data", str(tmp_path / "pets"), "--out", str(tmp_path / "run"), "--precision", "no"]
    assert main(["train", "tokenizer", *common]) == main(["train", "transformer", *common]) == 0
    assert "warning: nothing is held out" in capsys.readouterr().err
    config = checkpoints.load_config(tmp_path / "run" / "model")
    assert config.class_names == ("a", "b", "c") and config.name == "pets"
    assert main(["train", "landmarks", "--model", str(tmp_path / "run" / "model")]) == 2
    assert "was trained on 'pets', no data set of this project; give its folder of pictures" in capsys.readouterr().err


def test_ctrl_c_speaks_of_training_only_while_training(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("var_mini.checkpoints.available", stop)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "var_mini: stopped\n"


def test_sigterm_ends_a_training_command_with_its_code_and_a_sentence(tmp_path):
    code = (
        "import os, signal, sys\nfrom var_mini import __main__\nfrom var_mini.training import stages\n"
        "stages.load_data = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(__main__.main(['train', 'tokenizer', '--out', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.startswith("var_mini: stopped while no step was running") and done.stderr.count("\n") == 1
