"""The page: its handlers as plain functions, its command.

A tiny untrained model stands in for the shipped ones, so these tests need no weights and run in seconds.
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import gradio as gr
import numpy as np
import pooch
import pytest
import torch

from demo import __main__ as command
from demo import bridge, front, links, models, runs, wording
from demo.chapters import gallery
from tests.demo.conftest import NAMES
from tests.demo.visits import Event, record
from var_mini import checkpoints
from var_mini import data as datasets
from var_mini.config import Sampling
from var_mini.data import fashion
from var_mini.model import Model
from var_mini.view.images import to_uint8

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


def colours(code: str) -> np.ndarray:
    """Base64 of RGB bytes as uint8 (n, 3)."""
    return np.frombuffer(base64.b64decode(code), np.uint8).reshape(-1, 3)


def expected(tiny: str, label: int, seed: int, sampling: Sampling | None = None) -> np.ndarray:
    """What the library draws, without the page."""
    return to_uint8(checkpoints.load(tiny).trace(label, seed, sampling).image[0])


@pytest.mark.parametrize("kept", [False, True])
def test_nearest_images_are_looked_for_only_where_they_are(tmp_path, monkeypatch, kept):
    """No visitor starts a download: neither of a model nor of a data set."""
    monkeypatch.setattr(fashion, "FASHION_FOLDER", tmp_path / "package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "trace", lambda _: pytest.fail("a model was used"))
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: pytest.fail("a download began"))
    (tmp_path / "pooch").mkdir()
    for name in fashion.FASHION_FILES if kept else [*fashion.FASHION_FILES][:3]:
        (tmp_path / "pooch" / f"fashion-{name}").touch()
    assert datasets.is_here("fashion-mnist") is kept and datasets.is_here("things")
    if not kept:
        with pytest.raises(gr.Error) as caught:
            gallery.nearest(record("fashion-28"))
        assert caught.value.message == EN["nearest_absent"].format(name="fashion-mnist")


# -- handlers ------------------------------------------------------------------------------------------------------


def drawn(tiny: str, label: int, seed: int, *sampling) -> dict:
    """The last of what the first screen is sent of a run."""
    settings = runs.checked(tiny, label, seed, *sampling)
    *_, last = bridge.draw(Event({"number": 5, "settings": settings.to_dict(), "best_of": 1}))
    assert last["number"] == 5
    return last["run"]


def test_draw_streams_every_scale_and_ends_with_the_library_image(tiny):
    sampling = Sampling(1.0, 0.8, 5, 0.9)
    shown = list(bridge.stream(runs.checked(tiny, 2, 7, 1.0, 0.8, 5, 0.9)))
    assert [len(run["scales"]) for run in shown] == [1, 2, 3]
    json.dumps(shown)
    last = drawn(tiny, 2, 7, 1.0, 0.8, 5, 0.9)
    assert np.array_equal(colours(last["scales"][-1]["image"]).reshape(12, 12, 3), expected(tiny, 2, 7, sampling))
    assert last["subject"] == "last" and last["settings"]["seed"] == 7 and last["tokens"] == 14
    trace = checkpoints.load(tiny).trace(2, 7, sampling)
    for scale, step in zip(last["scales"], trace.steps, strict=True):
        assert scale["ids"] == step.token_ids[0].tolist() and len(colours(scale["colours"])) == step.side**2
        assert scale["entropy"] == pytest.approx(step.entropy[0].tolist(), abs=1e-4)
        assert scale["probability"] == pytest.approx(step.probability[0].tolist(), abs=1e-4)
        assert scale["top"] == step.top_ids[0].tolist()


def test_a_click_on_a_token_is_answered_with_the_run_s_own_attention(tiny):
    run = drawn(tiny, 1, 3, 1.5, 0.9, 0, 1.0)
    trace = checkpoints.load(tiny).trace(1, 3, Sampling(1.5, 0.9, 0, 1.0), capture="full")
    answer = bridge.attention({"settings": run["settings"], "scale": 2, "token": 4, "layer": 1, "head": 0})
    weights, logits, values, output = (floats(answer[name]) for name in ("weights", "logits", "values", "output"))
    assert np.abs(weights - trace.steps[2].attention[0, 1, 0, 4].numpy()).max() < 2e-5
    shares = np.exp(logits.astype(np.float64) - logits.max())
    assert np.allclose(shares / shares.sum(), weights, atol=1e-6)  # softmax(s q.k)
    assert np.allclose(weights @ values.reshape(len(weights), answer["dim"]), output, atol=1e-5)  # times v, summed
    table = bridge.blocks({"settings": run["settings"]})
    assert table["shape"] == [2, 2, 3, 3]


def test_a_code_is_told_with_its_vector_and_what_a_map_full_of_it_looks_like(tiny):
    answer, model = bridge.code({"model": tiny, "code": 3}), checkpoints.load(tiny)
    assert np.allclose(floats(answer["vector"]), model.tokenizer.quantize.embedding.weight[3].detach().numpy())
    maps = [torch.zeros(1, n, dtype=torch.long) for n in (1, 4)] + [torch.full((1, 9), 3)]
    sums = model.tokenizer.quantize.accumulate(maps)
    with torch.inference_mode():
        image = to_uint8((model.tokenizer.decode(sums[2] - sums[1])[0] + 1) / 2)
    assert answer["side"] == 4 and np.array_equal(colours(answer["patch"]).reshape(4, 4, 3), image[4:8, 4:8])
    assert "code = 24: must be a whole number from 0 to 23" in bridge.code({"model": tiny, "code": 24})["error"]
    assert "must be one of" in bridge.code({"model": "/etc", "code": 0})["error"] and "error" in bridge.code(None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "query = None: must be a JSON object"),
        ([1, 2], "must be a JSON object"),
        ({}, "settings = None: must be a JSON object"),
        ({"settings": {"model": "/etc"}}, "model = '/etc': must be one of"),
        ({"scale": 9}, "scale = 9: must be a whole number from 0 to 2"),
        ({"scale": 2, "token": 9}, "token = 9: must be a whole number from 0 to 8"),
        ({"scale": "2"}, "scale = '2'"),
        ({"token": math.nan}, "token = nan"),
    ],
)
def test_forged_events_get_a_message(tiny, query, message):
    run = drawn(tiny, 1, 3, 1.5, 0.9, 0, 1.0)
    if isinstance(query, dict) and query and "settings" not in query:
        query = {"settings": run["settings"], "scale": 0, "token": 0} | query
    if isinstance(query, dict):
        query |= {"layer": 0, "head": 0}
    assert message in bridge.attention(query)["error"]


def floats(code: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(code), "<f4")


GOOD = {"name": None, "label": 0, "seed": 0, "guidance": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guidance": math.nan}, "guidance = nan: must be a finite number"),
        ({"guidance": "1"}, "guidance = '1'"),
        ({"temperature": 0}, "temperature = 0"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"top_k": -1}, "top_k = -1"),
        ({"top_k": 2.5}, "top_k = 2.5"),
        ({"top_p": 1.01}, "top_p = 1.01"),
        ({"seed": 2**40}, "seed = 1099511627776: must be a whole number from 0 to 4294967295"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": None}, "The field of the seed is empty: it must be a whole number from 0 to 4294967295"),
        ({"seed": [0, 1]}, "seed = [0, 1]"),
        ({"label": 3}, "class = 3: must be a whole number from 0 to 2"),
        ({"label": -1}, "class = -1"),
        ({"label": "last"}, "class = 'last'"),
        ({"label": [0, 1]}, "class = [0, 1]"),
        ({"name": "no-such-model"}, "model = 'no-such-model': must be one of"),
        ({"name": ["var_d16"]}, "model = ['var_d16']"),
        ({"name": 3}, "model = "),
        ({"name": "x" * 5000}, "model = 'xxx"),
        ({"name": "a\0b"}, "model = "),
    ],
)
def test_bad_input_is_named(tiny, change, message):
    values = {**GOOD, "name": tiny, **change}
    with pytest.raises(ValueError) as caught:
        runs.checked(**values)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    if change.get("seed", 0) is not None:  # which a record says in other words
        record = {"model": values["name"], **{name: value for name, value in values.items() if name != "name"}}
        (told,) = bridge.draw(Event({"number": 1, "settings": record, "best_of": 1}))
        assert message in told["error"]


def test_the_best_of_several_seeds_is_drawn_and_told(tiny, monkeypatch):
    record = {"model": tiny, "label": 1, "seed": 20, **vars(checkpoints.load_config(tiny).sampling)}
    (told,) = bridge.draw(Event({"number": 1, "settings": record, "best_of": 4}))
    assert "has no styles, and so no ranker" in told["error"]
    monkeypatch.setattr(runs, "load_ranker", lambda config: None)
    monkeypatch.setattr(runs, "scores", lambda ranker, images, conditions: images.flatten(1).mean(1))  # the brightest
    *begun, last = bridge.draw(Event({"number": 1, "settings": record, "best_of": 4}))
    assert not any("drawings" in told for told in begun)  # once is enough: they are the largest part
    levels = [expected(tiny, 1, seed, checkpoints.load_config(tiny).sampling).mean() for seed in range(20, 24)]
    assert last["run"]["settings"]["seed"] == 20 + int(np.argmax(levels)) and len(last["run"]["scales"]) == 3
    order = [20 + int(i) for i in np.argsort([-level for level in levels], kind="stable")]
    assert [drawing["seed"] for drawing in last["drawings"]] == order
    for drawing in last["drawings"]:
        image = np.frombuffer(base64.b64decode(drawing["image"]), np.uint8).reshape(12, 12, 3).astype(int)
        wanted = expected(tiny, 1, drawing["seed"], checkpoints.load_config(tiny).sampling)
        assert np.abs(image - wanted).max() <= 1  # drawn all at once, and rounded
        assert drawing["share"] == pytest.approx(math.exp(wanted.mean() / 255), abs=0.01)


@pytest.mark.parametrize("count", [0, 9, 2.5, None, True, "8"])
def test_a_number_of_drawings_out_of_range_is_named(tiny, count):
    record = {"model": tiny, "label": 1, "seed": 20, **vars(checkpoints.load_config(tiny).sampling)}
    (told,) = bridge.draw(Event({"number": 1, "settings": record, "best_of": count}))
    assert "best_of = " in told["error"] and "must be a whole number from 1 to 8" in told["error"]


@pytest.mark.parametrize("event", [None, {}, {"number": "x", "settings": {}}, {"number": math.nan}])
def test_a_draw_without_a_number_is_a_readable_error(event):
    with pytest.raises(gr.Error, match=r"event = |number = "):
        list(bridge.draw(Event(event)))


def test_a_checkpoint_that_does_not_load_is_a_readable_error(tiny, tmp_path, monkeypatch):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / checkpoints.CONFIG).write_text((Path(tiny) / checkpoints.CONFIG).read_text())
    (folder / checkpoints.WEIGHTS).write_bytes(b"not a tensor file")
    monkeypatch.setattr(models, "_DEFAULT", [str(folder)])
    record = {"model": str(folder), **{name: value for name, value in GOOD.items() if name != "name"}}
    (told,) = bridge.draw(Event({"number": 1, "settings": record, "best_of": 1}))
    assert "not a readable safetensors file" in told["error"]
    (folder / checkpoints.CONFIG).write_text("{")
    (told,) = bridge.draw(Event({"number": 1, "settings": record, "best_of": 1}))
    assert "not a readable JSON file" in told["error"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("x"), EN["out_of_memory"]),
        (MemoryError(), EN["out_of_memory"]),
        (RuntimeError("first\nsecond"), EN["run_failed"].format(error="first")),
    ],
)
def test_a_run_that_breaks_is_a_readable_error(tiny, monkeypatch, error, message):
    loaded = models.load_model(tiny)

    def broken(*args, **options):
        yield from list(Model.generate(loaded.model, 0, 0))[:1]
        raise error

    monkeypatch.setattr(loaded.model, "generate", broken)
    settings = runs.checked(**{**GOOD, "name": tiny}).to_dict()
    *begun, told = bridge.draw(Event({"number": 1, "settings": settings, "best_of": 1}))
    assert told == {"number": 1, "error": message} and len(begun) == 1


def test_the_first_screen_knows_of_every_model_what_it_offers(tiny):
    told = front.describe(tiny)
    assert told["class_names"] == list(NAMES) and told["style_names"] == [] and told["patch_nums"] == [1, 2, 3]
    assert told["sampling"] == {"guidance": 1.5, "temperature": 0.9, "top_k": 20, "top_p": 0.95}
    assert told["first"] == {"label": 0, "seed": 0, "style": None} and not told["recorded"]
    clothes = front.describe("fashion-28")
    recorded = links.recorded("fashion-28")["settings"]
    assert clothes["recorded"] and (clothes["first"]["label"], clothes["first"]["seed"]) == (recorded["label"], recorded["seed"])


# -- command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "port = 70000"),
        (["--port", "x"], "invalid int value"),
        (["--host", "no such host"], "host = 'no such host'"),
        (["--model", "no-such-model", "--port", "0"], "port = 0"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
def test_command_names_a_bad_value_and_exits_with_2(arguments, message, capsys):
    try:
        code = command.main(arguments)
    except SystemExit as stopped:  # how argparse leaves
        code = stopped.code
    assert code == 2 and message in capsys.readouterr().err


def test_command_names_an_unknown_model_and_exits_with_2(capsys, monkeypatch):
    monkeypatch.setattr(command, "check_address", lambda *_: None)
    assert command.main(["--model", "no-such-model"]) == 2
    assert "model = 'no-such-model': must be one of" in capsys.readouterr().err
