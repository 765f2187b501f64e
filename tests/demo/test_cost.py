"""The chapter on costs: its numbers against the stored ones and against counting, its measurement, and what it refuses."""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from html import unescape
from io import BytesIO

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import models, wording
from demo.chapters import cost, cost_data, cost_ladder, cost_view
from tests.demo.visits import Event
from var_mini import checkpoints
from var_mini.cost import live
from var_mini.cost.ladder import official_like
from var_mini.cost.roofline import DEVICES
from var_mini.view.images import to_uint8

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
STORED = checkpoints.ASSETS / "results"


class Visitor:
    """A request as handlers get it."""

    def __init__(self, session="one", language="en"):
        self.session_hash, self.headers = session, {"accept-language": language}


def table(html: str, name: str) -> dict[str, list[str]]:
    """Cells of a table by row, without tags; `<small>` parts stay, after a bar."""
    body = re.search(rf'<table data-table="{name}">.*?<tbody>(.*?)</tbody>', html, re.DOTALL).group(1)
    rows = {}
    for key, row in re.findall(r'<tr data-row="(.*?)">(.*?)</tr>', body, re.DOTALL):
        cells = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
        rows[unescape(key)] = [unescape(re.sub(r"<[^>]+>", "", re.sub(r" ?<small.*?>", "|", cell))) for cell in cells]
    return rows


def points(visitor=None, *kind) -> int:
    """How many measurements of a kind, or of all, the chart is told that a visitor has made."""
    rows = cost.points_of(visitor or Visitor())["rows"]
    return sum(1 for row in rows if not kind or (row["what"], row["head_dim"]) == kind)


def show(before, what, head_dim, visitor=None):
    return cost.show(before, Event({"what": what, "head_dim": head_dim}), visitor or Visitor())


def run(*values, visitor=None):
    visitor = visitor or Visitor()
    cost.prepare(*values, visitor)
    return list(cost.measure(*values, visitor))


# -- recorded --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["attention", "transformer"])
@pytest.mark.parametrize("head_dim", [8, 16])
def test_recorded_numbers_are_the_stored_ones(what, head_dim):
    result = json.loads((STORED / "scaling.json").read_text())
    html = cost_view.measured(what, head_dim, [], "en")
    ratios, slopes = table(html, "speedups"), table(html, "slopes")
    rows = [r for r in result["rows"] if (r["what"], r["head_dim"]) == (what, head_dim)]
    methods = [m for m in dict.fromkeys(r["method"] for r in rows) if m != "exact"]
    for row in rows:
        if row["method"] != "exact":
            assert ratios[str(row["side"])][methods.index(row["method"])] == f"{row['speedup_vs_exact']:.2f}\u00d7"
    fits = [e for e in result["exponents"] if (e["what"], e["head_dim"]) == (what, head_dim)]
    assert len(fits) == len(slopes)
    for e in fits:
        told = f"{e['exponent']:.2f}" if e["high"] - e["low"] <= 1 else EN["cost_undetermined"]
        assert slopes[e["method"]][0] == f"{told}|{e['low']:.2f} to {e['high']:.2f}"
    conditions = cost_data.recorded()["conditions"][head_dim]["en"]
    assert EN["cost_random"] in conditions and result["machine"]["date"] in conditions


def test_raster_order_is_compared_with_its_cache():
    result = json.loads((STORED / "raster.json").read_text())
    html = cost_view.measured("raster", 8, [], "en")
    methods = [m for m in dict.fromkeys(r["method"] for r in result["rows"]) if m != "raster-cached"]
    ratios, slopes = table(html, "speedups"), table(html, "slopes")
    for side, ratio in result["speedup_vs_cached_raster"].items():
        assert ratios[side][methods.index("var-cached")] == f"{ratio:.2f}\u00d7"
    for e in result["exponents"]:
        assert slopes[e["method"]][-1] == "n" + {6: "\u2076", 4: "\u2074", 2: "\u00b2"}[e["theory"]]
    told = cost_data.recorded()
    rows = {(row["side"], row["method"]): row["median_s"] for row in told["rows"] if row["what"] == "raster"}
    assert rows == {(row["side"], row["method"]): row["seconds"] for row in result["rows"] if row["seconds"] is not None}
    assert {row["method"] for row in told["rows"]} == set(told["methods"])
    assert result["machine"]["date"] in told["conditions"]["raster"]["en"]


