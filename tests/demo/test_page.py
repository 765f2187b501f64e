"""The page: its handlers as plain functions, its command, and a visit with a real browser.

A tiny untrained model stands in for the shipped ones, so these tests need no weights and run in seconds.
"""

from __future__ import annotations

import base64
import io
import math
import re
import threading
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import __main__ as command
from demo import draw_tab, models, stage, wording
from tests.conftest import TINY_TOKENIZER
from var_mini import checkpoints
from var_mini.config import Sampling
from var_mini.model import Model
from var_mini.view.images import to_uint8

STAGE_DONE = "(e => e && e.dataset.drawn === e.dataset.scales)(document.querySelector('.vm-stage'))"


def pixels(uri: str) -> np.ndarray:
    """A data URI of the page as uint8 (h, w, 3)."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def expected(tiny: str, label: int, seed: int, sampling: Sampling | None = None) -> np.ndarray:
    """What the library draws, without the page."""
    return to_uint8(checkpoints.load(tiny).trace(label, seed, sampling).image[0])


# -- handlers ------------------------------------------------------------------------------------------------------


def test_draw_streams_every_scale_and_ends_with_the_library_image(tiny):
    stages = list(draw_tab.draw(tiny, 2, 7, 1.0, 0.8, 5, 0.9))
    assert [re.search(r'data-drawn="(\d+)"', s)[1] for s in stages] == ["0", "1", "2", "3"]
    for done, html in enumerate(stages):
        assert html.count("vm-scale vm-drawn") == done
        assert html.count('<li class="vm-scale') == 3  # drawn or waiting, every scale keeps its place
    final = re.search(r'<img class="vm-picture vm-final" src="([^"]+)" alt="([^"]+)"', stages[-1])
    assert np.array_equal(pixels(final[1]), expected(tiny, 2, 7, Sampling(1.0, 0.8, 5, 0.9)))
    assert "last, seed 7" in final[2]
    assert "14 of 14" in stages[-1] and "float32" in stages[-1]


def test_token_maps_say_their_codes_as_text(tiny):
    *_, html = draw_tab.draw(tiny, 0, 3, 0, 1, 0, 1)
    for step in checkpoints.load(tiny).trace(0, 3, Sampling()).steps:
        codes = " ".join(map(str, step.token_ids[0].tolist()))
        assert f"Token map {step.side} by {step.side}, code numbers row by row: {codes}." in html


def test_everything_from_a_config_is_escaped(tiny):
    *_, html = draw_tab.draw(tiny, 1, 0, 0, 1, 0, 1)
    assert "&lt;b onclick=&quot;x&quot;&gt;bold" in html and "<b onclick" not in html


def test_the_page_before_a_click_has_its_layout_and_a_hint(tiny):
    html = stage.stage(stage.Run(checkpoints.load_config(tiny)))
    assert html.count("vm-scale vm-waiting") == 3 and "vm-final" in html and "<img" not in html
    assert wording.HINT.format(scales=3) in html


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
        ({"seed": None}, "seed = None"),
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
def test_bad_input_is_a_readable_error(tiny, change, message):
    values = {**GOOD, "name": tiny, **change}
    with pytest.raises(gr.Error) as caught:
        list(draw_tab.draw(**values))
    assert message in caught.value.message
    assert not caught.value.print_exception and "\n" not in caught.value.message


def test_a_checkpoint_that_does_not_load_is_a_readable_error(tiny, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / checkpoints.CONFIG).write_text((Path(tiny) / checkpoints.CONFIG).read_text())
    (folder / checkpoints.WEIGHTS).write_bytes(b"not a tensor file")
    with pytest.raises(gr.Error, match="not a readable safetensors file"):
        for html in draw_tab.draw(**{**GOOD, "name": str(folder)}):
            last = html
    assert "not a readable safetensors file" in last  # the page does not keep saying that it prepares the model
    (folder / checkpoints.CONFIG).write_text("{")
    with pytest.raises(gr.Error, match="not a readable JSON file"):
        list(draw_tab.draw(**{**GOOD, "name": str(folder)}))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("x"), wording.OUT_OF_MEMORY),
        (MemoryError(), wording.OUT_OF_MEMORY),
        (RuntimeError("first\nsecond"), wording.RUN_FAILED.format(error="first")),
    ],
)
def test_a_run_that_breaks_is_a_readable_error(tiny, monkeypatch, error, message):
    loaded = models.load_model(tiny)

    def broken(*args, **options):
        yield from list(Model.generate(loaded.model, 0, 0))[:1]
        raise error

    monkeypatch.setattr(loaded.model, "generate", broken)
    with pytest.raises(gr.Error) as caught:
        list(draw_tab.draw(**{**GOOD, "name": tiny}))
    assert caught.value.message == message


def test_choosing_a_model_updates_classes_settings_and_strip(tiny):
    label, guidance, temperature, top_k, top_p, landmarks, html, area = draw_tab.choose_model(tiny)
    assert label["choices"] == [("plain", 0), ('a <b onclick="x">bold</b> one', 1), ("last", 2)] and label["value"] == 0
    assert (guidance, temperature, top_k["value"], top_k["maximum"], top_p) == (1.5, 0.9, 20, TINY_TOKENIZER.vocab_size, 0.95)
    assert html.count("vm-scale vm-waiting") == 3 and area["visible"] is False
    assert landmarks["choices"] == [("16", 16), ("32", 32), ("64", 64)]
    *_, html, _ = draw_tab.choose_model("var_d16")  # shown without its weights
    assert html.count("vm-scale vm-waiting") == 10 and wording.PUBLISHED_NEEDS in html
    with pytest.raises(gr.Error, match="no-such-model"):
        draw_tab.choose_model("no-such-model")


def test_models_on_offer(tiny):
    values = [value for _, value in models.model_choices(tiny)]
    assert values[0] == tiny and "var_d16" in values and set(checkpoints.available()) <= set(values)
    assert [value for _, value in models.model_choices("var_d16")].count("var_d16") == 1


def test_the_model_is_loaded_once_for_visitors_who_come_together(tiny, monkeypatch):
    models._load.cache_clear()
    loads, real = [], checkpoints.load
    monkeypatch.setattr(checkpoints, "load", lambda *a: loads.append(a) or real(*a))
    threads = [threading.Thread(target=models.load_model, args=(tiny,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


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


# -- browser -------------------------------------------------------------------------------------------------------


def height(page) -> float:
    return page.locator(".vm-stage").bounding_box()["height"]


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.slow
def test_visit_draws_what_the_library_draws(visit, server, tiny):
    page = visit(viewport={"width": 1280, "height": 800})
    assert page.locator(".vm-waiting").count() == 3  # not blank before the first click
    assert page.get_by_text(wording.HINT.format(scales=3)).is_visible()
    before = height(page)
    page.get_by_label(wording.SEED).fill("5")
    page.get_by_role("button", name=wording.GENERATE).click()
    page.wait_for_function(STAGE_DONE)
    scales = page.locator(".vm-drawn")
    assert scales.count() == 3
    assert height(page) == before  # the layout does not jump
    for k in range(3):
        widths = scales.nth(k).locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
        assert widths == [k + 1, 12]  # token map and image, both really decoded by the browser
    shown = pixels(page.locator("img.vm-final").get_attribute("src"))
    assert np.array_equal(shown, expected(tiny, 0, 5))  # the settings start at the model's own
    outside = [url for url in page.requested if not url.startswith((server, "data:", "blob:"))]
    assert outside == []
    assert page.complaints == []


@pytest.mark.slow
def test_visit_with_a_bad_seed_shows_why(visit):
    page = visit()
    page.get_by_label(wording.SEED).fill("-3")
    page.get_by_role("button", name=wording.GENERATE).click()
    page.get_by_text("must be a whole number from 0 to 4294967295").wait_for()
    assert page.locator(".vm-waiting").count() == 3


@pytest.mark.slow
def test_visit_switches_the_model(visit):
    page = visit()
    page.get_by_label(wording.MODEL).click()
    page.get_by_role("option", name=wording.MODEL_PUBLISHED).click()
    page.wait_for_selector(".vm-stage[data-scales='10']")
    assert page.get_by_text(wording.PUBLISHED_NEEDS).is_visible()


@pytest.mark.slow
def test_visit_stops_a_run_and_starts_another(visit, tiny, monkeypatch):
    loaded, go_on = models.load_model(tiny), threading.Event()

    def halting(*args, **options):  # waits after the first scale until the test has pressed Stop
        for step in Model.generate(loaded.model, *args, **options):
            yield step
            go_on.wait(60)

    monkeypatch.setattr(loaded.model, "generate", halting)
    page = visit()
    page.get_by_role("button", name=wording.GENERATE).click()
    page.wait_for_selector(".vm-stage[data-drawn='1']")
    page.get_by_role("button", name=wording.STOP).click()
    page.get_by_text(wording.STOPPED).wait_for()
    go_on.set()
    monkeypatch.undo()
    assert page.locator(".vm-drawn").count() == 1
    seen = len(page.requested)
    while not any("queue/join" in url for url in page.requested[seen:]):  # Gradio drops a click until it has closed the
        page.get_by_role("button", name=wording.GENERATE).click()  # stopped run, a moment after it says so
        page.wait_for_timeout(200)
    page.wait_for_function(STAGE_DONE)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme, tiny, monkeypatch):
    loaded = models.load_model(tiny)

    def slow(*args, **options):  # long numbers once wrapped and made the page jump
        for step in Model.generate(loaded.model, *args, **options):
            step.seconds_attention = step.seconds_transformer = step.seconds_decoder = 12.3456
            yield step

    monkeypatch.setattr(loaded.model, "generate", slow)
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert overflow(page) <= 0
    before = height(page)
    page.get_by_role("button", name=wording.GENERATE).click()
    page.wait_for_function(STAGE_DONE)
    assert overflow(page) <= 0 and height(page) == before
    strip = page.locator(".vm-strip")
    assert strip.evaluate("e => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === 'auto'")
    background = page.evaluate("getComputedStyle(document.querySelector('.vm-card')).backgroundColor")
    light = sum(map(float, re.findall(r"[\d.]+", background)[:3])) / 3 > 128
    assert light == (scheme == "light")
