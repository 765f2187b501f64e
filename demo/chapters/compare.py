"""Two settings from one seed: both pictures, their difference, and measured numbers.

Times come from warm runs of their own, in turns, so that a slow moment of the machine hits both; nothing is captured
while they run. Errors of low-rank attention come from one more pass over the exact run's own tokens.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from html import escape

import gradio as gr
import matplotlib
import numpy as np
import torch
from PIL import Image

from var_mini.analysis.fidelity import output_errors
from var_mini.attention import AttentionSpec
from var_mini.attention.kernels import computed_by
from var_mini.cost.ladder import PUBLISHED
from var_mini.generation import ScaleStep
from var_mini.pyramid import ScalePyramid
from var_mini.training.qkv import collect_qkv
from var_mini.view.images import enlarge, to_uint8
from var_mini.view.numbers import number

from .. import fold, models, runs, translate, wording
from .gallery import data_uri

ROUNDS = 7  # measured runs of each side, on models that are quick
SHOWN = 336  # pixels of a picture in the slider: 12 for each pixel of 28
COLD = 0.3
NOTE = "vm-compare-note"
EXPLAINED = {  # a row of numbers -> the text that says what it is
    "row_equal": "explain_equal",
    "row_error": "explain_error",
    "row_state": "explain_state",
    "row_reserve": "explain_reserve",
    "row_rank": "explain_rank",
    "row_fallbacks": "explain_fallbacks",
    "row_smallest": "explain_smallest",
}
OTHERS = ("exact", "unguided", "cold")  # what the other side is
# The range input moves the edge of the upper picture; a range works by mouse, touch and keyboard alike.
SLIDE = """
element.addEventListener('input', (e) => {
  if (e.target.matches('.vm-slider input')) e.target.parentNode.style.setProperty('--cut', e.target.value + '%');
});
"""


@dataclass(frozen=True)
class Side:
    """One setting's run, with what was timed."""

    name: str
    settings: runs.Settings
    steps: list[ScaleStep]
    times: list[tuple[float, float]]  # seconds of attention and in all, of each timed run

    @property
    def last(self) -> ScaleStep:
        return self.steps[-1]

    @property
    def attention(self) -> float:
        return statistics.median(attention for attention, _ in self.times)

    @property
    def total(self) -> float:
        return statistics.median(total for _, total in self.times)


def other_settings(settings: runs.Settings, versus) -> runs.Settings:
    """The same run with one setting changed. Raises ValueError for an unknown name."""
    if versus == "exact":
        return replace(settings, attention=AttentionSpec())
    if versus == "unguided":
        return replace(settings, sampling=replace(settings.sampling, guidance=0.0))
    if versus == "cold":
        return replace(settings, sampling=replace(settings.sampling, temperature=COLD))
    raise ValueError(f"compare with = {str(versus)[:40]!r}: must be one of {', '.join(OTHERS)}")


def compare(settings: runs.Settings, versus, language: str) -> tuple:
    """(area, HTML) after a run: the same seed with the setting `versus` changed, beside it; a line where both are the same.

    Raises ValueError, OSError, RuntimeError or MemoryError where a run cannot be drawn.
    """
    other = other_settings(settings, versus)
    if other == settings:
        return gr.update(visible=True), _frame(_paragraph(wording.text("compare_same", language)))
    loaded = models.load_model(settings.name)
    chosen, why = loaded.model.transformer.resolve(settings.attention), ""
    if settings.attention.method == "auto":
        _, reason = loaded.model.transformer.choose()
        why = _paragraph(wording.text("auto_chose", language, name=chosen, reason=translate.sentence(reason, language)))
    computed = _paragraph(_computed(loaded, chosen, language), NOTE)
    settings = replace(settings, attention=chosen)
    if other == settings:
        return gr.update(visible=True), _frame(why + computed)
    first = wording.text(f"compare_{versus}", language)
    own = str(chosen) if versus == "exact" else _own_name(settings, versus, language)
    left, right = _sides(loaded, (first, other), (own, settings))
    guided = None if versus == "unguided" else settings.sampling.guidance > 0  # there the sides differ in it
    condition = wording.condition(language, settings.config.name, **models.timed(), guided=guided)
    timed = wording.text("timed_runs", language, condition=condition, rounds=len(left.times))
    errors = _errors(loaded.model, left, settings) if versus == "exact" else None
    if errors is None:
        told = why + computed
    else:
        told = _paragraph(_verdict(left, right, errors, language)) + why + _paragraph(_of_what(left, language), NOTE) + computed
    shown = _slider(left, right, language) + _difference(left, right, language) + _numbers(left, right, errors, timed, language)
    return gr.update(visible=True), _frame(told, shown)


def _computed(loaded: models.Loaded, chosen, language: str) -> str:
    """The device, and which implementation of attention ran there."""
    transformer = loaded.model.transformer
    kind, reason = computed_by(chosen, transformer.blocks[0].attn.logit_scale(), transformer.config.head_dim)
    how = wording.text(f"computed_by_{kind}", language, reason=translate.sentence(reason, language))
    return wording.text("computed_on", language, device=models.device(language), attention=chosen, how=how)