def test_what_the_view_of_who_wins_is_told_is_what_is_stored():
    told = cost_data.recorded()
    stored = json.loads((STORED / "scaling.json").read_text())
    assert [row["median_s"] for row in told["rows"] if row["what"] != "raster"] == [row["median_s"] for row in stored["rows"]]
    for model in ("fashion-28", "fashion-28-bounded"):
        backends = json.loads((STORED / f"error-{model}.json").read_text())["backends"]
        methods = told["errors"][model]["methods"]
        assert methods["landmark-32"]["error"] == backends["landmark-32"]["median_error_last_scale"]
        assert methods["poly-2"]["same"] == backends["poly-2"]["token_agreement"]
    assert json.loads(json.dumps(told, allow_nan=False))["conditions"]["16"]["en"].startswith("Times for head dimension 16")
    assert stored["machine"]["date"] in told["conditions"][8]["zh"]


def test_sixteen_by_sixteen_is_told_apart_from_the_models_of_the_page():
    own = 1 + 4 + 9 + 16 + 36 + 81 + 144 + 256  # maps of things-64
    (found,) = cost_data.recorded()["own"]
    assert (found["side"], found["own"], found["maps"], found["all"]) == (16, own, 8, 10)


# -- measured here ---------------------------------------------------------------------------------------------------


def test_a_measurement_yields_every_point_and_ends_complete():
    seen = run("attention", 8, [8, 12, 16], ["exact", "poly-2"])
    done = [int(re.search(r'value="(\d+)"', status).group(1)) for *_, status in seen]
    assert done == sorted(done) and set(done) == {1, 2, 3, 4, 5, 6}
    told, html, status = seen[-1]
    rows = cost.measured_by(Visitor(), "attention", 8)
    assert len(rows) == 6 and "Done: 6 of 6 points" in status
    ratios, slopes = table(html, "speedups"), table(html, "slopes")
    seconds = {(r["side"], r["method"]): r["median_s"] for r in rows}
    assert ratios["8"][1].endswith(f"|here {seconds[8, 'exact'] / seconds[8, 'poly-2']:.2f}\u00d7")
    assert ratios["12"][1] == f"|here {seconds[12, 'exact'] / seconds[12, 'poly-2']:.2f}\u00d7"  # no recorded row at 12
    assert slopes["landmark-32"][1] == wording.NO_VALUE
    assert slopes["exact"][1] == f"{EN['cost_undetermined']}|3 of 4 sides" and "at least 4 sides" in html
    assert told == cost.points_of(Visitor()) and points() == points(None, "attention", 8) == 6
    assert {(row["side"], row["method"], row["median_s"]) for row in told["rows"]} == {(*key, s) for key, s in seconds.items()}
    facts = f"threads {torch.get_num_threads()}, float32, batch 1, up to 680 tokens; median of up to {live.ROUNDS} warm runs"
    assert facts in html


def test_a_slope_that_is_not_determined_is_not_given():
    """Of a power law the exponent is shown; of points all over the place it is not, and what to do about it stands there."""
    sides = (8, 12, 16, 24)

    def measured(method, seconds):
        return [
            {"side": s, "tokens": s * s, "rounds": 2, "method": method, "median_s": t, "times_s": [t, t]}
            for s, t in zip(sides, seconds)
        ]

    lawful, wild = measured("exact", [1e-6 * s**3.5 for s in sides]), measured("poly-2", (1.0, 9.0, 0.1, 4.0))
    slopes = table(cost_view.measured("attention", 8, lawful, "en"), "slopes")
    assert slopes["exact"][1] == "3.50|3.50 to 3.50"
    assert "Not every slope of yours" not in cost_view.measured("attention", 8, lawful, "en")
    html = cost_view.measured("attention", 8, lawful + wild, "en")
    told, interval = table(html, "slopes")["poly-2"][1].split("|")
    assert told == EN["cost_undetermined"] and re.fullmatch(r"\u2212\d+\.\d+ to \d+\.\d+", interval)
    assert "Not every slope of yours is determined: that takes at least 4 sides" in html


