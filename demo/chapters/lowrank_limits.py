"""Where low-rank attention breaks, as four live charts: their sample, their sweeps, their words."""

from __future__ import annotations

import math
from functools import lru_cache
from html import escape
from math import comb

import gradio as gr
import torch

from var_mini import checkpoints, validate
from var_mini.analysis import limits
from var_mini.config import ModelConfig
from var_mini.generation.sampling import MAX_SEED
from var_mini.training.qkv import collect_qkv
from var_mini.view.numbers import number

from .. import models, runs, stale, wording
from ..charts import Mark, Series, line_chart
from ..errors import readable

BOUNDS = tuple(2.0 ** (j / 2) for j in range(-4, 9))  # 0.25 to 16
DEGREES = tuple(range(1, 9))
COUNTS = (16, 32, 64, 128)
PICTURES = 8  # one is tested, the others calibrate
NOTABLE = 0.1  # error from which a method no longer counts as a good approximation
SOURCES = ("unit", "model")
FIRST = {"source": "unit", "layer": 1, "bound": 4.0, "degree": 2, "count": 64}
SMALLEST_BOUND, LARGEST_BOUND = BOUNDS[0], BOUNDS[-1]
# one colour and marker per method in all charts
UNIFORM, TWO, FOUR, FIT_TWO, FIT_FOUR, LANDMARKS, OTHER = 6, 0, 3, 5, 4, 2, 1


def curves(record, source, layer, bound, degree, count, request: gr.Request = None) -> str:
    """The four charts for a record's run and the places of the sliders. Anything forged becomes a gr.Error."""
    language = wording.language(request)
    try:
        name, config, _ = runs.model_and_attention(record)
        validate.one_of("measured on", source, SOURCES)
        label = validate.integer("class", record.get("label"), 0, config.transformer.num_classes - 1)
        seed = runs.checked_seed(record.get("seed"))
        layer = validate.integer("layer", layer, 1, config.transformer.depth)
        bound = validate.number("bound s", bound, SMALLEST_BOUND, LARGEST_BOUND)
        degree = validate.integer("degree", degree, DEGREES[0], DEGREES[-1])
        count = validate.integer("landmarks", count, COUNTS[0], COUNTS[-1])
        if source == "unit":
            vectors = _unit(config.transformer.head_dim)
        else:
            _refuse_large(name, config, language)
            vectors = _own(name, label, seed, layer - 1)
        charts = [
            _bound_chart(vectors, bound, degree, count, language),
            _degree_chart(vectors, bound, degree, config, language),
            _count_chart(vectors, bound, count, language),
            _foil_chart(vectors, bound, language),
        ]
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None
    note = _on_what(vectors, source, config, layer, int(label), int(seed), language)
    shown = f'<div class="vm-limits"><div>{"".join(charts)}</div><p class="vm-limits-note">{escape(note)}</p></div>'
    return stale.of(record, shown, "model", *(("label", "seed") if source == "model" else ()))


# -- what is measured on ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _unit(head_dim: int) -> limits.Vectors:
    return limits.unit_vectors(head_dim)


def _refuse_large(name: str, config: ModelConfig, language: str) -> None:
    """Raises ValueError for a model that cannot draw eight pictures in a moment; a published one is not even loaded."""
    if name in checkpoints.OFFICIAL or not models.load_model(name).quick:
        raise ValueError(wording.text("lowrank_large", language, model=config.name))


@lru_cache(maxsize=8)
def _own(name: str, label: int, seed: int, layer: int) -> limits.Vectors:
    """One layer's vectors of a run and of seven others, of the following classes and seeds."""
    model = models.load_model(name).model
    labels = [(label + i) % model.config.transformer.num_classes for i in range(PICTURES)]
    seeds = [(seed + i) % (MAX_SEED + 1) for i in range(PICTURES)]
    steps = model.generate(labels, seeds, details=False, partial_images=False, timed=False)
    ids = torch.cat([step.token_ids for step in steps], 1)
    qkv = collect_qkv(model, ids, torch.tensor(labels))
    scales = model.transformer.blocks[layer].attn.logit_scale().detach().cpu()
    return limits.model_vectors(qkv, model.config.pyramid, layer, scales)


def _on_what(vectors: limits.Vectors, source: str, config: ModelConfig, layer: int, label: int, seed: int, language: str) -> str:
    pictures, heads, queries, dim = vectors.q.shape
    said = {"queries": queries, "keys": vectors.k.shape[2], "heads": heads, "dim": dim, "others": pictures - 1}
    if source == "unit":
        return wording.text("lowrank_on_unit", language, **said)
    said |= {"model": config.name, "subject": wording.named(config.class_name(label), language)}
    return wording.text("lowrank_on_model", language, layer=layer, seed=seed, **said)


# -- sweeps, each computed once for a sample -------------------------------------------------------------------------


def _by_bound(vectors: limits.Vectors, method: str, parameter: int) -> tuple[tuple[float, float], ...]:
    key, measure = (method, parameter), getattr(limits, method)
    if key not in vectors.sweeps:  # there, so that it is forgotten together with the sample
        vectors.sweeps[key] = tuple((s, measure(vectors, s, parameter).error) for s in BOUNDS)
    return vectors.sweeps[key]


def _balance(vectors: limits.Vectors, degree: int, fit: bool) -> tuple[tuple[float, float], ...]:
    key = ("balance", degree, fit)
    if key not in vectors.sweeps:
        vectors.sweeps[key] = tuple((s, _foil(vectors, s, degree, fit).balance) for s in BOUNDS)
    return vectors.sweeps[key]


