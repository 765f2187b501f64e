"""The chapter that switches attention from exact to low-rank and shows what changes and where it breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape

import gradio as gr
import matplotlib
import numpy as np
import torch

from var_mini import checkpoints
from var_mini.analysis.fidelity import output_errors
from var_mini.attention import AttentionSpec
from var_mini.config import ModelConfig
from var_mini.training.qkv import collect_qkv
from var_mini.view.numbers import number

from .. import backend, charts, fold, models, runs, stale, wording
from ..errors import readable
from . import compare, frame, lowrank_limits

RECORDED = checkpoints.ASSETS / "results"
LEAST = 1e-6  # an error below it has the colour of none
NARROWEST = 10.0  # the colours span at least this ratio of errors, so that equal errors do not look different
EVEN_CONTRAST = 0.179  # relative luminance on which black and white text stand out equally (WCAG 2)


def toggle(record, request: gr.Request = None) -> tuple:
    """(area, comparison, heat table) of the run of a record with exact attention and with its own.

    Anything the browser sends out of range becomes a gr.Error.
    """
    language = wording.language(request)
    try:
        settings = runs.from_record(record)
        if settings.attention == AttentionSpec():
            return gr.update(visible=False), "", _hint(wording.text("lowrank_same", language))
        area, comparison = compare.compare(settings, "exact", language)
        model = models.load_model(settings.name).model
        spec = model.transformer.resolve(settings.attention)
        if spec == AttentionSpec():
            return area, comparison, _hint(wording.text("lowrank_auto_same", language))
        errors = measured_errors(model, settings, spec)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None
    table = heat(errors, spec, wording.text("lowrank_heat_measured", language), language)
    return area, stale.of(record, comparison), stale.of(record, table)


def measured_errors(model, settings: runs.Settings, spec: AttentionSpec) -> np.ndarray:
    """Relative errors (layers, heads, scales) on the tokens that exact attention draws with these settings."""
    exact = replace(settings, attention=AttentionSpec())
    ids = torch.cat([step.token_ids for step in runs.trace(exact).steps], 1)
    return np.array(output_errors(model, collect_qkv(model, ids, settings.condition), spec)[0])


def recorded(record, request: gr.Request = None) -> str:
    """The heat table that is stored for a record's model and attention, or a line that says how to get one. Runs no model."""
    language = wording.language(request)
    try:
        name, config, spec = runs.model_and_attention(record)
        backend.supported(name, config, spec)
    except ValueError as error:
        return _hint(str(error))
    errors = _stored(config, name, spec)
    if errors is None:
        return _hint(wording.text("lowrank_heat_none", language))
    return stale.of(record, heat(errors, spec, wording.text("lowrank_heat_recorded", language), language), "model", "attention")


def _stored(config: ModelConfig, name: str, spec: AttentionSpec) -> np.ndarray | None:
    path = RECORDED / f"error-{config.name}.json"
    if name not in checkpoints.available() or not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))["backends"].get(str(spec))
    return np.array(found["error"]) if found and str(spec) != "exact" else None


# -- the heat table --------------------------------------------------------------------------------------------------


def heat(errors: np.ndarray, spec: AttentionSpec, note: str, language: str) -> str:
    """Two tables of errors (layers, heads, scales), folded: the last scale, and the mean of all.

    Values are text; colours are cividis, from the least to the largest error of both tables.
    """
    tables = [("lowrank_heat_last", errors[:, :, -1]), ("lowrank_heat_all", errors.mean(-1))]
    low = max(min(values.min() for _, values in tables), LEAST)
    ends = low, max(max(values.max() for _, values in tables), low * NARROWEST)
    body = "".join(_table(wording.text(name, language), values, ends, language) for name, values in tables)
    note += " " + wording.text("lowrank_heat_both", language)
    title = wording.text("lowrank_heat_title", language, name=spec)
    return f'<section class="vm-heat">{fold.fold("heat", title, f"<p>{escape(note)}</p><div>{body}</div>")}</section>'


def _hint(text: str) -> str:
    return f'<section class="vm-heat"><p>{escape(text)}</p></section>'


def _table(caption: str, values: np.ndarray, ends: tuple[float, float], language: str) -> str:
    heads = "".join(
        f'<th scope="col">{escape(wording.text("lowrank_heat_head", language, number=h + 1))}</th>'
        for h in range(values.shape[1])
    )
    rows = ""
    for layer, row in enumerate(values):
        cells = "".join(_cell(value, *ends) for value in row)
        rows += f'<tr><th scope="row">{escape(wording.text("lowrank_heat_layer", language, number=layer + 1))}</th>{cells}</tr>'
    scrolled = f'<div tabindex="0" role="group" aria-label="{escape(caption)}">'
    table = f"<table><caption>{escape(caption)}</caption><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f"{scrolled}{table}</div>"


