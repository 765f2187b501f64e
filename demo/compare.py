"""What a low-rank back end changes: the exact picture from the same seed, the difference, and measured numbers.

Times come from warm runs of their own, in turns, so that a slow moment of the machine hits both; nothing is captured
while they run. Errors come from one more pass over the exact run's own tokens.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from html import escape

import gradio as gr
import matplotlib
import numpy as np
import torch
from PIL import Image

from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.fidelity import collect_qkv, output_errors
from var_mini.generation import Sampling, ScaleStep
from var_mini.view.images import enlarge, to_uint8

from . import backend, wording
from .errors import readable
from .models import Loaded, load_model
from .stage import data_uri

ROUNDS = 7  # measured runs of each back end, on models that are quick
SHOWN = 336  # pixels of a picture in the slider: 12 for each pixel of 28
# The range input moves the edge of the upper picture; a range works by mouse, touch and keyboard alike.
SLIDE = """
element.addEventListener('input', (e) => {
  if (e.target.matches('.vm-slider input')) e.target.parentNode.style.setProperty('--cut', e.target.value + '%');
});
"""


@dataclass(frozen=True)
class Side:
    """One back end's run, with what was timed."""

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


def compare(
    name, label, seed, guidance, temperature, top_k, top_p, method="exact", polynomial="2", landmarks=64, factor=2
) -> tuple:
    """(area, HTML) after a low-rank run: both pictures from one seed, their difference and their numbers.

    Hides the area where exact attention was asked for. Anything the browser sends out of range becomes a gr.Error.
    """
    try:
        sampling = Sampling(guidance, temperature, top_k, top_p)
        config = checkpoints.load_config(name)
        spec = backend.checked(name, config, method, polynomial, landmarks, factor)
        if spec.method == "exact":
            return gr.update(visible=False), ""
        loaded = load_model(name)
        chosen, reason = loaded.model.transformer.resolve(spec)
        why = _paragraph(wording.AUTO_CHOSE.format(name=chosen, reason=reason)) if spec.method == "auto" else ""
        if chosen.method == "exact":
            return gr.update(visible=True), _frame(why)
        exact, low = _runs(loaded, int(label), seed, sampling, chosen)
        errors = _errors(loaded.model, exact, int(label), chosen)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None
    html = _frame(
        why + _paragraph(_verdict(chosen, exact, low, config.pyramid.tokens)),
        _slider(chosen, exact, low) + _difference(exact, low) + _table(loaded, sampling, chosen, exact, low, errors),
    )
    return gr.update(visible=True), html


def _runs(loaded: Loaded, label: int, seed: int, sampling: Sampling, spec: AttentionSpec) -> tuple[Side, Side]:
    """Exact and low-rank from one seed, and, where the model is quick, both again several times for their times."""

    def run(attention, details):
        return list(loaded.model.generate(label, seed, sampling, attention=attention, details=details))

    attentions = ("exact", spec)
    drawn = [run(attention, True) for attention in attentions]
    timed = [[run(attention, False) for attention in attentions] for _ in range(ROUNDS)] if loaded.quick else [drawn]
    times = [[(sum(s.seconds_attention for s in one[i]), sum(s.seconds for s in one[i])) for one in timed] for i in (0, 1)]
    return Side(drawn[0], times[0]), Side(drawn[1], times[1])


def _errors(model, exact: Side, label: int, spec: AttentionSpec) -> torch.Tensor:
    """Relative error of every layer, head and scale's attention output, on the exact run's tokens."""
    ids = torch.cat([step.token_ids for step in exact.steps], 1)
    return torch.tensor(output_errors(model, collect_qkv(model, ids, torch.tensor([label])), spec)[0])


def _verdict(spec: AttentionSpec, exact: Side, low: Side, tokens: int) -> str:
    slower = low.attention >= exact.attention
    ratio = low.attention / exact.attention if slower else exact.attention / low.attention
    text = wording.SLOWER_HERE if slower else wording.FASTER_HERE
    return text.format(tokens=tokens, name=spec, ratio=f"{ratio:.1f}", rounds=len(exact.times))


# -- HTML ------------------------------------------------------------------------------------------------------------


