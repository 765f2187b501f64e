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
from var_mini.generation import ScaleStep
from var_mini.training.qkv import collect_qkv
from var_mini.view.images import enlarge, to_uint8

from . import models, runs, wording
from .gallery import data_uri

ROUNDS = 7  # measured runs of each side, on models that are quick
SHOWN = 336  # pixels of a picture in the slider: 12 for each pixel of 28
COLD = 0.3
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
        why = _paragraph(wording.text("auto_chose", language, name=chosen, reason=reason))
    why += _paragraph(_computed(loaded, chosen, language))
    settings = replace(settings, attention=chosen)
    if other == settings:
        return gr.update(visible=True), _frame(why)
    first = wording.text(f"compare_{versus}", language)
    own = str(chosen) if versus == "exact" else _own_name(settings, versus, language)
    left, right = _sides(loaded, (first, other), (own, settings))
    errors = _errors(loaded.model, left, settings) if versus == "exact" else None
    verdict = _paragraph(_verdict(left, right, settings, language)) if versus == "exact" else ""
    html = _frame(
        why + verdict, _slider(left, right, language) + _difference(left, right, language) + _table(left, right, errors, language)
    )
    return gr.update(visible=True), html


def _computed(loaded: models.Loaded, chosen, language: str) -> str:
    """The device, and which implementation of attention ran there."""
    transformer = loaded.model.transformer
    kind, reason = computed_by(chosen, transformer.blocks[0].attn.logit_scale(), transformer.config.head_dim)
    how = wording.text(f"computed_by_{kind}", language, reason=reason)
    return wording.text("computed_on", language, device=loaded.device, attention=chosen, how=how)


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


def _verdict(exact: Side, low: Side, settings: runs.Settings, language: str) -> str:
    slower = low.attention >= exact.attention
    ratio = low.attention / exact.attention if slower else exact.attention / low.attention
    values = {"tokens": settings.config.pyramid.tokens, "name": low.name, "ratio": f"{ratio:.1f}", "rounds": len(exact.times)}
    return wording.text("slower_here" if slower else "faster_here", language, **values)


# -- HTML ------------------------------------------------------------------------------------------------------------


def _frame(paragraphs: str, rest: str = "") -> str:
    return f'<div class="vm-compare">{paragraphs}<div>{rest}</div></div>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


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


def _table(left: Side, right: Side, errors: torch.Tensor | None, language: str) -> str:
    """Rows of both sides; those of low-rank attention only where that is what is compared."""
    none = wording.NO_VALUE
    equal = [(a.token_ids == b.token_ids)[0] for a, b in zip(left.steps, right.steps, strict=True)]
    t, low = right.settings.config.transformer, right.last
    rows = [
        ("row_attention", _milliseconds(left.attention, language), _milliseconds(right.attention, language)),
        ("row_total", _milliseconds(left.total, language), _milliseconds(right.total, language)),
        ("row_equal", none, f"{torch.cat(equal).float().mean():.0%}"),
        ("row_equal_scales", none, " · ".join(f"{scale.float().mean():.0%}" for scale in equal)),
    ]
    if errors is not None:
        outputs = t.depth * t.heads * len(right.steps) * (2 if right.settings.sampling.guidance > 0 else 1)
        spread = {"median": f"{errors.median():.2g}", "largest": f"{errors.max():.2g}"}
        smallest = none if low.smallest_denominator is None else f"{low.smallest_denominator:.3g}"
        rows += [
            ("row_rank", str(left.last.rank), str(low.rank)),
            ("row_state", size(left.last.state_bytes), size(low.state_bytes)),
            ("row_reserve", none, size(low.reserve_bytes) if low.reserve_bytes else none),
            ("row_error", none, wording.text("median_and_largest", language, **spread)),
            ("row_fallbacks", none, wording.text("count_of", language, done=low.fallbacks, all=outputs)),
            ("row_smallest", none, smallest),
        ]
    body = "".join(
        f'<tr data-row="{name}"><th scope="row">{escape(wording.text(name, language))}</th>'
        f"<td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in rows
    )
    names = "".join(f'<th scope="col">{escape(side.name)}</th>' for side in (left, right))
    guided = errors is not None and right.settings.sampling.guidance > 0
    note = _paragraph(wording.text("state_guided", language)) if guided else ""
    return f"<table><thead><tr><td></td>{names}</tr></thead><tbody>{body}</tbody></table>{note}"


def _milliseconds(seconds: float, language: str) -> str:
    return wording.text("milliseconds", language, value=f"{1000 * seconds:.2f}")


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
        comparison = gr.HTML(elem_id=elem_id, js_on_load=SLIDE, apply_default_css=False)
    return [area, comparison]