def _cell(value: float, low: float, high: float) -> str:
    """A cell in the colour of the logarithm of its error, with black or white text, whichever stands out more."""
    place = np.log(max(value, low) / low) / np.log(high / low)
    colour = np.array(matplotlib.colormaps["cividis"](float(place))[:3])
    luminance = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    text = "#000" if luminance > EVEN_CONTRAST else "#fff"
    rgb = ",".join(str(round(255 * part)) for part in colour)
    return f'<td style="background:rgb({rgb});color:{text}">{number(float(f"{value:.2g}"))}</td>'


# -- components ------------------------------------------------------------------------------------------------------


def follow(record, layer, request: gr.Request = None) -> tuple:
    """What changes with model and attention: layers, the comparison, which goes, and the stored heat table."""
    try:
        depth = runs.model_and_attention(record)[1].transformer.depth
    except ValueError as error:
        raise readable(error) from None
    kept = layer if isinstance(layer, int | float) and 1 <= layer <= depth else 1
    return gr.update(maximum=depth, value=kept), gr.update(visible=False), recorded(record, request)


def source_choices(language: str = "en") -> list[tuple[str, str]]:
    return [(wording.text(f"lowrank_source_{name}", language), name) for name in lowrank_limits.SOURCES]


def open_page(request: gr.Request = None) -> tuple[dict, str]:
    """Names of choices, and of the fold, in the visitor's language."""
    language = wording.language(request)
    return gr.update(choices=source_choices(language)), breaks(language)


def breaks(language: str = "en") -> str:
    """The fold over the curves and their controls."""
    return fold.fold("breaks", wording.text("lowrank_breaks", language))


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built. Raises ValueError where there is no such model."""
    t, config = wording.shown, checkpoints.load_config(default_model)
    with gr.Column(elem_id="vm-lowrank"):
        wants = ("model", "class", "style", "seed", "low_rank")
        head = frame.head("lowrank", default_model, wants, follows=("model", "attention"))
        run = gr.Button(t("lowrank_run"), variant="primary", elem_id="vm-lowrank-run")
        area = compare.build_area("vm-lowrank-compare")
        heat_table = gr.HTML(apply_default_css=False, elem_id="vm-lowrank-heat", js_on_load=fold.KEEP)
        over = gr.HTML(breaks(), apply_default_css=False, elem_classes="vm-fold-over", js_on_load=fold.KEEP)
        with gr.Column():
            gr.Markdown(t("lowrank_breaks_lead"))
            source, sliders = _limit_controls(config)
            curves = gr.HTML(apply_default_css=False, elem_id="vm-lowrank-limits", js_on_load=charts.DRAW)
        frame.foot("lowrank")
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1, **quiet}
    sample = [head, source, *sliders]
    followed = head.follow(follow, [head, sliders[0]], [sliders[0], area[0], heat_table], queue=False, **quiet)
    ran = run.click(toggle, head, [*area, heat_table], **(one_at_a_time | {"show_progress": "minimal"}))
    drawn = [one.success(lowrank_limits.curves, sample, curves, **one_at_a_time) for one in (followed, ran)]
    changes = [control.input for control in (source, *sliders)]
    drawn.append(gr.on(changes, lowrank_limits.curves, sample, curves, trigger_mode="always_last", **one_at_a_time))
    stale.follow([], [area[1], heat_table])
    stale.follow([source, *sliders], [curves])
    for one in drawn:
        one.success(None, js=stale.clear(curves), queue=False, **quiet)  # curves that are the same as before do not change
    gr.context.Context.root_block.load(open_page, None, [source, over], queue=False, **quiet)


def _limit_controls(config: ModelConfig) -> tuple[gr.Radio, list]:
    """What the curves are measured on, and the sliders in the order of `lowrank_limits.curves`."""
    t, first, low = wording.shown, lowrank_limits.FIRST, lowrank_limits
    with gr.Row(elem_classes="vm-controls"):
        source = gr.Radio(source_choices(), value=first["source"], label=t("lowrank_source"), scale=3, min_width=260)
        depth = config.transformer.depth
        layer = gr.Slider(1, depth, first["layer"], step=1, label=t("lowrank_layer"), scale=2, min_width=150)
    with gr.Row(elem_classes="vm-controls"):
        bound = gr.Slider(
            low.SMALLEST_BOUND, low.LARGEST_BOUND, first["bound"], step=0.25, label=t("lowrank_bound"), min_width=180
        )
        degree = gr.Slider(low.DEGREES[0], low.DEGREES[-1], first["degree"], step=1, label=t("lowrank_degree"), min_width=180)
        count = gr.Slider(low.COUNTS[0], low.COUNTS[-1], first["count"], step=16, label=t("lowrank_count"), min_width=180)
    return source, [layer, bound, degree, count]
