"""What a low-rank back end changes: the exact picture from the same seed, the difference, and measured numbers.

Times come from runs of their own after both paths are warm, in turns, so that a slow moment of the machine hits both; nothing
is captured while they run. Errors come from one more pass over the exact run's own tokens.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

import numpy as np
import torch
from PIL import Image

from var_mini.attention import AttentionSpec
from var_mini.fidelity import collect_qkv, output_errors
from var_mini.generation import Sampling, ScaleStep
from var_mini.view.images import enlarge, to_uint8

from . import wording
from .models import Loaded
from .stage import data_uri, duration

ROUNDS = 7  # measured runs of each back end, on models that are quick
ALIKE = 0.05  # times closer than this share count as equal
SHOWN = 392  # pixels of a picture on the page: 14 for each pixel of 28
EXTENTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # ends of the colour scale; few, so that pictures of like runs share one
# darker, equal, brighter: ColorBrewer's PuOr with a blue end, told apart also by readers who confuse red and green
DIVERGING = np.array([[5, 48, 97], [67, 147, 195], [247, 247, 247], [241, 163, 64], [127, 59, 8]], float)


@dataclass
class Comparison:
    """What is known so far about one low-rank run and the exact run from the same seed."""

    loaded: Loaded
    spec: AttentionSpec
    label: int
    seed: int
    sampling: Sampling
    low: list[ScaleStep]
    reason: str  # why `auto` chose this back end, or nothing
    exact: list[ScaleStep] = field(default_factory=list)
    times: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {"low": [], "exact": []})  # attention, total
    errors: torch.Tensor | None = None  # (layers, heads, scales)

    def steps(self, attention: AttentionSpec | str, **options) -> Iterator[ScaleStep]:
        return self.loaded.model.generate(self.label, self.seed, self.sampling, attention=attention, **options)

    def seconds(self, which: str) -> tuple[float, float]:
        """Medians of attention and of the whole run."""
        attention, total = zip(*self.times[which], strict=True)
        return statistics.median(attention), statistics.median(total)

    def pictures(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Exact and low-rank, enlarged without smoothing; None before both are drawn."""
        if not self.complete:
            return None
        return tuple(_enlarged(to_uint8(steps[-1].image[0])) for steps in (self.exact, self.low))

    @property
    def complete(self) -> bool:
        return len(self.exact) == len(self.low)


def compare(run: Comparison) -> Iterator[str]:
    """Draws the exact picture and measures; yields the comparison as HTML after every step of it."""
    yield html(run, wording.COMPARE_NEXT)
    for step in run.steps("exact"):
        run.exact.append(step)
        yield html(run, wording.COMPARE_EXACT.format(done=step.index + 1, scales=len(run.low)))
    if run.loaded.quick:
        for done in range(ROUNDS):
            for which, attention in (("exact", "exact"), ("low", run.spec)):
                run.times[which].append(_times(run.steps(attention, details=False)))
            if done + 1 < ROUNDS:
                yield html(run, wording.COMPARE_TIMING.format(done=done + 1, rounds=ROUNDS))
    else:
        run.times = {"exact": [_times(run.exact)], "low": [_times(run.low)]}
    ids = torch.cat([step.token_ids for step in run.exact], 1)
    qkv = collect_qkv(run.loaded.model, ids, torch.tensor([run.label]))
    run.errors = torch.tensor(output_errors(run.loaded.model, qkv, run.spec)[0])
    yield html(run, verdict(run))


def verdict(run: Comparison) -> str:
    """Which of the two was faster in this run, and by how much, in one sentence or two."""
    (attention, exact), (_, low) = run.seconds("exact"), run.seconds("low")
    tokens = run.loaded.model.config.pyramid.tokens
    text = wording.ALIKE if abs(low / exact - 1) <= ALIKE else wording.SLOWER if low > exact else wording.FASTER
    values = {"name": run.spec, "low": duration(low), "exact": duration(exact), "tokens": tokens}
    said = text.format(ratio=max(low, exact) / min(low, exact), limit=ALIKE, **values)
    return said if text is wording.FASTER else f"{said} {wording.LITTLE_TO_SAVE.format(share=attention / exact, tokens=tokens)}"


def _times(steps) -> tuple[float, float]:
    pairs = [(step.seconds_attention, step.seconds) for step in steps]
    return sum(a for a, _ in pairs), sum(t for _, t in pairs)


