"""The chapter on exact and low-rank attention: the toggle, the heat table, the curves, what is refused, and visits."""

from __future__ import annotations

import gc
import json
import math
import re
import weakref
from html import unescape

import gradio as gr
import numpy as np
import pytest
import torch

from demo import wording
from demo.chapters import lowrank, lowrank_limits
from tests.demo.visits import charts_of, open_chapter, overflow, record
from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.training.qkv import collect_qkv

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


def cells(html: str) -> np.ndarray:
    """The numbers of both heat tables, (2, layers, heads)."""
    tables = re.findall(r"<tbody>(.*?)</tbody>", html)
    return np.array([[re.findall(r"<td[^>]*>([^<]+)</td>", row) for row in t.split("</tr>")[:-1]] for t in tables], float)


def softmax_errors(model, label: int, seed: int, terms) -> np.ndarray:
    """Errors (layers, heads, scales) in float64: softmax and weights `terms(t)` written out over the keys a query may see."""
    ids = torch.cat([step.token_ids for step in model.trace(label, seed, model.config.sampling).steps], 1)
    qkv = collect_qkv(model, ids, torch.tensor([label]))
    errors = []
    for layer, block in enumerate(model.transformer.blocks):
        scale = block.attn.logit_scale().detach().double()
        for head in range(len(scale)):
            q, k, v = (part[layer, 0, head].double() for part in (qkv.q, qkv.k, qkv.v))
            for where in model.config.pyramid.slices:
                t = scale[head] * q[where] @ k[: where.stop].T
                exact, near = ((w / w.sum(1, keepdim=True)) @ v[: where.stop] for w in (t.exp(), terms(t)))
                errors.append(((near - exact).norm() / exact.norm()).item())
    return np.array(errors).reshape(len(model.transformer.blocks), len(scale), -1)


# -- the toggle ------------------------------------------------------------------------------------------------------


def test_the_toggle_compares_and_measures_every_head(tiny):
    area, comparison, heat = lowrank.toggle(record(tiny, 2, 7, attention="poly-2"))
    assert area["visible"] is True and 'data-row="row_state"' in comparison and "vm-slider" in comparison
    wanted = softmax_errors(checkpoints.load(tiny), 2, 7, lambda t: 1 + t + t * t / 2)
    shown = cells(heat)
    assert shown.shape == (2, 2, 2)
    assert shown[0] == pytest.approx(wanted[:, :, -1], rel=0.06) and shown[1] == pytest.approx(wanted.mean(-1), rel=0.06)
    assert EN["lowrank_heat_measured"] in unescape(heat)
    folds = re.findall("<details[^>]*>", comparison + heat)
    assert len(folds) == 2 and not any("open" in one for one in folds)  # what experts ask for begins folded


def test_exact_against_exact_says_there_is_nothing_to_compare(tiny):
    area, comparison, heat = lowrank.toggle(record(tiny))
    assert area["visible"] is False and comparison == "" and EN["lowrank_same"] in heat
    *_, heat = lowrank.toggle(record(tiny, attention="auto"))
    assert EN["lowrank_auto_same"] in heat


def test_recorded_errors_stand_there_before_a_run(tiny):
    heat = lowrank.recorded(record("fashion-28", attention="poly-2"))
    assert EN["lowrank_heat_recorded"] in unescape(heat) and cells(heat).shape == (2, 6, 6)
    assert EN["lowrank_heat_none"] in lowrank.recorded(record(tiny, attention="poly-2"))
    assert EN["lowrank_heat_none"] in lowrank.recorded(record("fashion-28"))
    assert "must be one of" in lowrank.recorded(record(tiny) | {"model": "<b>"})


def test_every_cell_is_readable_on_its_colour():
    errors = np.geomspace(1e-6, 30, 40).reshape(4, 10, 1)
    html = lowrank.heat(errors, AttentionSpec("poly"), "note", "en")
    found = re.findall(r"rgb\((\d+),(\d+),(\d+)\);color:#(000|fff)", html)

    def luminance(*rgb) -> float:
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    assert len(found) == 80
    for *rgb, text in found:
        back, front = luminance(*map(int, rgb)), 0.0 if text == "000" else 1.0
        assert (max(back, front) + 0.05) / (min(back, front) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "/etc"}, "model = '/etc': must be one of"),
        ({"model": None}, "model = None"),
        ({"label": 99}, "class = 99"),
        ({"label": math.nan}, "class = nan"),
        ({"seed": 1e99}, "seed = 1e+99"),
        ({"seed": "1"}, "seed = '1'"),
        ({"attention": "fast"}, "attention = 'fast': must be one of"),
        ({"attention": ["poly"]}, "attention = ['poly']"),
        ({"attention": "poly-3"}, "degree = 3: must be even"),
        ({"attention": "landmark-64"}, "this model has these landmarks stored: none"),
        ({"guidance": math.inf}, "guidance = inf"),
    ],
)
def test_forged_settings_are_readable_errors(tiny, change, message):
    with pytest.raises(gr.Error) as caught:
        lowrank.toggle(record(tiny, attention="poly-2") | change)
    assert message in caught.value.message and not caught.value.print_exception