def _own_name(settings: runs.Settings, versus: str, language: str) -> str:
    s = settings.sampling
    if versus == "unguided":
        return f"{wording.text('guidance', language)} {s.guidance:g}"
    return f"{wording.text('temperature', language)} {s.temperature:g}"


def _sides(loaded: models.Loaded, *named: tuple[str, runs.Settings]) -> list[Side]:
    """Both runs from one seed, and, where the model is quick, both again several times for their times."""

    def run(s: runs.Settings, details: bool):
        return list(loaded.model.generate(s.label, s.seed, s.sampling, attention=s.attention, style=s.style, details=details))

    drawn = [run(settings, True) for _, settings in named]
    timed = [[run(settings, False) for _, settings in named] for _ in range(ROUNDS)] if loaded.quick else [drawn]
    sides = []
    for i, (name, settings) in enumerate(named):
        times = [(sum(s.seconds_attention for s in one[i]), sum(s.seconds for s in one[i])) for one in timed]
        sides.append(Side(name, settings, drawn[i], times))
    return sides


def _errors(model, exact: Side, settings: runs.Settings) -> torch.Tensor:
    """Relative error of every layer, head and scale's attention output, on the exact run's tokens."""
    ids = torch.cat([step.token_ids for step in exact.steps], 1)
    return torch.tensor(output_errors(model, collect_qkv(model, ids, settings.condition), settings.attention)[0])


def _verdict(exact: Side, low: Side, errors: torch.Tensor, language: str) -> str:
    """One sentence: what the approximation changed, what it cost or saved, and who wins."""

    def ratio(mine: float, its: float) -> str:
        return f"{max(mine, its) / min(mine, its):.1f}"

    mine, its = low.last.state_bytes + low.last.reserve_bytes, exact.last.state_bytes
    slower, larger = low.attention >= exact.attention, mine >= its
    time = wording.text("slower_here" if slower else "faster_here", language, ratio=ratio(low.attention, exact.attention))
    memory = wording.text("memory_larger" if larger else "memory_smaller", language, ratio=ratio(mine, its))
    winner = {(True, True): "wins_exact", (True, False): "wins_memory", (False, True): "wins_time", (False, False): "wins_low"}
    return wording.text(
        "verdict",
        language,
        name=low.name,
        different=f"{1 - torch.cat(_equal(exact, low)).float().mean():.0%}",
        tokens=exact.settings.config.pyramid.tokens,
        error=number(float(f"{100 * errors.median():.2g}")),
        time=time,
        memory=memory,
        winner=wording.text(winner[slower, larger], language, name=low.name),
    )


def _of_what(exact: Side, language: str) -> str:
    """Which model and pyramid the numbers are of, and how the published pyramid with the same last map differs."""
    config = exact.settings.config
    pyramid = config.pyramid
    facts = {"model": config.name, "head_dim": config.transformer.head_dim, "maps": pyramid.num_scales, "side": pyramid.side}
    told = wording.text("verdict_of", language, **facts, tokens=pyramid.tokens)
    published = ScalePyramid(PUBLISHED[pyramid.side]) if pyramid.side in PUBLISHED else pyramid
    if published.tokens != pyramid.tokens:
        more = {"maps": published.num_scales, "tokens": f"{published.tokens:,}"}
        told += " " + wording.text("verdict_published", language, **more)
    return told


def _equal(left: Side, right: Side) -> list[torch.Tensor]:
    """Which tokens are the same on both sides, one tensor a scale."""
    return [(a.token_ids == b.token_ids)[0] for a, b in zip(left.steps, right.steps, strict=True)]


# -- HTML ------------------------------------------------------------------------------------------------------------


