"""How the chapter on costs looks: its charts, tables and bars as HTML, made of stored, measured or computed numbers."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from html import escape

import torch

from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.cost import complexity, fit, live
from var_mini.cost.ladder import official_like
from var_mini.cost.machine import machine_facts
from var_mini.cost.roofline import DEVICES, overtakes_from, roofline
from var_mini.view.numbers import number

from .. import fold, wording
from ..charts import Mark, Series, line_chart

RESULTS = checkpoints.ASSETS / "results"
PIXELS_PER_TOKEN = 16  # of the published models: side 16 is 256 px
PUBLISHED = (16, 32, 64)  # sides of the published models
# method -> (wording, style of its curve, dashed); dashed curves compute every prefix anew
METHODS = {
    "exact": ("cost_exact", 6, False),
    "exact-uncached": ("cost_exact_uncached", 3, True),
    "poly-2": ("cost_poly_2", 1, False),
    "landmark-32": ("cost_landmark_32", 5, False),
    "landmark-64": ("cost_landmark_64", 0, False),
    "pool-2": ("cost_pool_2", 2, False),
    "pool-4": ("cost_pool_4", 4, False),
    "raster": ("cost_raster", 3, True),
    "raster-cached": ("cost_raster_cached", 4, False),
    "var": ("cost_var", 2, True),
    "var-cached": ("cost_var_cached", 6, False),
    "var-poly-2": ("cost_var_poly_2", 1, False),
    "var-landmark-32": ("cost_var_landmark_32", 5, False),
}
BASELINE = {"attention": "exact", "transformer": "exact", "raster": "raster-cached"}


@lru_cache(maxsize=4)
def stored(name: str) -> dict:
    """A result of this repository's benches."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def method_name(method: str, language: str) -> str:
    return wording.text(METHODS[method][0], language)


# -- measured --------------------------------------------------------------------------------------------------------


def recorded_rows(what: str, head_dim: int) -> list[dict]:
    """Rows of the stored benches in one shape: side, method, median_s."""
    if what == "raster":
        rows = stored("raster")["rows"]
        return [row | {"median_s": row["seconds"]} for row in rows if row["seconds"] is not None]
    return [row for row in stored("scaling")["rows"] if (row["what"], row["head_dim"]) == (what, head_dim)]


def recorded_slopes(what: str, head_dim: int) -> dict[str, dict]:
    """The stored fit of every method."""
    if what == "raster":
        return {fit["method"]: fit for fit in stored("raster")["exponents"]}
    fits = stored("scaling")["exponents"]
    return {fit["method"]: fit for fit in fits if (fit["what"], fit["head_dim"]) == (what, head_dim)}


def slopes_here(rows: list[dict]) -> dict[str, dict]:
    """The fit of every method that was measured here, see `fit.fit_repeated`."""
    found = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        points = [(row["side"], row["times_s"]) for row in rows if row["method"] == method]
        found[method] = fit.fit_repeated(*zip(*points))
    return found


def measured(what: str, head_dim: int, here: list[dict], language: str) -> str:
    """How times grow, and the speed-ups: recorded, and of `here`, rows measured now, whose condition stands above.

    The times themselves are in the chart of the view (cost_data.py). Folded until something has been measured.
    """
    slopes = _slopes(what, head_dim, here, language)
    if not here:
        slopes = fold.fold("slopes", wording.text("cost_slopes", language), slopes)
    else:
        slopes = f"{_condition(what, here, language)}<h4>{escape(wording.text('cost_slopes', language))}</h4>{slopes}"
    return slopes + _speedups(what, recorded_rows(what, head_dim), here, language)


def _marks(language: str) -> list[Mark]:
    """The published models by their tokens; names so short that they do not run into each other."""
    text = _in(language)
    return [Mark(official_like(side).tokens, text("cost_mark", pixels=PIXELS_PER_TOKEN * side)) for side in PUBLISHED]