def test_what_was_measured_comes_back_with_its_kind():
    run("attention", 8, [8], ["exact"])
    *kind, methods, html = show("transformer", "attention", 8)
    assert kind == ["attention", 8] and points(None, *kind) == 1 and "Measured here" in html
    assert methods == gr.skip()  # the same methods are on offer: those chosen stay
    *kind, methods, html = show("attention", "raster", 16)
    assert kind == ["raster", 8] and points(None, *kind) == 0 and "Measured here" not in html
    assert [value for _, value in methods["choices"]] == list(live.METHODS["raster"])
    assert set(methods["value"]) <= set(live.METHODS["raster"])
    assert show("attention", "attention", 16)[-1] == cost_view.measured("attention", 16, [], "en")
    other = Visitor("somebody else")
    assert points(other) == 0 and "Measured here" not in show("attention", "attention", 8, other)[-1]


@pytest.fixture(autouse=True)
def no_wishes():
    yield
    cost._STOPS.clear()
    cost._MEASURED.clear()


def test_stop_ends_the_visitor_s_own_measurement_only():
    one, two = Visitor("one"), Visitor("two")
    asked = ("raster", 8, [48], ["raster"])
    for visitor in (one, two):
        assert EN["cost_waiting"] in cost.prepare(*asked, visitor)
    cost.stop(one)  # while it still waits
    *_, (*_, status) = cost.measure(*asked, one)
    assert "Stopped: 0 of 1 points" in status and cost.measured_by(one, "raster", 8) == []
    assert not cost._STOPS["two"].is_set()
    cost.prepare(*asked, one)
    assert not cost._STOPS["one"].is_set()  # the next one is not stopped by the click on the last
    cost.stop(Visitor("a stranger"))
    cost.stop(None)


def test_stop_still_ends_a_measurement_that_was_asked_for_twice():
    """The second click on Measure comes while the first measurement is going on."""
    visitor, asked = Visitor("one"), ("attention", 8, [8, 12], ["exact"])
    cost.prepare(*asked, visitor)
    first = cost.measure(*asked, visitor)
    next(first)
    cost.prepare(*asked, visitor)
    cost.stop(visitor)
    for measured in (first, cost.measure(*asked, visitor)):  # and the second one does not begin
        *_, (*_, status) = measured
        assert "Stopped: " in status


def test_time_runs_out_and_the_points_left_out_are_named(monkeypatch):
    monkeypatch.setattr(cost, "SECONDS", 0.0)
    *_, (told, _, status) = run("attention", 8, [8, 12], ["exact", "poly-2"])
    assert "Time is up after" in status and "exact, cached at side 8, 12 \u00b7 polynomial, degree 2 at side 8, 12" in status
    assert 'max="4" value="0"' in status
    assert told == {"rows": []}


def test_a_measurement_that_breaks_is_a_readable_error(monkeypatch):
    def broken(*_):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(live, "_loops", broken)
    with pytest.raises(gr.Error) as caught:
        run("attention", 8, [8], ["exact"])
    assert caught.value.message == EN["run_failed"].format(error="first")


def test_remembered_wishes_are_bounded(monkeypatch):
    monkeypatch.setattr(cost, "KEPT", 3)
    for i in range(9):
        cost.prepare("attention", 8, [8], ["exact"], Visitor(f"v{i}"))
    assert len(cost._STOPS) == 3