# -- the curves ------------------------------------------------------------------------------------------------------


def table(html: str, title: str) -> dict[str, dict[float, float]]:
    """The values of one chart: series -> x -> y."""
    (chart,) = (one for one in charts_of(html) if one["title"].startswith(title))
    return {one["name"]: dict(one["points"]) for one in chart["series"]}


def test_curves_on_the_model_are_softmax_against_the_polynomial_in_float64(tiny):
    """At the model's own bound the first chart must say what the heat table says, here written out at s = 2."""
    html = lowrank_limits.curves(record(tiny, 1, 5), "model", 2, 2.0, 3, 32)
    model = checkpoints.load(tiny)
    with torch.no_grad():
        model.transformer.blocks[1].attn.scale_mul_1H11.fill_(math.log(2.0))
    ids = torch.cat([s.token_ids for s in checkpoints.load(tiny).trace(1, 5, details=False).steps], 1)
    qkv = collect_qkv(checkpoints.load(tiny), ids, torch.tensor([1]))
    errors = []
    for head in range(2):
        q, k, v = (part[1, 0, head].double() for part in (qkv.q, qkv.k, qkv.v))
        t = 2.0 * q[5:] @ k.T
        exact, near = ((w / w.sum(1, keepdim=True)) @ v for w in (t.exp(), 1 + t + t * t / 2 + t**3 / 6))
        errors.append(((near - exact).norm() / exact.norm()).item())
    by_bound = table(html, EN["lowrank_bound_title"])
    assert by_bound["Taylor, degree 3"][2.0] == pytest.approx(sorted(errors)[0], rel=0.01)  # the lower of two is torch's median
    by_degree = table(html, "As the degree moves, at s = 2")
    assert by_degree[EN["lowrank_odd"]][3.0] == pytest.approx(sorted(errors)[0], rel=0.01)
    assert "tiny, layer 2: the 9 queries of the last scale against 14 keys" in html


def test_curves_on_random_vectors_need_no_model(tiny, monkeypatch):
    monkeypatch.setattr("demo.models.load_model", None)
    monkeypatch.setattr("demo.models.published", lambda: ["var_d16"])
    html = lowrank_limits.curves(record("var_d16"), "unit", 1, 8.0, 2, 64)
    assert "head dimension 64" in html and html.count("<section>") == 4
    foils = table(html, EN["lowrank_foil_title"])
    assert all(value == 1 for value in foils["Taylor, degree 2"].values()) and min(foils["Taylor, degree 1"].values()) < 1


def test_curves_are_forgotten_together_with_their_sample(tiny):
    lowrank_limits._own.cache_clear()
    first = lowrank_limits._own(tiny, 0, 0, 0)
    for sweep in (lowrank_limits._by_bound(first, "polynomial", 2), lowrank_limits._balance(first, 1, False)):
        assert len(sweep) == len(lowrank_limits.BOUNDS) and sweep in first.sweeps.values()
    assert lowrank_limits._by_bound(first, "polynomial", 2) is lowrank_limits._by_bound(first, "polynomial", 2)
    kept = weakref.ref(first)
    del first
    for seed in range(1, 9):
        lowrank_limits._own(tiny, 0, seed, 0)
    gc.collect()
    assert kept() is None


def test_a_chart_says_where_ten_percent_is_reached():
    assert lowrank_limits._passes(((1.0, 0.01), (4.0, 1.0))) == pytest.approx(2.0)
    assert lowrank_limits._passes(((1.0, 0.2), (4.0, 1.0))) == 1.0
    assert lowrank_limits._passes(((1.0, 0.01), (4.0, 0.02))) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 7}, "model = 7"),
        ({"label": True}, "class = True"),
        ({"seed": -1}, "seed = -1"),
        ({"source": "mine"}, "measured on = 'mine': must be one of model, unit"),
        ({"source": None}, "measured on = None"),
        ({"layer": 3}, "layer = 3: must be a whole number from 1 to 2"),
        ({"layer": [1]}, "layer = [1]"),
        ({"bound": math.nan}, "bound s = nan"),
        ({"bound": 1e9}, "bound s = 1000000000.0"),
        ({"bound": "4"}, "bound s = '4'"),
        ({"degree": 0}, "degree = 0"),
        ({"degree": 2.5}, "degree = 2.5"),
        ({"count": 1e9}, "landmarks = 1000000000.0"),
        ({"count": {}}, "landmarks = {}"),
        ({"model": "var_d16", "source": "model"}, "too large to measure"),
    ],
)
def test_forged_sliders_are_readable_errors(tiny, change, message, monkeypatch):
    monkeypatch.setattr("demo.models.published", lambda: ["var_d16"])
    values = {"source": "model", "layer": 1, "bound": 2.0, "degree": 2, "count": 32}
    sliders = values | {name: value for name, value in change.items() if name in values}
    with pytest.raises(gr.Error) as caught:
        lowrank_limits.curves(record(tiny) | {name: value for name, value in change.items() if name not in values}, **sliders)
    assert message in caught.value.message and not caught.value.print_exception


