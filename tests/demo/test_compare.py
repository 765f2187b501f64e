"""Attention back ends on the page: what is drawn, what is compared, and what is refused."""

from __future__ import annotations

import re
from base64 import b64decode
from html import unescape
from io import BytesIO
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import backend, bridge, runs, wording
from demo.chapters import compare, draw
from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.config import Sampling
from var_mini.view.images import to_uint8

WORDS = wording.WORDS
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


@pytest.fixture
def good(tiny):
    """Arguments of `runs.checked`."""
    names = ("name", "label", "seed", "guidance", "temperature", "top_k", "top_p", "method", "polynomial", "landmarks", "factor")
    return dict(zip(names, (tiny, 2, 7, 1.0, 0.8, 5, 0.9, "poly", "2", 64, 2)))


@pytest.mark.parametrize(("method", "name"), [("exact", "exact"), ("poly", "poly-2"), ("pool", "pool-2"), ("auto", "exact")])
def test_draw_uses_the_chosen_back_end(tiny, good, method, name):
    *_, run = bridge.stream(runs.checked(**good | {"method": method}))
    model = checkpoints.load(tiny)
    wanted = model.trace(2, 7, Sampling(1.0, 0.8, 5, 0.9), attention=name)
    assert run["scales"][-1]["ids"] == wanted.steps[-1].token_ids[0].tolist()


def test_the_comparison_shows_both_pictures_and_their_numbers(tiny, good):
    area, html = compare.compare(runs.checked(**good), "exact", "en")
    assert area["visible"] is True
    model, settings = checkpoints.load(tiny), Sampling(1.0, 0.8, 5, 0.9)
    traces = [model.trace(2, 7, settings, attention=name) for name in ("exact", "poly-2")]
    pictures = [np.asarray(Image.open(BytesIO(b64decode(code)))) for code in re.findall(r"png;base64,([^\"]+)", html)]
    for picture, trace in zip(pictures[:2], traces, strict=True):
        pixels = to_uint8(trace.image[0])
        assert picture.shape == (336, 336, *pixels.shape[2:]) and np.array_equal(picture[::28, ::28], pixels)
    cells = dict(re.findall(r'<tr data-row="(.*?)">.*?</td><td>(.*?)</td>', unescape(html)))
    equal = np.concatenate([(a.token_ids == b.token_ids)[0].numpy() for a, b in zip(traces[0].steps, traces[1].steps)])
    assert cells["row_equal"] == f"{equal.mean():.0%}"
    assert cells["row_state"] == compare.size(traces[1].steps[-1].state_bytes) and cells["row_rank"] == "45"
    assert cells["row_fallbacks"] == "0 of 24"  # layers, heads, scales, guided: 2 * 2 * 3 * 2
    largest = (traces[0].image - traces[1].image).abs().mean(1).max().item()
    assert f"Largest {largest:.2f}" in html and len(pictures) == 3
    if not torch.cuda.is_available():
        assert re.search(r"Computed on CPU: .*; poly-2 by plain torch, without fused kernels: the kernels need a GPU", html)
    on = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{(n := torch.get_num_threads())} thread{'s' * (n > 1)}"
    condition = f"measured now \u00b7 tiny \u00b7 batch 1 \u00b7 {on} \u00b7 guided"
    assert f"Both times: {condition} \u00b7 median of {compare.ROUNDS} runs in turns" in html
    assert re.search(r"poly-2 attention (takes|is) \d+\.\d times", html)
    assert f"<p>{1 - equal.mean():.0%} of the 14 tokens came out different" in html  # first of all
    assert "For tiny: head dimension 8, 3 maps, the last 3 \u00d7 3, together 14 tokens" in html
    kept = [trace.steps[-1].state_bytes for trace in traces]
    assert f"memory of earlier tokens is {kept[1] / kept[0]:.1f} times as large" in html


@pytest.mark.parametrize(
    ("seconds", "kept", "ending"),
    [
        (
            (1.0, 3.0),
            (100, 250),
            "takes 3.0 times as long as exact attention and its memory of earlier tokens is 2.5 times as large",
        ),
        ((1.0, 3.0), (250, 100), "2.5 times smaller: exact attention wins here on time, pool-2 on memory alone."),
        ((3.0, 1.0), (100, 250), "is 3.0 times as fast as exact attention and"),
        ((3.0, 1.0), (250, 100), "pool-2 wins here on time and on memory, at the price of that error."),
    ],
)
def test_the_verdict_names_the_winner_of_time_and_of_memory(tiny, seconds, kept, ending):
    """A reserve of keys and values counts as memory; half of the tokens differ."""
    config = checkpoints.load_config(tiny)
    ids = [torch.zeros(1, 14, dtype=torch.long), torch.arange(14)[None] % 2]
    parts = [(kept[0], 0), (kept[1] - 50, 50)]
    steps = [SimpleNamespace(token_ids=t, state_bytes=b, reserve_bytes=more) for t, (b, more) in zip(ids, parts)]
    settings = SimpleNamespace(config=config)
    sides = [compare.Side(n, settings, [s], [(t, t)]) for n, s, t in zip(("exact", "pool-2"), steps, seconds)]
    told = compare._verdict(*sides, torch.tensor([[[0.1, 0.2, 0.9]]]), "en")
    assert told.startswith("50% of the 14 tokens came out different, and attention's outputs are off by 20% (median)")
    assert ending in told


