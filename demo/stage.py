"""What a run shows, as one piece of HTML: the strip of scales with their times, and the result.

All pictures and numbers live in one gr.HTML: one update per scale costs far less than many image components, and the
placeholders of scales not yet drawn have the size of the drawn ones, so nothing on the page moves.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from var_mini import checkpoints
from var_mini.config import ModelConfig
from var_mini.generation import ScaleStep
from var_mini.view.images import to_uint8, token_map

from . import wording
from .models import Loaded

THUMBNAIL = 128  # pixels; larger images are reduced in the strip, which every update sends again
ALT_TOKENS = 64  # code numbers read out before "and more"
PHASES = (("attention", wording.ATTENTION), ("transformer", wording.REST), ("decoder", wording.DECODER))


@dataclass(frozen=True)
class Drawn:
    """One scale with its pictures, encoded once and sent with every later update."""

    step: ScaleStep
    token_map: str
    thumbnail: str
    image: str

    @staticmethod
    def of(step: ScaleStep, colours: np.ndarray) -> Drawn:
        pixels = Image.fromarray(to_uint8(step.image[0]))
        small = pixels if pixels.width <= THUMBNAIL else pixels.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        codes = Image.fromarray(token_map(step.token_ids[0], colours))
        return Drawn(step, data_uri(codes), data_uri(small), data_uri(pixels))


@dataclass
class Run:
    """What is known about a run so far; a run without `drawn` is the page before a click."""

    config: ModelConfig
    label: int = 0
    seed: int = 0
    drawn: list[Drawn] | tuple = ()
    loaded: Loaded | None = None

    @property
    def subject(self) -> str:
        return self.config.class_name(self.label)


def data_uri(picture: Image.Image) -> str:
    """A PNG inside the page itself: no file on the server, no further request."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def stage(run: Run, note: str = "") -> str:
    """The whole picture of a run: what happens now, the strip of scales, the result."""
    config, pyramid, done = run.config, run.config.pyramid, len(run.drawn)
    K = pyramid.num_scales
    if not note:
        text = wording.HINT if not done else wording.DRAWING if done < K else wording.DONE
        note = text.format(scales=K, done=done, tokens=pyramid.tokens, passes=K)
    size, codes = config.tokenizer.image_size, config.tokenizer.vocab_size
    facts = wording.MODEL_FACTS.format(name=config.name, size=size, scales=K, tokens=pyramid.tokens, codes=codes)
    needs = f'<p class="vm-needs">{escape(wording.PUBLISHED_NEEDS)}</p>' if config.name in checkpoints.OFFICIAL else ""
    slowest = max((d.step.seconds for d in run.drawn), default=0)
    columns = [_drawn_scale(run, k, slowest) if k < done else _empty_scale(side, k) for k, side in enumerate(pyramid.patch_nums)]
    return (
        f'<div class="vm-stage" data-drawn="{done}" data-scales="{K}">'
        f'<section class="vm-card vm-scales"><div class="vm-head"><p class="vm-note">{escape(note)}</p>'
        f'<p class="vm-facts">{escape(facts)}</p></div>{needs}'
        f'<div class="vm-strip" tabindex="0" role="region" aria-label="{escape(wording.STRIP_LABEL)}">'
        f"{_row_names(codes)}<ol>{''.join(columns)}</ol></div></section>{_result(run)}</div>"
    )


def _row_names(codes: int) -> str:
    """The names of the strip's rows, on the left of it where there is room."""
    rows = (
        ("map", wording.ROW_MAP, wording.ROW_MAP_NOTE),
        ("image", wording.ROW_IMAGE, wording.ROW_IMAGE_NOTE),
        ("time", wording.ROW_TIME, wording.ROW_TIME_NOTE),
        ("entropy", wording.ROW_ENTROPY, wording.ROW_ENTROPY_NOTE.format(limit=math.log(codes))),
    )
    cells = "".join(
        f'<div class="vm-row-{row}"><b>{escape(name)}</b><span>{escape(text)}</span></div>' for row, name, text in rows
    )
    return f'<div class="vm-rows">{cells}</div>'