def test_another_model_brings_its_layers_and_its_recorded_errors():
    layer, area, heat = lowrank.follow(record("fashion-28-bounded", attention="poly-2"), 7)
    assert (layer["maximum"], layer["value"]) == (6, 1) and area["visible"] is False and cells(heat).shape == (2, 6, 8)
    assert lowrank.follow(record("fashion-28-bounded", attention="poly-2"), 5)[0]["value"] == 5  # one that it has stays
    for wrong in (None, {"model": ".."}, {"model": "fashion-28", "attention": 3}):
        with pytest.raises(gr.Error, match="must be"):
            lowrank.follow(wrong, 1)


def test_results_say_of_which_settings_they_are(tiny):
    """Curves of random vectors depend on the model alone, a comparison on all settings."""
    own = record(tiny, 2, 7, attention="poly-2")
    told = [json.loads(unescape(re.match(r'<div data-settings="(.*?)">', html)[1])) for html in (
        *lowrank.toggle(own)[1:],
        lowrank_limits.curves(own, "unit", 1, 2.0, 2, 32),
        lowrank_limits.curves(own, "model", 1, 2.0, 2, 32),
    )]  # fmt: skip
    assert told == [own, own, {"model": tiny}, {"model": tiny, "label": 2, "seed": 7}]


def unfold(page, summary: str) -> None:
    """Opens a fold as a keyboard does."""
    page.locator("#vm-lowrank summary", has_text=summary).focus()
    page.keyboard.press("Enter")


# -- visits ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_visit_toggles_the_back_end_and_moves_the_sliders(visit, server):
    page = visit(viewport={"width": 1280, "height": 900})
    open_chapter(page, "lowrank")
    unfold(page, EN["lowrank_breaks"])
    page.locator(".vm-limits svg[role=img]").nth(3).wait_for()
    page.get_by_role("button", name=EN["lowrank_run"]).click()
    page.locator("#vm-lowrank-compare table").first.wait_for()
    page.locator(".vm-heat summary", has_text="poly-2").wait_for()
    assert not page.locator(".vm-heat table").first.is_visible()
    unfold(page, page.locator(".vm-heat summary").inner_text())
    page.locator(".vm-heat table").nth(1).wait_for()
    page.get_by_label(EN["slider_label"]).press("ArrowRight")
    assert page.locator("#vm-lowrank-compare .vm-slider").evaluate("e => e.style.getPropertyValue('--cut')") == "51%"
    page.locator("#vm-lowrank [data-setting=low_rank] select").select_option("pool-2")
    assert page.evaluate("varMini.record().attention") == "pool-2" and page.locator("#vm-first[data-earlier]").count() == 0
    page.get_by_role("button", name=EN["lowrank_run"]).click()
    page.locator(".vm-heat summary", has_text="pool-2").wait_for()
    page.locator(".vm-heat table").nth(1).wait_for()  # a fold that was opened stays open when its tables are new
    page.get_by_label(EN["lowrank_source_model"]).check()
    page.get_by_text("on tiny, layer 1").wait_for()
    slider = page.get_by_role("slider", name=EN["lowrank_bound"])
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("As the degree moves, at s = 4.25").first.wait_for()
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == [] and page.complaints == []


@pytest.mark.slow
def test_a_phone_needs_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark")
    open_chapter(page, "lowrank")
    unfold(page, EN["lowrank_breaks"])
    page.locator(".vm-limits svg[role=img]").nth(3).wait_for()
    page.get_by_role("button", name=EN["lowrank_run"]).click()
    page.locator("#vm-lowrank-compare table").first.wait_for()
    page.locator("#vm-lowrank .vm-fold:not([open]) > summary").first.click()
    page.locator("#vm-lowrank .vu-values summary").first.click()
    assert overflow(page) <= 0
    widths = page.locator(".vm-limits svg[role=img]").evaluate_all("all => all.map((e) => e.getBoundingClientRect().width)")
    assert min(widths) > 280


@pytest.mark.slow
def test_a_chinese_visitor_reads_chinese(visit):
    page = visit(locale="zh-CN", viewport={"width": 1280, "height": 900})
    open_chapter(page, "lowrank")
    unfold(page, wording.TEXTS["lowrank_breaks"][1])
    page.get_by_text(wording.TEXTS["lowrank_bound_title"][1], exact=True).first.wait_for()
    assert page.get_by_label(wording.TEXTS["lowrank_source_model"][1]).is_visible()