def _foil(vectors: limits.Vectors, bound: float, degree: int, fit: bool) -> limits.Outcome:
    return limits.fitted(vectors, bound, degree, positive=False) if fit else limits.polynomial(vectors, bound, degree)


# -- charts ----------------------------------------------------------------------------------------------------------


def _texts(language: str):
    """The texts of this chapter in one language, by the rest of their names."""

    def t(text: str, /, **values) -> str:
        return wording.text(f"lowrank_{text}", language, **values)

    return t


def _chart(language: str, series: list[Series], axis: str, title: str, note: str, marks: list[Mark], **options) -> str:
    y_label = options.pop("y_label", wording.text("lowrank_error", language))
    table = wording.text("lowrank_values", language)
    drawn = line_chart(series, axis, y_label, marks=marks, title=title, description=note, table=table, **options)
    return f"<section>{drawn}<p>{escape(note)}</p></section>"


def _bound_chart(vectors: limits.Vectors, bound: float, degree: int, count: int, language: str) -> str:
    t = _texts(language)
    methods = [
        ("polynomial", 0, UNIFORM, t("uniform")),
        ("polynomial", 2, TWO, t("taylor", degree=2)),
        ("polynomial", 4, FOUR, t("taylor", degree=4)),
        ("fitted", 2, FIT_TWO, t("fitted", degree=2)),
        ("fitted", 4, FIT_FOUR, t("fitted", degree=4)),
        ("landmark", count, LANDMARKS, t("landmarks", count=count)),
    ]
    if degree not in (2, 4):
        methods.append(("polynomial", degree, OTHER, t("taylor", degree=degree)))
    series = [Series(shown, _by_bound(vectors, m, p), style, dashed=style == UNIFORM) for m, p, style, shown in methods]
    marks = [Mark(bound, t("mark_now", value=number(bound)), strong=True)]
    if vectors.bound is not None:
        marks.append(Mark(vectors.bound, t("mark_model", value=number(vectors.bound))))
    places = []
    for line in series[1:]:
        at = _passes(line.points)
        value = number(at if at is not None else LARGEST_BOUND)
        places.append(t("passes_never" if at is None else "passes_at", name=line.name, value=value))
    note = t("passes", places="; ".join(places))
    return _chart(language, series, t("bound_axis"), t("bound_title"), note, marks, log_x=True, log_y=True)


def _passes(points: tuple[tuple[float, float], ...]) -> float | None:
    """The s at which an error first reaches NOTABLE, between two measured ones along a straight line in the logarithms."""
    before = None
    for s, error in points:
        if error >= NOTABLE:
            if before is None:
                return s
            share = math.log(NOTABLE / before[1]) / math.log(error / before[1])
            return before[0] * (s / before[0]) ** share
        before = s, error
    return None


def _degree_chart(vectors: limits.Vectors, bound: float, degree: int, config: ModelConfig, language: str) -> str:
    t = _texts(language)
    taylor = [(g, limits.polynomial(vectors, bound, g).error) for g in DEGREES]
    fits = [(g, limits.fitted(vectors, bound, g).error) for g in DEGREES if g % 2 == 0]
    series = [
        Series(t("even"), [p for p in taylor if p[0] % 2 == 0], TWO),
        Series(t("fitted_even"), fits, FIT_TWO),
        Series(t("odd"), [p for p in taylor if p[0] % 2], OTHER, dashed=True),
    ]
    d = config.transformer.head_dim
    note = t("degree_note", dim=d, two=f"{comb(d + 2, 2):,}", four=f"{comb(d + 4, 4):,}")
    marks = [Mark(degree, t("mark_degree", value=degree), strong=True)]
    return _chart(language, series, t("degree_axis"), t("degree_title", bound=number(bound)), note, marks, log_y=True)


def _count_chart(vectors: limits.Vectors, bound: float, count: int, language: str) -> str:
    t = _texts(language)
    counts = sorted({*COUNTS, count})
    series = [Series(t("nystrom"), [(m, limits.landmark(vectors, bound, m).error) for m in counts], LANDMARKS)]
    for degree, style in ((2, FIT_TWO), (4, FIT_FOUR)):
        level = limits.fitted(vectors, bound, degree).error
        ends = [(COUNTS[0], level), (COUNTS[-1], level)]
        series.append(Series(t("fitted", degree=degree), ends, style, dashed=True, markers=False))
    marks = [Mark(count, t("mark_count", value=count), strong=True)]
    title = t("count_title", bound=number(bound))
    return _chart(language, series, t("count_axis"), title, t("count_note"), marks, log_x=True, log_y=True)


def _foil_chart(vectors: limits.Vectors, bound: float, language: str) -> str:
    t = _texts(language)
    foils = [
        (2, False, TWO, t("taylor", degree=2)),
        (1, False, UNIFORM, t("taylor", degree=1)),
        (3, False, OTHER, t("taylor", degree=3)),
        (2, True, FIT_FOUR, t("foil_fit")),
    ]
    series = [Series(shown, _balance(vectors, g, fit), style, dashed=style != TWO) for g, fit, style, shown in foils]
    shares = "; ".join(f"{shown}, {_foil(vectors, bound, g, fit).negative:.0%}" for g, fit, _, shown in foils)
    note = t("foil_note", bound=number(bound), shares=shares)
    marks = [Mark(bound, t("mark_now", value=number(bound)), strong=True)]
    return _chart(
        language, series, t("bound_axis"), t("foil_title"), note, marks, log_x=True, y_label=t("foil_axis")
    )  # fmt: skip