def _places(language: str) -> str:
    """What the marks are, below a chart."""
    text = _in(language)
    places = [text("cost_place", pixels=PIXELS_PER_TOKEN * side, tokens=f"{official_like(side).tokens:,}") for side in PUBLISHED]
    return _note(text("cost_places", places="; ".join(places)))


def _slopes(what: str, head_dim: int, here: list[dict], language: str) -> str:
    text, recorded, now = _in(language), recorded_slopes(what, head_dim), slopes_here(here)

    def cell(found: dict | None) -> str:
        if found is None:
            return wording.NO_VALUE
        if "exponent" not in found:
            why = text("cost_few_sides", count=len(found["sides"]), least=fit.LEAST)
            return f"{escape(text('cost_undetermined'))}<small>{escape(why)}</small>"
        low, high = (f"{found[end]:.2f}".replace("-", "\u2212") for end in ("low", "high"))
        interval = text("cost_interval", low=low, high=high)
        known = fit.determined(found["low"], found["high"])
        told = f"{found['exponent']:.2f}" if known else escape(text("cost_undetermined"))
        return f"{told}<small>{escape(interval)}</small>"

    heads = ["cost_method", "cost_slope_recorded", *(["cost_slope_here"] if now else []), "cost_slope_theory"]
    body = []
    for method, found in recorded.items():
        cells = [cell(found), *([cell(now.get(method))] if now else []), power(live.growth(what, method))]
        body.append((method, method_name(method, language), cells))
    sides = _listed(next(iter(recorded.values()))["sides"])
    note = text("cost_slopes_note", recorded=sides, widest=f"{fit.WIDEST:g}")
    fitted = dict.fromkeys(_listed(found["sides"]) for found in now.values() if "exponent" in found)
    if fitted:
        note += " " + text("cost_slopes_here", sides=" · ".join(fitted))
    advice = ""
    if not all(found["determined"] for found in now.values()):
        advice = f'<p class="vm-cost-lead">{escape(text("cost_slopes_advice", least=fit.LEAST, widest=f"{fit.WIDEST:g}"))}</p>'
    table = _table([text(name) for name in heads], body, text("cost_slopes"), "slopes", safe=True)
    return f"{table}{advice}{_note(note)}"


def _speedups(what: str, rows: list[dict], here: list[dict], language: str) -> str:
    """Times of the baseline over times of every method, side by side; below, small, what was measured here."""
    text, base = _in(language), BASELINE[what]
    recorded, now = _ratios(rows, base), _ratios(here, base)
    methods = [method for method in dict.fromkeys(row["method"] for row in rows) if method != base]
    tokens = {row["side"]: row.get("tokens", row["side"] ** 2) for row in rows}
    body = []
    for side in sorted({side for side, _ in [*recorded, *now]}):
        cells = []
        for method in methods:
            parts = []
            if (side, method) in recorded:
                parts.append(escape(text("cost_times", value=f"{recorded[side, method]:.2f}")))
            if (side, method) in now:
                parts.append(
                    f'<small class="vm-cost-here">{escape(text("cost_times_here", value=f"{now[side, method]:.2f}"))}</small>'
                )
            cells.append(" ".join(parts) or wording.NO_VALUE)
        count = tokens.get(side) or next(row["tokens"] for row in here if row["side"] == side)
        body.append((str(side), text("cost_side_tokens", side=side, tokens=f"{count:,}"), cells))
    title = text("cost_speedups", name=method_name(base, language))
    heads = [text("cost_side"), *(method_name(method, language) for method in methods)]
    table = _table(heads, body, title, "speedups", safe=True)
    return fold.fold("speedups", title, table + _note(text("cost_speedups_note")))


def _ratios(rows: list[dict], base: str) -> dict[tuple[int, str], float]:
    seconds = {(row["side"], row["method"]): row["median_s"] for row in rows}
    return {key: seconds[key[0], base] / value for key, value in seconds.items() if (key[0], base) in seconds}