def _frame(paragraphs: str, rest: str = "") -> str:
    return f'<div class="vm-compare">{paragraphs}<div>{rest}</div></div>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _slider(spec: AttentionSpec, exact: Side, low: Side) -> str:
    """Both pictures in one place, exact left of the handle; enlarged by a whole number, so that pixels stay squares."""
    images = ""
    for side, name in ((exact, "exact"), (low, str(spec))):
        pixels = to_uint8(side.last.image[0])
        uri = data_uri(Image.fromarray(enlarge(pixels, len(pixels) * max(1, SHOWN // len(pixels)))))
        images += f'<img src="{uri}" alt="{escape(wording.SLIDER_ALT.format(name=name))}">'
    return (
        f'<figure class="vm-compared"><div class="vm-slider">{images}<i></i>'
        f'<input type="range" min="0" max="100" value="50" step="1" aria-label="{escape(wording.SLIDER_LABEL)}"></div>'
        f"<figcaption>{escape(wording.SLIDER.format(name=spec))}</figcaption></figure>"
    )


def _difference(exact: Side, low: Side) -> str:
    """Absolute difference, mean of the colour channels, dark blue to yellow (cividis, for colour-blind eyes too)."""
    values = (exact.last.image[0] - low.last.image[0]).abs().mean(0).numpy()
    coloured = (matplotlib.colormaps["cividis"](values)[..., :3] * 255).round().astype(np.uint8)
    numbers = {"largest": f"{values.max():.2f}", "mean": f"{values.mean():.3f}"}
    return (
        f'<figure><img class="vm-picture" src="{data_uri(Image.fromarray(coloured))}" '
        f'alt="{escape(wording.DIFFERENCE_ALT.format(**numbers))}">'
        f"<figcaption>{escape(wording.DIFFERENCE_CAPTION.format(**numbers))}</figcaption></figure>"
    )


def _table(loaded: Loaded, sampling: Sampling, spec: AttentionSpec, exact: Side, low: Side, errors: torch.Tensor) -> str:
    config, none = loaded.model.config, wording.NO_VALUE
    equal = [(a.token_ids == b.token_ids)[0] for a, b in zip(exact.steps, low.steps, strict=True)]
    t = config.transformer
    outputs = t.depth * t.heads * len(low.steps) * (2 if sampling.guidance > 0 else 1)
    denominator = low.last.smallest_denominator
    rows = [
        (wording.ATTENTION_TIME, milliseconds(exact.attention), milliseconds(low.attention)),
        (wording.TOTAL_TIME, milliseconds(exact.total), milliseconds(low.total)),
        (wording.RANK, str(exact.last.rank), str(low.last.rank)),
        (wording.STATE, size(exact.last.state_bytes), size(low.last.state_bytes)),
        (wording.RESERVE, none, size(low.last.reserve_bytes) if low.last.reserve_bytes else none),
        (wording.EQUAL_TOKENS, none, f"{torch.cat(equal).float().mean():.0%}"),
        (wording.EQUAL_PER_SCALE, none, " · ".join(f"{scale.float().mean():.0%}" for scale in equal)),
        (wording.ERROR, none, wording.MEDIAN_AND_LARGEST.format(median=f"{errors.median():.2g}", largest=f"{errors.max():.2g}")),
        (wording.FALLBACKS, none, wording.COUNT_OF.format(done=low.last.fallbacks, all=outputs)),
        (wording.SMALLEST, none, none if denominator is None else f"{denominator:.3g}"),
    ]
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>' for name, a, b in rows)
    head = f'<thead><tr><td></td><th scope="col">exact</th><th scope="col">{escape(str(spec))}</th></tr></thead>'
    return f"<table>{head}<tbody>{body}</tbody></table>"


def milliseconds(seconds: float) -> str:
    return wording.MILLISECONDS.format(value=f"{1000 * seconds:.2f}")


def size(count: int) -> str:
    return wording.KILOBYTES.format(value=f"{count / 1000:.1f}")


def build_area() -> list:
    """What appears below a low-rank run."""
    with gr.Row(visible=False) as area:
        comparison = gr.HTML(elem_id="vm-compare", js_on_load=SLIDE, apply_default_css=False)
    return [area, comparison]