def test_the_published_pyramid_with_the_same_last_map_is_told_apart():
    for name, tokens in (("things-64", "680 tokens"), ("fashion-28", None)):
        settings = SimpleNamespace(config=checkpoints.load_config(name))
        told = compare._of_what(compare.Side("exact", settings, [], [(1.0, 1.0)]), "en")
        assert ("paper's pyramid" in told) == (tokens is not None) and (tokens or name) in told


def test_exact_against_exact_says_that_there_is_nothing_to_compare_and_automatic_says_why(good):
    _, html = compare.compare(runs.checked(**good | {"method": "exact"}), "exact", "en")
    assert EN["compare_same"] in html and "<img" not in html
    area, html = compare.compare(runs.checked(**good | {"method": "auto"}), "exact", "en")
    assert area["visible"] is True and "<img" not in html
    assert "Automatic chose exact: 14 tokens are too few" in html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "fast"}, "attention = 'fast': must be one of auto, budget, exact, landmark, local, poly, pool"),
        ({"method": ["poly"]}, "attention = ['poly']: must be one of"),
        ({"method": None}, "attention = None"),
        ({"polynomial": "3"}, "degree = 3: must be even"),
        ({"polynomial": "2-calibrated"}, "attention = 'poly-2-calibrated': this model has these calibrated degrees stored: none"),
        ({"polynomial": [2]}, "must be one of"),
        ({"method": "landmark", "landmarks": 64}, "attention = 'landmark-64': this model has these landmarks stored: none"),
        ({"method": "landmark", "landmarks": 17}, "attention = 'landmark-17'"),
        ({"method": "landmark", "landmarks": 5}, "landmarks = 5: must be a whole number from 16 to 256"),
        ({"method": "landmark", "landmarks": -64}, "must be one of"),
        ({"method": "pool", "factor": 3}, "factor = 3: pooling must be by 2 or 4"),
        ({"method": "pool", "factor": "x"}, "must be one of"),
        ({"name": "fashion-28", "polynomial": "4"}, "C(16 + 4, 4) = 4,845 features"),
        ({"seed": -1}, "seed = -1"),
        ({"temperature": 0}, "temperature = 0"),
    ],
)
def test_bad_back_ends_are_named(good, change, message):
    with pytest.raises(ValueError) as caught:
        runs.checked(**good | change)
    assert message in str(caught.value)


def test_a_model_is_offered_the_back_ends_that_it_can_compute(tiny):
    assert backend.specs(tiny) == ["exact", "poly-2", "poly-4", "pool-2", "pool-4", "auto"]
    found = backend.specs("fashion-28")
    assert "landmark-64" in found and "poly-2-calibrated" in found
    assert "poly-4" not in found  # C(16 + 4, 4) = 4845 features of a head of 16 are too many
    for spec in found:
        assert str(backend.supported("fashion-28", checkpoints.load_config("fashion-28"), AttentionSpec.parse(spec))) == spec


@pytest.mark.parametrize(
    ("record", "versus", "message"),
    [
        (None, "exact", "settings = None"),
        ({"model": "/etc"}, "exact", "model = '/etc'"),
        ({}, "faster", "compare with = 'faster'"),
    ],
)
def test_a_comparison_that_cannot_be_is_a_readable_error(good, record, versus, message):
    record = record if record != {} else runs.checked(**good).to_dict()
    with pytest.raises(gr.Error, match=message):
        draw.compared(record, versus)


def test_what_a_checkpoint_has_stored(tiny, tmp_path):
    assert backend.stored(tiny) == {"landmarks": [], "coefficients": []} == backend.stored("var_d16")
    assert backend.stored("fashion-28") == {"landmarks": [16, 32, 64], "coefficients": [2, 4]}
    config = checkpoints.load_config("fashion-28")
    assert str(backend.checked("fashion-28", config, "landmark", "2", 32, 2)) == "landmark-32"
    assert backend.checked("fashion-28", config, "poly", "2-calibrated", 0, 0) == AttentionSpec("poly", calibrated=True)


def choose(page, attention: str) -> None:
    page.locator("#vm-settings").click()
    page.locator(".vu-settings").get_by_label(WORDS["attention"]["en"]).select_option(attention)
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_visit_compares_low_rank_with_exact(visit, server, tiny):
    page = visit(viewport={"width": 1280, "height": 900})
    assert not page.locator(".vm-compare").is_visible()
    choose(page, "poly-2")
    page.locator("#vm-compare-run").click()
    page.locator(".vm-compare table").first.wait_for()
    assert page.locator(".vm-slider img").count() == 2
    page.wait_for_function("[...document.querySelectorAll('.vm-slider img')].every(i => i.naturalWidth === 336)")
    page.get_by_label(EN["slider_label"]).focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert page.locator(".vm-slider").evaluate("e => e.style.getPropertyValue('--cut')") == "60%"
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    choose(page, "exact")
    page.locator("#vm-compare[data-stale]").wait_for()  # no longer of these settings
    page.locator("#vm-compare-run").click()
    page.get_by_text(EN["compare_same"]).wait_for()
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == [] and page.complaints == []


@pytest.mark.slow
def test_a_phone_shows_the_comparison_without_sideways_scrolling(visit):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark")
    choose(page, "pool-2")
    page.locator("#vm-compare-run").click()
    page.locator(".vm-compare table").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator(".vm-slider").bounding_box()["width"] > 240