def _condition(what: str, here: list[dict], language: str) -> str:
    facts, dtype = machine_facts(device(what)), str(torch.get_default_dtype()).removeprefix("torch.")
    tokens, rounds = max(row["tokens"] for row in here), max(row["rounds"] for row in here)
    return _note(wording.text("cost_measured_on", language, **facts, dtype=dtype, tokens=f"{tokens:,}", rounds=rounds))


def device(what: str) -> str:
    """Where a measurement of this kind runs."""
    return "cuda" if torch.cuda.is_available() and what != "raster" else "cpu"


# -- counted ---------------------------------------------------------------------------------------------------------

COUNTED_HEAD_DIM = 16  # that of the models of this page, whose degree-2 polynomial has 153 features
COUNTED = ("raster", "raster-cached", "exact-uncached", "exact", "poly-2", "landmark-32")  # the order of the table
COUNTED_NAMES = {"exact-uncached": "cost_var", "exact": "cost_var_cached"}
POWERS = {"raster": 6, "raster-cached": 4, "exact-uncached": 4, "exact": 4, "poly-2": 2, "landmark-32": 2}


def count(side: int, method: str) -> int:
    """Pairs, or features met, of one head and layer over a whole image."""
    if method.startswith("raster"):
        return complexity.raster_pairs(side, method == "raster-cached")
    if method.startswith("exact"):
        return complexity.pairs(official_like(side), method)
    return complexity.feature_pairs(official_like(side), method, COUNTED_HEAD_DIM)


def counted(side: int, language: str) -> str:
    """The closed forms at one final side: steps, pairs with bars, exponent, and what twice the side would cost."""
    text, pyramid = _in(language), official_like(side)
    counts = {method: count(side, method) for method in COUNTED}
    longest = math.log10(max(counts.values()))
    body = []
    for method, pairs in counts.items():
        name = text(COUNTED_NAMES.get(method, METHODS[method][0]))
        rank = AttentionSpec.parse(method).rank(COUNTED_HEAD_DIM) if POWERS[method] == 2 else None
        steps = side * side if method.startswith("raster") else pyramid.num_scales
        bar = f'<i class="vm-cost-bar" style="width:{100 * math.log10(pairs) / longest:.1f}%"></i>'
        twice = text("cost_times", value=f"{count(2 * side, method) / pairs:.1f}")
        cells = [f"{steps:,}", f"{pairs:,}{bar}", power(POWERS[method]), twice]
        body.append((method, text("cost_low_rank", name=name, rank=rank) if rank else name, cells))
    heads = [text(name) for name in ("cost_method", "cost_steps", "cost_pairs", "cost_grows")]
    heads.append(text("cost_doubling", side=2 * side))
    facts = {"side": side, "raster": f"{side * side:,}", "tokens": f"{pyramid.tokens:,}", "steps": pyramid.num_scales}
    sides = ", ".join(map(str, pyramid.patch_nums))
    table = _note(text("cost_counted_note", head_dim=COUNTED_HEAD_DIM)) + _table(
        heads, body, text("cost_counted_table"), "counted", safe=True
    )
    lesson = {"ratio": counts["exact"] / counts["raster-cached"], "fewer": side * side / pyramid.num_scales}
    return (
        f'<p class="vm-cost-lead">{escape(text("cost_counted_facts", **facts, sides=sides))}</p>'
        f'<p class="vm-cost-lead">{escape(text("cost_counted_lesson", **{k: number(v) for k, v in lesson.items()}))}</p>'
        f"{fold.fold('counted', text('cost_counted_table'), table)}"
    )


# -- modelled --------------------------------------------------------------------------------------------------------

ROOFLINE_METHODS = ("exact", "poly-2", "landmark-64")
ROOFLINE_HEAD_DIMS = (8, 16, 64)
ROOFLINE_TOKENS = tuple(1 << power for power in range(7, 16))
BATCH_HEADS = 128


