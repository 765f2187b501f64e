"""The schedule, the batches, and a resumed run that equals an uninterrupted one to the last bit."""

import csv
import math

import pytest
import torch
from accelerate.state import PartialState
from torch.utils._python_dispatch import TorchDispatchMode

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from var_mini.analysis.parity import fill_by_rule
from var_mini.config import ModelConfig
from var_mini.model import Model
from var_mini.tokenizer import quantizer
from var_mini.training import tokenizer as stage
from var_mini.training.loop import Trainer, digest
from var_mini.training.schedule import Schedule, batch_indices
from var_mini.training.tokenizer import TokenizerObjective
from var_mini.training.transformer import TransformerObjective, tokenize_images

STEPS = 110  # the resumed run below passes a revival of dead codes


def schedule(**change) -> Schedule:
    return Schedule(**({"steps": STEPS, "batch_size": 8, "lr": 3e-3, "warmup": 10, "log_every": 10} | change))


@pytest.fixture(scope="module")
def images():
    """Forty images of four flat tiles each."""
    tiles = torch.randint(0, 255, (40, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return tiles.repeat_interleave(6, 2).repeat_interleave(6, 3)


def tokenizer_run(images, out, stop_at=None):
    torch.manual_seed(0)
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).tokenizer
    trainer = Trainer(TokenizerObjective(model, STEPS), schedule(), out, precision="no", cpu=True)
    trainer.run(len(images), lambda i, _: [images[i].float() / 127.5 - 1], stop_at=stop_at)
    return trainer


def transformer_run(images, out, stop_at=None):
    torch.manual_seed(0)
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).eval()
    fill_by_rule(model.tokenizer)  # a fresh tokenizer gives every image the same tokens
    ids = tokenize_images(model.tokenizer, images)
    labels = torch.arange(len(ids)) % 3
    objective = TransformerObjective(model.transformer, model.tokenizer.quantize, alternate_from=50)
    trainer = Trainer(objective, schedule(muon_lr=0.02), out, precision="no", cpu=True)
    trainer.run(len(ids), lambda i, _: [ids[i], labels[i]], stop_at=stop_at)
    return trainer


@pytest.mark.parametrize("run", [tokenizer_run, transformer_run])
def test_a_stage_learns_and_a_resumed_run_equals_an_uninterrupted_one(images, tmp_path, run):
    whole = run(images, tmp_path / "whole")
    assert whole.rows[-1]["loss"] < 0.9 * whole.rows[0]["loss"]
    assert run(images, tmp_path / "parts", stop_at=37).step == 37
    resumed = run(images, tmp_path / "parts")
    assert resumed.step == STEPS
    for name, tensor in whole.bare.state_dict().items():
        assert torch.equal(tensor, resumed.bare.state_dict()[name]), name
    assert all(torch.equal(whole.ema[n], resumed.ema[n]) for n in whole.ema)
    logs = []
    for folder in ("whole", "parts"):
        with open(tmp_path / folder / "log.csv", newline="") as file:
            logs.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert logs[0] == logs[1] and [int(row["step"]) for row in logs[0]] == list(range(10, STEPS + 1, 10))