def _scale(side: int, state: str, pictures: str, total: str, shares: dict, values: dict, entropy: str) -> str:
    """One column of the strip; drawn and empty scales share it, so both have one size."""
    count = wording.ONE_TOKEN if side == 1 else wording.TOKENS.format(count=side * side)
    bar = "".join(f'<i class="vm-{key}" style="width:{100 * share:.1f}%"></i>' for key, share in shares.items())
    times = "".join(f"<div><dt><i class='vm-{key}'></i>{escape(name)}</dt><dd>{values[key]}</dd></div>" for key, name in PHASES)
    return (
        f'<li class="vm-scale {state}"><h3>{wording.SIDE.format(side=side)} <span>{escape(count)}</span></h3>{pictures}'
        f'<p class="vm-total">{total}</p><div class="vm-bar" aria-hidden="true">{bar}</div><dl>{times}'
        f'<div class="vm-entropy"><dt>{escape(wording.ENTROPY)}</dt><dd>{entropy}</dd></div></dl></li>'
    )


def _drawn_scale(run: Run, k: int, slowest: float) -> str:
    entry, pyramid = run.drawn[k], run.config.pyramid
    step = entry.step
    seconds = {key: getattr(step, f"seconds_{key}") for key, _ in PHASES}
    ids = step.token_ids[0].tolist()
    codes = " ".join(map(str, ids[:ALT_TOKENS]))
    if len(ids) > ALT_TOKENS:
        codes = wording.MAP_ALT_MORE.format(codes=codes, more=len(ids) - ALT_TOKENS)
    image_alt = wording.IMAGE_ALT.format(
        subject=run.subject, scale=k + 1, scales=pyramid.num_scales, tokens=pyramid.slices[k].stop, all=pyramid.tokens
    )
    pictures = _picture("vm-map", entry.token_map, wording.MAP_ALT.format(side=step.side, codes=codes))
    pictures += _picture("vm-image", entry.thumbnail, image_alt)
    return _scale(
        step.side,
        "vm-drawn",
        pictures,
        wording.MILLISECONDS.format(value=_milliseconds(step.seconds)),
        {key: value / slowest if slowest else 0 for key, value in seconds.items()},
        {key: _milliseconds(value) for key, value in seconds.items()},
        f"{step.entropy[0].mean():.2f}",
    )


def _empty_scale(side: int, k: int) -> str:
    pictures = _empty_picture("vm-map", side, wording.EMPTY_MAP_ALT.format(side=side))
    pictures += _empty_picture("vm-image", 1, wording.EMPTY_IMAGE_ALT.format(scale=k + 1))
    none = wording.NO_VALUE
    return _scale(side, "vm-waiting", pictures, none, {}, dict.fromkeys(dict(PHASES), none), none)


def _result(run: Run) -> str:
    pyramid, done = run.config.pyramid, len(run.drawn)
    picture, caption = _empty_picture("vm-final", 1, wording.RESULT_EMPTY_ALT), wording.RESULT_EMPTY
    after = tokens = time = wording.NO_VALUE
    if done:
        values = {"subject": run.subject, "seed": run.seed}
        alt = wording.RESULT_ALT.format(scale=done, scales=pyramid.num_scales, size=run.config.tokenizer.image_size, **values)
        picture, caption = _picture("vm-final", run.drawn[-1].image, alt), wording.RESULT_CAPTION.format(**values)
        after = wording.COUNT_OF.format(done=done, all=pyramid.num_scales)
        tokens = wording.COUNT_OF.format(done=pyramid.slices[done - 1].stop, all=pyramid.tokens)
        total = sum(d.step.seconds for d in run.drawn)
        unit, value = (wording.SECONDS, f"{total:.2f}") if total >= 1 else (wording.MILLISECONDS, _milliseconds(total))
        time = unit.format(value=value)
    device, dtype = (run.loaded.device, run.loaded.dtype) if run.loaded else (wording.NO_VALUE, wording.NO_VALUE)
    rows = (
        (wording.AFTER_SCALE, after),
        (wording.TOKEN_COUNT, tokens),
        (wording.TOTAL_TIME, time),
        (wording.DEVICE, device),
        (wording.DTYPE, dtype),
    )
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return (
        f'<section class="vm-card vm-result"><h2>{escape(wording.RESULT)}</h2>{picture}'
        f'<p class="vm-caption">{escape(caption)}</p><dl>{facts}</dl></section>'
    )


def _picture(kind: str, uri: str, alt: str) -> str:
    return f'<img class="vm-picture {kind}" src="{uri}" alt="{escape(alt)}">'


def _empty_picture(kind: str, side: int, alt: str) -> str:
    grid = "".join(f"M{i} 0V{side}M0 {i}H{side}" for i in range(1, side))
    return (
        f'<svg class="vm-picture vm-empty {kind}" viewBox="0 0 {side} {side}" role="img" aria-label="{escape(alt)}">'
        f'<path d="{grid}"/></svg>'
    )


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