BAD = [
    ({"what": "memory"}, "what = 'memory': must be one of attention, raster, transformer"),
    ({"what": ["attention"]}, "what = ['attention']"),
    ({"head_dim": 10**9}, "head_dim = 1000000000"),
    ({"head_dim": math.nan}, "head_dim = nan"),
    ({"head_dim": "8"}, "head_dim = '8'"),
    ({"sides": [64]}, "side = 64: must be a whole number from 8 to 48"),
    ({"sides": [8.5]}, "side = 8.5"),
    ({"sides": []}, "sides = []: must be a list of 1 to 6 values"),
    ({"sides": None}, "sides = None"),
    ({"sides": {"8": 1}}, "sides = {'8': 1}"),
    ({"sides": [8] * 100_000}, "sides = [8, 8"),
    ({"methods": []}, "methods = []"),
    ({"methods": ["exact", "<b>"]}, "method = '<b>'"),
    ({"methods": ["raster"]}, "method = 'raster'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_forged_requests_are_readable_errors(change, message):
    values = {"what": "attention", "head_dim": 8, "sides": [8], "methods": ["exact"]} | change
    for call in (lambda: cost.prepare(**values), lambda: list(cost.measure(**values))):
        with pytest.raises(gr.Error) as caught:
            call()
        assert message in caught.value.message and "\n" not in caught.value.message and not caught.value.print_exception


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: show("attention", "x", 8), "what = 'x'"),
        (lambda: show("attention", ["attention"], 8), "what = ['attention']"),
        (lambda: show("attention", "attention", 7), "head_dim = '7'"),
        (lambda: show("attention", "attention", None), "head_dim = 'None'"),
        (lambda: cost.show("attention", Event({"what": "attention"})), "event = {'what': 'attention'}"),
        (lambda: cost.show_counts(Event({"side": 97})), "n = 97: must be a whole number from 4 to 96"),
        (lambda: cost.show_counts(Event({"side": 3})), "n = 3: must be a whole number from 4 to 96"),
        (lambda: cost.show_counts(Event({"side": 10**9})), "n = 1000000000"),
        (lambda: cost.show_counts(Event({"side": math.nan})), "n = nan"),
        (lambda: cost.show_counts(Event({"side": "16"})), "n = '16'"),
        (lambda: cost.show_counts(Event({"side": None})), "n = None"),
        (lambda: cost.show_roofline("TPU", 8), "device = 'TPU': must be one of A100, H100, H200"),
        (lambda: cost.show_roofline(["H100"], 8), "device = ['H100']"),
        (lambda: cost.show_roofline("H100", 9), "head_dim = '9'"),
    ],
)
def test_forged_settings_are_readable_errors(call, message):
    with pytest.raises(gr.Error) as caught:
        call()
    assert message in caught.value.message and not caught.value.print_exception


# -- counted and modelled --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [4, 5, 7])
def test_closed_forms_are_what_counting_gives(side):
    """Every query and every key it meets, one by one, from masks made here."""
    cells = {name: int(row[1].replace(",", "")) for name, row in table(cost_view.counted(side, "en"), "counted").items()}
    tokens = side * side
    cached = sum(1 for query in range(tokens) for key in range(tokens) if key <= query)
    assert cells["raster-cached"] == cached
    assert cells["raster"] == sum(1 for step in range(1, tokens + 1) for query in range(step) for key in range(query + 1))
    sides = official_like(side).patch_nums
    level = [i for i, s in enumerate(sides) for _ in range(s * s)]
    assert cells["exact"] == sum(1 for a in level for b in level if b <= a)
    ends = [sum(s * s for s in sides[: i + 1]) for i in range(len(sides))]
    assert cells["exact-uncached"] == sum(1 for end in ends for _ in range(end) for _ in range(end))
    monomials = 1 + 16 + 16 * 17 // 2  # of degree up to two in sixteen variables
    assert cells["poly-2"] == 2 * monomials * len(level) and cells["landmark-32"] == 2 * 32 * len(level)