class NoAnswer(TorchDispatchMode):
    """Fails on whatever would make the host of a GPU wait: reading a number, sizes that depend on values, copies from lists."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount", "equal", "lift_fresh")

    def __init__(self, allowed: list[torch.Tensor]):
        super().__init__()
        self.allowed = {id(tensor) for tensor in allowed}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.WAITING or id(args[0]) in self.allowed, f"{name} inside a training step"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("run", [tokenizer_run, transformer_run])
def test_a_step_waits_for_no_answer(images, tmp_path, run, monkeypatch):
    trainer = run(images, tmp_path, stop_at=3)
    monkeypatch.setattr(trainer, "check_finite", lambda: None)  # on a GPU only where numbers are logged or saved
    monkeypatch.setattr(quantizer, "_argmin", lambda rows: rows.argmin(1))  # as on a GPU; numpy's is for a CPU
    if run is tokenizer_run:
        batch = [images[:8].float() / 127.5 - 1]
    else:
        batch = [torch.zeros(8, 14, dtype=torch.int32), torch.arange(8) % 3]
    counters = [state["step"] for state in trainer.optimizers[0].state.values()]  # AdamW keeps them on the CPU
    with NoAnswer(counters):
        metrics = trainer._update(batch)
    assert all(isinstance(value, torch.Tensor) for value in metrics.values()) and len(metrics) > 1
    with pytest.raises(AssertionError, match="_local_scalar_dense inside"), NoAnswer([]):
        float(metrics["loss"])


def test_a_gradient_that_is_not_finite_is_named_by_its_step_and_never_saved(images, tmp_path, monkeypatch):
    trainer = transformer_run(images, tmp_path, stop_at=2)
    before = (tmp_path / "state.pt").read_bytes()
    monkeypatch.setattr(trainer, "check_finite", lambda: None)  # as on a GPU, where it is called now and then
    ids, labels = torch.zeros(8, 14, dtype=torch.int32), torch.arange(8) % 3
    with torch.no_grad():
        next(trainer.bare.parameters()).fill_(torch.nan)
    for _ in range(2):
        trainer._update([ids, labels])
        trainer.step += 1
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"lr = 0\.003: the gradient was not finite at step 2; a lower value may help"):
        trainer.save()
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_sitting_of_some_minutes_ends_and_the_next_one_goes_on(images, tmp_path):
    torch.manual_seed(0)
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).tokenizer

    def sit(minutes):
        trainer = Trainer(TokenizerObjective(model, STEPS), schedule(steps=3), tmp_path, precision="no", cpu=True)
        return trainer.run(len(images), lambda i, _: [images[i].float() / 127.5 - 1], minutes=minutes), trainer.step

    assert sit(0.0) == (False, 0) and sit(None) == (True, 3)


def test_a_changed_schedule_keeps_its_proportions():
    plain = schedule(steps=100, batch_size=10, lr=1e-3, muon_lr=0.02, early_steps=50, early_batch=25)
    assert plain.changed() == plain
    changed = plain.changed(steps=40, batch_size=20, lr=3e-3)
    assert (changed.steps, changed.early_steps, changed.batch_size, changed.early_batch) == (40, 20, 20, 50)
    assert (changed.lr, changed.muon_lr) == (3e-3, pytest.approx(0.06)) and changed.warmup == plain.warmup
    with pytest.raises(ValueError, match="batch_size = 0"):
        plain.changed(batch_size=0)


def codes_used(images, out) -> int:
    trainer = tokenizer_run(images, out)
    with torch.no_grad(), trainer.averaged() as model:
        return len(torch.cat(model.tokenize(images.float() / 127.5 - 1).token_ids, 1).unique())


def test_no_code_stays_dead(images, tmp_path, monkeypatch):
    """Codes that start far from every feature vector die, unless they are revived."""
    monkeypatch.setattr(stage, "REVIVE_EVERY", 20)
    assert codes_used(images, tmp_path / "as usual") > 0.8 * 24
    monkeypatch.setattr(TokenizerObjective, "_data_init", lambda self, f: None)
    revived = codes_used(images, tmp_path / "revived")
    monkeypatch.setattr(stage, "REVIVE_EVERY", 10**9)
    assert codes_used(images, tmp_path / "left alone") < 0.6 * revived
    assert revived > 0.8 * 24


@pytest.mark.parametrize("content", [b"", b"\x80\x04}q\x00.", b"PK\x03\x04"], ids=["empty", "pickle", "broken zip"])
def test_a_broken_state_is_refused_not_overwritten(images, tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.pt does not hold a state of this training run"):
        tokenizer_run(images, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == content


def test_a_state_of_another_run_is_refused(images, tmp_path):
    transformer_run(images, tmp_path, stop_at=2)
    with pytest.raises(ValueError, match="does not hold a state of this training run"):
        tokenizer_run(images, tmp_path)


def test_every_epoch_is_a_permutation():
    seen = torch.cat([batch_indices(t, 10, 3, seed=1) for t in range(3)])
    assert len(seen.unique()) == 9
    again = torch.cat([batch_indices(t, 10, 3, seed=1) for t in range(3, 6)])
    assert not torch.equal(seen, again)
    assert torch.equal(batch_indices(4, 10, 3, seed=1), again[3:6])
    assert len(batch_indices(0, 5, 64, seed=0)) == 5  # fewer pictures than a batch


def test_early_steps_take_batches_of_their_own(images, tmp_path):
    seen = []
    torch.manual_seed(0)
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).tokenizer
    short = schedule(steps=5, early_steps=2, early_batch=12, log_every=1)
    trainer = Trainer(TokenizerObjective(model, 5), short, tmp_path, precision="no", cpu=True)
    trainer.run(len(images), lambda i, _: [seen.append(len(i)) or images[i].float() / 127.5 - 1])
    assert seen == [12, 12, 8, 8, 8] and [row["images"] for row in trainer.rows] == [12, 24, 32, 40, 48]
    assert schedule(steps=5, early_steps=2, early_batch=100).examples(3, count=50) == 50 + 50 + 8
    mixed = schedule(steps=9, early_steps=7, early_batch=12, full_every=3)
    sizes = [mixed.batch_at(step) for step in range(9)]
    assert sizes == [12, 12, 8, 12, 12, 8, 12, 8, 8] and mixed.examples(9, count=50) == sum(sizes)
    with pytest.raises(ValueError, match="early_steps = 6: must be"):
        schedule(steps=5, early_steps=6)


def test_early_steps_and_the_others_each_go_through_all_examples_before_any_comes_again():
    mixed = schedule(steps=60, early_steps=50, early_batch=6, full_every=2)
    early, late = [], []
    for step in range(60):
        (early if mixed.batch_at(step) == 6 else late).append(mixed.indices_at(step, 48).tolist())
    assert len(early) == 25 and len(late) == 35
    for batches, per_epoch in ((early, 8), (late, 6)):
        for epoch in range(len(batches) // per_epoch):
            seen = [i for chosen in batches[epoch * per_epoch : (epoch + 1) * per_epoch] for i in chosen]
            assert sorted(seen) == list(range(48))
    assert early[0][:6] != late[0][:6]


def test_learning_rate_by_formula():
    s = schedule(final_lr=0.1)
    assert s.rate(0) == 0.1 and s.rate(9) == 1.0
    assert s.rate(60) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert s.rate(STEPS) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch_size": 0}, {"lr": 0}, {"lr": math.nan}, {"ema": 2}, {"seed": -1}], ids=str
)
def test_a_wrong_schedule_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        schedule(**change)


def test_cpu_holds_after_a_trainer_that_was_somewhere_else(images, tmp_path):
    model = Model.build(ModelConfig("t", TINY_TOKENIZER, TINY_TRANSFORMER)).tokenizer
    try:
        Trainer(TokenizerObjective(model, 1), schedule(steps=1), tmp_path / "a", precision="no")
        PartialState().device = torch.device("meta")  # as if it had found a GPU
        there = Trainer(TokenizerObjective(model, 1), schedule(steps=1), tmp_path / "a", precision="no")
        assert there.accelerator.device.type == "meta"
        model.to_empty(device="cpu")
        here = Trainer(TokenizerObjective(model, 1), schedule(steps=1), tmp_path / "b", precision="no", cpu=True)
        assert here.accelerator.device == torch.device("cpu") and here.broken.device.type == "cpu"
        again = Trainer(TokenizerObjective(model, 1), schedule(steps=1), tmp_path / "b", precision="no")
        assert (again.accelerator.device.type == "cuda") == torch.cuda.is_available()
    finally:
        PartialState._reset_state()


def test_minus_zero_and_zero_are_the_same_weight_to_a_runs_identity():
    assert digest(torch.tensor([0.0, 1.0])) == digest(torch.tensor([-0.0, 1.0])) != digest(torch.tensor([-1.0, 1.0]))
    assert digest(torch.tensor([True, False]), torch.tensor([3])) != digest(torch.tensor([True, True]), torch.tensor([3]))


@pytest.mark.parametrize(
    "content",
    [
        b"step;images;loss\n10;80;1\n",
        b"step,images\nten,80\n",
        b"step,images\n10,80,9\n",
        b"step\n\xff\n",
        b"a,b\n,\n",
        b'step\n"1',
    ],
    ids=["semicolons", "no number", "too long", "no text", "other names", "unclosed"],
)
def test_a_damaged_log_does_not_keep_a_run_from_going_on(images, tmp_path, content):
    whole = tokenizer_run(images, tmp_path / "whole")
    tokenizer_run(images, tmp_path / "parts", stop_at=20)
    (tmp_path / "parts" / "log.csv").write_bytes(content)
    with pytest.warns(UserWarning, match=r"parts.log\.csv is no log of this run and will be written anew, without its old rows"):
        resumed = tokenizer_run(images, tmp_path / "parts")
    assert all(torch.equal(t, resumed.bare.state_dict()[n]) for n, t in whole.bare.state_dict().items())
    with open(tmp_path / "parts" / "log.csv", newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(30, STEPS + 1, 10))