@lru_cache(maxsize=32)
def modelled(device_name: str, head_dim: int, language: str) -> str:
    """The roofline of a GPU, where each method overtakes exact attention in it, and every constant behind it."""
    text, gpu = _in(language), DEVICES[device_name]
    seconds = {m: [roofline(n, head_dim, m, BATCH_HEADS, gpu) for n in ROOFLINE_TOKENS] for m in ROOFLINE_METHODS}
    names = {m: text("cost_fused") if m == "exact" else method_name(m, language) for m in ROOFLINE_METHODS}
    series = [
        Series(names[m], [(n, 1e6 * s) for n, s in zip(ROOFLINE_TOKENS, seconds[m])], METHODS[m][1]) for m in ROOFLINE_METHODS
    ]
    title = text("cost_roofline_chart", device=gpu.name, head_dim=head_dim, batch_heads=BATCH_HEADS)
    chart = line_chart(
        series,
        text("cost_tokens_axis"),
        text("cost_microseconds"),
        log_x=True,
        log_y=True,
        marks=_marks(language),
        title=title,
        description=text("cost_roofline_note"),
        table=text("cost_values"),
    )
    lines, largest = [], ROOFLINE_TOKENS[-1]
    for m in ROOFLINE_METHODS[1:]:
        start = overtakes_from(m, head_dim, BATCH_HEADS, gpu)
        values = {"name": names[m], "largest": f"{largest:,}", "ratio": number(seconds["exact"][-1] / seconds[m][-1])}
        told = text("cost_never", **values) if start is None or start > largest else None
        lines.append(told or text("cost_overtakes", **values, tokens=f"{start:,}"))
    constants = (
        ("cost_constant_tensor", text("cost_teraflops", value=number(gpu.tensor / 1e12))),
        ("cost_constant_tf32", text("cost_teraflops", value=number(gpu.tf32 / 1e12))),
        ("cost_constant_vector", text("cost_trillions", value=number(gpu.vector / 1e12))),
        ("cost_constant_special", text("cost_trillions", value=number(gpu.special / 1e12))),
        ("cost_constant_bandwidth", text("cost_terabytes", value=number(gpu.bandwidth / 1e12))),
        ("cost_constant_launch", text("cost_micro", value=number(gpu.launch * 1e6))),
        ("cost_constant_reached", f"{gpu.reached:.0%}"),
    )
    body = [(name, text(name), [value]) for name, value in constants]
    heads = [text("cost_constants"), gpu.name]
    return (
        f'<p class="vm-cost-badge">{escape(text("cost_model_only"))}</p>'
        f'<div class="vm-cost-pair"><div>{chart}{_places(language)}</div><div>{"".join(map(_note, lines))}'
        f"{_table(heads, body, heads[0], 'constants')}</div></div>"
    )


# -- parts -----------------------------------------------------------------------------------------------------------


def _in(language: str):
    """`wording.text` in one language."""

    def text(name: str, /, **values) -> str:
        return wording.text(name, language, **values)

    return text


def power(exponent: int) -> str:
    return "n" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(exponent))


def _listed(sides: list) -> str:
    return ", ".join(map(str, sides))


def _note(text: str) -> str:
    return f'<p class="vm-cost-note">{escape(text)}</p>'


def _table(heads: list[str], body: list[tuple[str, str, list[str]]], label: str, name: str, safe: bool = False) -> str:
    """A table that scrolls inside itself on a phone. Rows are (key, head, cells); `safe` cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    rows = "".join(
        f'<tr data-row="{escape(key)}"><th scope="row">{escape(title)}</th>'
        + "".join(f"<td>{cell if safe else escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for key, title, cells in body
    )
    return (
        f'<div class="vm-cost-scroll" tabindex="0" role="group" aria-label="{escape(label)}">'
        f'<table data-table="{name}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