def _frame(paragraphs: str, rest: str = "") -> str:
    return f'<div class="vm-compare">{paragraphs}<div>{rest}</div></div>'


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _slider(left: Side, right: Side, language: str) -> str:
    """Both pictures in one place, one on either side of the handle; enlarged by a whole number, so that pixels stay squares."""
    images = ""
    for side in (left, right):
        pixels = to_uint8(side.last.image[0])
        uri = data_uri(Image.fromarray(enlarge(pixels, len(pixels) * max(1, SHOWN // len(pixels)))))
        images += f'<img src="{uri}" alt="{escape(wording.text("slider_alt", language, name=side.name))}">'
    label = escape(wording.text("slider_label", language))
    caption = escape(wording.text("slider", language, other=left.name, name=right.name))
    return (
        f'<figure class="vm-compared"><div class="vm-slider">{images}<i></i>'
        f'<input type="range" min="0" max="100" value="50" step="1" aria-label="{label}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _difference(left: Side, right: Side, language: str) -> str:
    """Absolute difference, mean of the colour channels, dark blue to yellow (cividis, for colour-blind eyes too)."""
    values = (left.last.image[0] - right.last.image[0]).abs().mean(0).numpy()
    coloured = (matplotlib.colormaps["cividis"](values)[..., :3] * 255).round().astype(np.uint8)
    numbers = {"largest": f"{values.max():.2f}", "mean": f"{values.mean():.3f}"}
    return (
        f'<figure><img class="vm-picture" src="{data_uri(Image.fromarray(coloured))}" '
        f'alt="{escape(wording.text("difference_alt", language, **numbers))}">'
        f"<figcaption>{escape(wording.text('difference_caption', language, **numbers))}</figcaption></figure>"
    )


def _numbers(left: Side, right: Side, errors: torch.Tensor | None, timed: str, language: str) -> str:
    """The main numbers of both sides, and how they were `timed`; the others, each with a line on what it is, behind a fold.

    Rows of low-rank attention stand only where that is what is compared, and only where there is such a number.
    """
    none, equal = wording.NO_VALUE, _equal(left, right)
    t, low = right.settings.config.transformer, right.last
    guided = right.settings.sampling.guidance > 0
    main = [
        ("row_attention", _milliseconds(left.attention, language), _milliseconds(right.attention, language)),
        ("row_total", _milliseconds(left.total, language), _milliseconds(right.total, language)),
        ("row_equal", none, f"{torch.cat(equal).float().mean():.0%}"),
    ]
    more = [("row_equal_scales", none, " · ".join(f"{scale.float().mean():.0%}" for scale in equal))]
    notes = ["row_equal"]
    if errors is not None:
        outputs = t.depth * t.heads * len(right.steps) * (2 if guided else 1)
        main += [
            ("row_error", none, _spread(errors, language)),
            ("row_state", size(left.last.state_bytes), size(low.state_bytes)),
        ]
        if low.reserve_bytes:
            main.append(("row_reserve", none, size(low.reserve_bytes)))
        more += [
            ("row_rank", str(left.last.rank), str(low.rank)),
            ("row_fallbacks", none, wording.text("count_of", language, done=low.fallbacks, all=outputs)),
        ]
        if low.smallest_denominator is not None:
            more.append(("row_smallest", none, f"{low.smallest_denominator:.3g}"))
        notes = [name for name, *_ in main + more if name in EXPLAINED]
    listed = "".join(
        f"<dt>{escape(wording.text(name, language))}</dt><dd>{escape(wording.text(EXPLAINED[name], language))}</dd>"
        for name in notes
    )
    folded = _table(more, left, right, language) + f"<dl>{listed}</dl>"
    counted = _paragraph(wording.text("state_guided", language), NOTE) if errors is not None and guided else ""
    return (
        f'<div class="vm-compare-numbers">{_table(main, left, right, language)}{_paragraph(timed, NOTE)}{counted}'
        f"{fold.fold('numbers', wording.text('more_numbers', language), folded)}</div>"
    )


def _spread(errors: torch.Tensor, language: str) -> str:
    """Median and largest of errors (layers, heads, scales), and where the largest one is."""
    layer, head, scale = np.unravel_index(int(errors.argmax()), errors.shape)
    place = {"layer": layer + 1, "head": head + 1, "scale": scale + 1}
    spread = {"median": f"{errors.median():.2g}", "largest": f"{errors.max():.2g}"}
    return wording.text("median_and_largest", language, **spread, **place)


def _table(rows: list[tuple[str, str, str]], left: Side, right: Side, language: str) -> str:
    body = "".join(
        f'<tr data-row="{name}"><th scope="row">{escape(wording.text(name, language))}</th>'
        f"<td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in rows
    )
    names = "".join(f'<th scope="col">{escape(side.name)}</th>' for side in (left, right))
    return f"<table><thead><tr><td></td>{names}</tr></thead><tbody>{body}</tbody></table>"


def _milliseconds(seconds: float, language: str) -> str:
    return wording.text("milliseconds", language, value=number(1000 * seconds))


def size(count: int) -> str:
    return wording.text("kilobytes", value=f"{count / 1000:.1f}")


# -- components ------------------------------------------------------------------------------------------------------


def choices(language: str = "en") -> list[tuple[str, str]]:
    return [(wording.text(f"compare_{name}", language), name) for name in OTHERS]


def translated(request: gr.Request = None) -> dict:
    """The choices of `control` in the visitor's language."""
    return gr.update(choices=choices(wording.language(request)))


def control() -> gr.Dropdown:
    """What to compare a run with."""
    return gr.Dropdown(
        choices(),
        value="exact",
        label=wording.shown("compare"),
        info=wording.shown("compare_info"),
        filterable=False,
        scale=2,
        min_width=170,
    )


def build_area(elem_id: str = "vm-compare") -> list:
    """What appears below a run that is compared with another."""
    with gr.Row(visible=False) as area:
        comparison = gr.HTML(elem_id=elem_id, js_on_load=SLIDE + fold.KEEP, apply_default_css=False)
    return [area, comparison]