def test_twice_the_side_grows_towards_the_powers_that_are_named():
    rows = table(cost_view.counted(96, "en"), "counted")
    for name, exponent in (("raster", 6), ("raster-cached", 4), ("exact-uncached", 4), ("exact", 4), ("poly-2", 2)):
        assert rows[name][2] == "n" + {6: "\u2076", 4: "\u2074", 2: "\u00b2"}[exponent]
        assert float(rows[name][3].rstrip("\u00d7")) == pytest.approx(2**exponent, rel=0.08)
    assert rows["raster"][0] == "9,216" and rows["exact"][0] == str(len(official_like(96).patch_nums))


def test_bars_are_logarithmic():
    html = cost_view.counted(16, "en")
    counts = [int(row[1].replace(",", "")) for row in table(html, "counted").values()]
    widths = [float(w) for w in re.findall(r'vm-cost-bar" style="width:([\d.]+)%', html)]
    assert widths == pytest.approx([100 * math.log(c) / math.log(max(counts)) for c in counts], abs=0.06)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("head_dim", cost_view.ROOFLINE_HEAD_DIMS)
def test_the_roofline_says_that_it_is_a_model_and_shows_its_constants(name, head_dim):
    html = cost.show_roofline(name, head_dim)
    assert EN["cost_model_only"] in html
    constants = {key: float(re.search(r"[\d.]+", cells[0]).group()) for key, cells in table(html, "constants").items()}
    gpu = DEVICES[name]
    assert constants["cost_constant_tensor"] == pytest.approx(gpu.tensor / 1e12, rel=5e-3)
    assert constants["cost_constant_tf32"] == pytest.approx(gpu.tensor / 2e12, rel=5e-3)  # half the 16-bit rate on all three
    assert constants["cost_constant_bandwidth"] == pytest.approx(gpu.bandwidth / 1e12, rel=5e-3)
    assert constants["cost_constant_reached"] == 100 * gpu.reached


def test_a_chinese_visitor_reads_chinese():
    visitor = Visitor(language="zh-CN")
    methods, details, status, *parts = cost.open_page(visitor)
    assert methods["choices"][0][0] == wording.TEXTS["cost_exact"][1]
    for html in (details, status, *parts):
        words = re.sub(r"<[^>]+>", " ", html)
        assert re.search(r"[\u4e00-\u9fff]", words)
        assert not re.search(r"\b(the|of|and|here|method)\b", words, re.IGNORECASE)


# -- ladder ----------------------------------------------------------------------------------------------------------


def test_the_ladder_draws_what_the_library_draws(tiny, monkeypatch):
    monkeypatch.setattr(cost_ladder, "offered", lambda: (tiny,))
    html = list(cost_ladder.draw(2, 5))
    assert len(html) == 2  # a tiny model has no landmarks: exact alone, then the end
    model, row = checkpoints.load(tiny), html[-1]
    assert "12 px, 14 tokens" in row and 'alt="last at 12 px, exact, cached"' in row
    picture = np.asarray(Image.open(BytesIO(b64decode(re.search(r"base64,([^\"]+)", row).group(1)))))
    assert np.array_equal(picture[::16, ::16], to_uint8(model.sample_images([2], [5])[0]))
    *_, last = model.generate(2, 5)
    assert f"<dd>{last.state_bytes / 1000:.1f} kB</dd>" in row
    for label, seed, message in ((3, 0, "class = 3"), (0, -1, "seed = -1"), ("a", 0, "class = 'a'"), (0, math.nan, "seed = nan")):
        with pytest.raises(gr.Error, match=message):
            list(cost_ladder.draw(label, seed))


def test_without_trained_models_there_is_no_ladder(monkeypatch):
    monkeypatch.setattr(cost_ladder, "offered", tuple)
    with gr.Blocks() as page:
        cost_ladder.build()
    assert not page.blocks or all("ladder" not in str(block.elem_id) for block in page.blocks.values())
    with pytest.raises(gr.Error, match="is not there"):
        list(cost_ladder.draw(0, 0))


def test_models_are_not_loaded_to_show_the_chapter(monkeypatch):
    monkeypatch.setattr(models, "load_model", lambda name: pytest.fail("loaded"))
    assert all(cost.open_page(Visitor()))
