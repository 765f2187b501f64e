"""Line charts of the page: Python says what is in them, the front end draws them (var_mini/ui/parts/Chart.js)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

from . import scripts

# for gr.HTML's js_on_load, beside fold.KEEP: draws every chart of the component, again when its value is another
DRAW = scripts.MODULE + ".then((host) => host.charts(element));"


@dataclass(frozen=True)
class Series:
    """One curve. Values that are not finite, or not positive on a logarithmic axis, leave a gap; the table has them all."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int | None = None  # which colour and shape, by default the place in the list
    dashed: bool = False
    markers: bool = True
    ringed: bool = False  # no line, a ring around every marker: single measurements over the curve of the same style


@dataclass(frozen=True)
class Mark:
    """A vertical line with a short text: a place on the x axis worth naming."""

    x: float
    label: str = ""
    strong: bool = False  # the present setting, as against a landmark of the axis


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    marks: Sequence[Mark] = (),
    *,
    title: str = "",
    description: str = "",
    table: str = "",
    height: int | None = None,
) -> str:
    """The place of a chart, with all that it shows as JSON. `title` and `description` are read out in place of the picture, and
    every value stands in a table folded under the words `table`. Raises ValueError where no point can be drawn.
    """
    if not any(_drawable(point, log_x, log_y) for one in series for point in one.points):
        raise ValueError("series: must hold at least one finite point (positive on a logarithmic axis)")
    shown = {
        "series": [_dense(asdict(one) | {"points": [[_finite(x), _finite(y)] for x, y in one.points]}) for one in series],
        "x": {"label": x_label, "log": log_x},
        "y": {"label": y_label, "log": log_y},
        "marks": [_dense(asdict(mark)) for mark in marks],
        "title": title,
        "note": description,
        "table": table,
        "height": height,
    }
    return f'<div class="vu" data-chart="{escape(json.dumps(_dense(shown), allow_nan=False))}"></div>'


def _drawable(point: tuple[float, float], log_x: bool, log_y: bool) -> bool:
    return all(math.isfinite(value) for value in point) and (point[0] > 0 or not log_x) and (point[1] > 0 or not log_y)


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if math.isfinite(value) else None


def _dense(values: dict) -> dict:
    return {name: value for name, value in values.items() if value is not None and value != ""}