# -- pictures --------------------------------------------------------------------------------------------------------


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    return enlarge(pixels, len(pixels) * max(1, SHOWN // len(pixels)))


def difference(run: Comparison) -> tuple[np.ndarray, float, float]:
    """Low-rank minus exact as colours, uint8 (S, S, 3), the end of the colour scale, and the largest difference.

    Of a colour image, every pixel shows the channel that differs most.
    """
    signed = (run.low[-1].image[0] - run.exact[-1].image[0]).clamp(-1, 1)  # (channels, S, S)
    signed = signed.gather(0, signed.abs().argmax(0, keepdim=True))[0].numpy()
    largest = float(np.abs(signed).max())
    extent = next(e for e in EXTENTS if e >= min(largest, 1.0))
    return _coloured(signed / extent), extent, largest


def _coloured(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] -> uint8 colours, with one more axis."""
    places = np.linspace(-1, 1, len(DIVERGING))
    return np.stack([np.interp(values, places, channel) for channel in DIVERGING.T], -1).round().astype(np.uint8)


# -- HTML ------------------------------------------------------------------------------------------------------------


def html(run: Comparison, note: str) -> str:
    reason = (
        f'<p class="vm-reason">{escape(wording.AUTO_CHOSE.format(name=run.spec, reason=run.reason))}</p>' if run.reason else ""
    )
    return _frame(note, reason, _difference(run), _table(run), _agreement(run))


def empty(note: str, name: str = "") -> str:
    """The comparison before a run, with the size of a full one."""
    return _frame(note, "", _no_difference(), _rows(name or wording.LOW_RANK, {}), "")


def alone(note: str) -> str:
    """One sentence where there is nothing to compare."""
    return f'<div class="vm-compare vm-alone"><p class="vm-note" role="status">{escape(note)}</p></div>'


def _frame(note: str, reason: str, picture: str, table: str, agreement: str) -> str:
    return (
        f'<div class="vm-compare"><div class="vm-head"><h2>{escape(wording.COMPARE_TITLE)}</h2>'
        f'<p class="vm-note" role="status">{escape(note)}</p>{reason}</div>{picture}'
        f'<div class="vm-numbers">{table}{agreement}</div></div>'
    )


def _difference(run: Comparison) -> str:
    if not run.complete:
        return _no_difference()
    colours, extent, largest = difference(run)
    uri = data_uri(Image.fromarray(colours))
    alt = wording.DIFFERENCE_ALT.format(name=run.spec, largest=largest)
    caption = wording.NO_DIFFERENCE if largest == 0 else wording.DIFFERENCE_LARGEST.format(largest=largest)
    return _figure(f'<img class="vm-picture" src="{uri}" alt="{escape(alt)}">', str(run.spec), f"{extent:g}", caption)


def _no_difference() -> str:
    picture = f'<div class="vm-picture vm-empty" role="img" aria-label="{escape(wording.DIFFERENCE_EMPTY_ALT)}"></div>'
    return _figure(picture, wording.LOW_RANK, wording.NO_VALUE, wording.DIFFERENCE_LARGEST_NONE)


def _figure(picture: str, name: str, extent: str, caption: str) -> str:
    stops = ",".join(f"rgb({','.join(str(int(c)) for c in colour)})" for colour in DIVERGING)
    low, high = (wording.NO_VALUE, wording.NO_VALUE) if extent == wording.NO_VALUE else (f"−{extent}", f"+{extent}")  # noqa: RUF001
    legend = "".join(f"<span>{escape(text)}</span>" for text in (f"{low} {wording.DARKER}", "0", f"{high} {wording.BRIGHTER}"))
    return (
        f"<figure><h3>{escape(wording.DIFFERENCE.format(name=name))}</h3>{picture}"
        f'<div class="vm-scale-bar" style="background:linear-gradient(to right,{stops})" aria-hidden="true"></div>'
        f'<p class="vm-legend">{legend}</p><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _table(run: Comparison) -> str:
    """What is known so far; the rest stays a dash, so that the table keeps its size."""
    last, known = run.low[-1], {}
    if run.complete:
        exact, agree = run.exact[-1], _agreeing(run)
        t = run.loaded.model.config.transformer
        images = 2 if run.sampling.guidance > 0 else 1
        outputs = images * t.heads * t.depth * len(run.low)
        same = sum(int(a.sum()) for a in agree)
        tokens = sum(len(a) for a in agree)
        known |= {
            "rank": (wording.KEYS.format(count=exact.rank), _rank(run.spec, last.rank)),
            "state": (_bytes(exact.state_bytes), _bytes(last.state_bytes)),
            "reserve": (_bytes(exact.reserve_bytes), _bytes(last.reserve_bytes)),
            "agree": ("", wording.AGREE.format(same=same, tokens=tokens, share=same / tokens)),
            "fallbacks": ("", wording.COUNT_OF.format(done=last.fallbacks, all=outputs)),
            "denominator": ("", wording.NO_VALUE if last.smallest_denominator is None else f"{last.smallest_denominator:.3g}"),
        }
    if run.errors is not None:
        (exact_attention, exact_total), (attention, total) = run.seconds("exact"), run.seconds("low")
        known |= {
            "attention": (duration(exact_attention), duration(attention)),
            "total": (duration(exact_total), duration(total)),
            "error": ("", wording.ERROR.format(median=run.errors.median().item(), largest=run.errors.max().item())),
        }
    return _rows(str(run.spec), known, len(run.times["exact"]) if run.errors is not None else 0)


def _rows(name: str, known: dict[str, tuple[str, str]], runs: int = 0) -> str:
    rows = []
    for key, (title, info) in wording.COMPARE_ROWS.items():
        exact, low = known.get(key, (wording.NO_VALUE, wording.NO_VALUE))
        only = key in wording.ONLY_LOW  # exact attention is the yardstick and has no such number
        cells = f'<td colspan="2">{escape(low)}</td>' if only else f"<td>{escape(exact)}</td><td>{escape(low)}</td>"
        rows.append(f'<tr data-row="{key}"><th scope="row">{escape(title)}<span>{escape(info)}</span></th>{cells}</tr>')
    caption = wording.TABLE_CAPTION if runs == 0 else wording.TABLE_CAPTION_ONE if runs == 1 else wording.TABLE_CAPTION_MEDIAN
    return (
        f"<table><caption>{escape(caption.format(runs=runs or ROUNDS))}</caption><thead><tr><td></td>"
        f'<th scope="col">{escape(wording.EXACT)}</th><th scope="col">{escape(name)}</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _agreement(run: Comparison) -> str:
    return ""


def _agreeing(run: Comparison) -> list[torch.Tensor]:
    """Per scale, whether each token is the same, bool (n,)."""
    return [a.token_ids[0] == b.token_ids[0] for a, b in zip(run.exact, run.low, strict=True)]


def _rank(spec: AttentionSpec, rank: int) -> str:
    return (wording.KEYS if spec.method == "pool" else wording.FEATURES).format(count=rank)


def _bytes(count: int) -> str:
    return wording.KILOBYTES.format(value=count / 1000) if count else wording.NO_BYTES
