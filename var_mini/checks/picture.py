"""The picture under a check: what the student's function did, beside what was expected."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from numbers import Number

import numpy as np
import torch

from .exercise import Exercise
from .judging import Verdict
from .values import first_tensor, kind_of

DPI = 80


def show(exercise: Exercise, verdict: Verdict) -> None:
    """Displays the picture of a verdict in a notebook."""
    if verdict.records:
        display(lambda: draw(exercise, verdict), f"{exercise.name}: expected result and yours")


def display(draw: Callable[[], bytes], alt: str) -> None:
    """Displays the PNG that `draw()` makes in a notebook; elsewhere there is nowhere to show it, and it is not made."""
    if "IPython" not in sys.modules:
        return
    from IPython import display as ipython
    from IPython import get_ipython

    if get_ipython() is not None:
        ipython.display(ipython.Image(draw(), format="png", alt=alt))


def draw(exercise: Exercise, verdict: Verdict) -> bytes:
    """PNG of the case that failed, or of the last one where all are right."""
    from matplotlib.figure import Figure

    record = verdict.records[-1]
    if exercise.draw is not None:
        try:
            figure = Figure(figsize=(6.4, 2.2), dpi=DPI, layout="constrained")
            exercise.draw(figure, record.args, record.got, record.expected)
            return png(figure)
        except Exception:  # a wrong result can have any form; the plain picture takes every one
            pass
    figure = Figure(figsize=(6.4, 2.2), dpi=DPI, layout="constrained")
    expected = first_tensor(record.expected)
    if expected is not None:
        panels(figure, expected, first_tensor(record.got), record.got)
    else:
        _bars(figure, verdict)
    return png(figure)


def panels(figure, expected: torch.Tensor, got: torch.Tensor | None, value=None) -> None:
    """Expected, yours and the difference as three maps in one scale; a result of another shape is named instead of drawn."""
    axes = figure.subplots(1, 3)
    want = plane(expected)
    low, high = _limits(want)
    images = [("expected", want, "viridis", low, high)]
    if got is not None and got.shape == expected.shape and not got.is_meta:
        have = plane(got)
        apart = (have - want).abs().nan_to_num(nan=high - low, posinf=high - low)
        images += [("yours", have, "viridis", low, high), ("difference", apart, "cividis", 0, max(high - low, 1e-9))]
    for axis, (title, values, colours, least, most) in zip(axes, images):
        image = matrix(axis, values, title, least, most, colours, aspect="auto")
        figure.colorbar(image, ax=axis).ax.tick_params(labelsize=7)
    for axis in axes[len(images) :]:
        axis.set_axis_off()
    if len(images) == 1:
        axes[1].text(0, 0.5, f"yours: {kind_of(value)}", fontsize=9, wrap=True, va="center")


def matrix(axis, values, title: str, low: float, high: float, colours: str = "cividis", aspect: str = "equal"):
    """Rows and columns in colours that run from low to high, without ticks. Returns what a colour bar takes."""
    image = axis.imshow(np.asarray(values), cmap=colours, vmin=low, vmax=high, aspect=aspect, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    return image


def token_maps(figure, sides: tuple[int, ...], expected: list, got: list, most: int, colours: str = "cividis"):
    """One map per scale, from 0 to `most`, the expected ones above yours. Returns what a colour bar takes."""
    axes = figure.subplots(2, len(expected), squeeze=False)
    for row, name, values in zip(axes, ("expected", "yours"), (expected, got)):
        for axis, side, part in zip(row, sides, values):
            image = matrix(axis, part.reshape(side, side).float(), "", 0, most, colours)
        row[0].set_ylabel(name, fontsize=9)
    return image


def bars(axis, expected, got) -> None:
    """Two bars at each place, what was expected and yours."""
    for shift, name, colour, values in ((-0.2, "expected", "#0072b2", expected), (0.2, "yours", "#e69f00", got)):
        axis.bar([i + shift for i in range(len(values))], [float(v) for v in values], 0.4, label=name, color=colour)
    axis.legend(fontsize=8)


def plane(values: torch.Tensor) -> torch.Tensor:
    """A tensor of any shape as float64 rows and columns: the first image and channel of more, one row of less."""
    values = values.detach().to(torch.float64).cpu()
    while values.ndim > 2:
        values = values[0]
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)


def _limits(values: torch.Tensor) -> tuple[float, float]:
    finite = values[values.isfinite()]
    return (finite.min().item(), finite.max().item()) if finite.numel() else (0.0, 1.0)


def _bars(figure, verdict: Verdict) -> None:
    axis = figure.subplots()
    bars(axis, [_size(r.expected) for r in verdict.records], [_size(r.got) for r in verdict.records])
    axis.set_xticks(range(len(verdict.records)), [f"input {i + 1}" for i in range(len(verdict.records))])


def _size(value) -> float:
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    value = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    return float(value) if isinstance(value, Number) and not isinstance(value, complex) else 0.0


def png(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
