"""Models and runs of the page: which are on offer, how long they are kept, and what their errors tell."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from demo import api, models, runs
from demo.errors import message
from var_mini import checkpoints


def test_models_on_offer(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("VAR_WEIGHTS", str(tmp_path))
    assert models.offered() == [*checkpoints.available(), tiny]
    for file in ("var_d20.pth", "vae_ch160v4096z32.pth"):  # a published model is offered where both of its files are
        assert "var_d20" not in models.offered()
        (tmp_path / file).touch()
    assert models.offered().count("var_d20") == 1 and "var_d16" not in models.offered()
    assert [models.shown(name) for name in ("var_d20", tiny, "things-32")] == [
        {"en": "VAR-d20 (published)", "zh": "VAR-d20（官方权重）"},  # noqa: RUF001
        {"en": "tiny (from a folder)", "zh": "tiny（来自文件夹）"},  # noqa: RUF001
        {"en": "things-32", "zh": "things-32"},
    ]


def test_an_error_names_every_model_once(tiny, monkeypatch):
    monkeypatch.setattr(models, "_DEFAULT", ["fashion-28"])
    with pytest.raises(ValueError) as caught:
        models.offered_config("x")
    names = str(caught.value).partition("one of ")[2].split(", ")
    assert sorted(set(names)) == names == sorted(checkpoints.available())


def test_nobody_waits_for_another_model_that_is_being_loaded(tiny, monkeypatch):
    models.forget()
    models.load_model(tiny)
    real, reached, go_on = models._load, threading.Event(), threading.Event()

    def slow(name):
        reached.set()
        assert go_on.wait(600)
        return real(name)

    monkeypatch.setattr(models, "_load", slow)
    waiting = threading.Thread(target=models.load_model, args=("fashion-28",))
    waiting.start()
    assert reached.wait(600)
    assert models.load_model(tiny).model is not None  # though the other load goes on
    go_on.set()
    waiting.join()


def test_models_in_memory_are_bounded_by_their_size(tiny, monkeypatch):
    models.load_model("fashion-28")
    monkeypatch.setattr(models, "KEPT_PARAMETERS", 1)
    models.load_model(tiny)
    assert list(models._LOADED) == [tiny]  # the one in use stays, however large


def test_an_error_does_not_tell_where_a_model_lies(tiny):
    for error in (FileNotFoundError(2, "No such file", f"{tiny}/model.safetensors"), ValueError(f"{tiny}/config.json is not")):
        assert str(Path(tiny).parent) not in message(error)
    assert message(ValueError(f"{checkpoints.ASSETS}/fashion-28/config.json: broken")) == "fashion-28/config.json: broken"


def test_runs_in_memory_are_bounded_by_their_size(tiny, monkeypatch):
    monkeypatch.setattr(runs, "_RUNS", OrderedDict())
    first, second = (runs.checked(tiny, 0, seed, 0, 1, 0, 1) for seed in (1, 2))
    size = runs.size(list(runs.draw(first)))
    assert size == sum(
        array.nbytes for step in runs.trace(first).steps for array in vars(step).values() if hasattr(array, "nbytes")
    )
    monkeypatch.setattr(runs, "KEPT_BYTES", size)
    runs.trace(second)
    assert list(runs._RUNS) == [second]


def test_the_model_is_loaded_once_for_visitors_who_come_together(tiny, monkeypatch):
    models.forget()
    loads, real = [], checkpoints.load
    monkeypatch.setattr(checkpoints, "load", lambda *a, **k: loads.append(a) or real(*a, **k))
    threads = [threading.Thread(target=models.load_model, args=(tiny,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_the_page_computes_in_the_type_it_was_started_with(tiny):
    try:
        models.compute_in("bfloat16")
        assert models.dtype() == "bfloat16" and models.load_model(tiny).model.dtype == torch.bfloat16
        record = {"model": tiny, "label": 1, "seed": 77, **vars(models.offered_config(tiny).sampling)}
        assert runs.trace(runs.from_record(record)).settings["dtype"] == "bfloat16"  # what a downloaded run says
        drawn = api.generate(tiny, 1, 77)
        assert api.tokenize(tiny, drawn["image"])["psnr_db"] > 0
    finally:
        models.compute_in("float32")
    assert models.load_model(tiny).model.dtype == torch.float32
    assert "dtype" not in runs.trace(runs.from_record(record)).settings
