"""Line charts as plain SVG text: for the page, without a plotting library and without a script.

A chart follows the host's theme (text, lines and grid take its CSS variables, with fallbacks), tells its series apart by
the shape of their markers as well as by colour (Okabe and Ito's), and carries all its values as a table below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# Okabe and Ito's colours without yellow, which is too pale on white; a host may set --vg-0 ... --vg-6 for its dark mode
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "currentColor")
WIDTH, HEIGHT = 460, 300  # of the view box; the picture itself takes the width of its place
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 16, 46  # margins around the plotted area
ROW = 13  # height of a line of text
MOST_DECADES = 7  # labelled ticks on a logarithmic axis
HALO = "paint-order:stroke;stroke:var(--vg-back, Canvas);stroke-width:3px"  # a text that crosses a line hides it


@dataclass(frozen=True)
class Series:
    """One curve. Values that are not finite, or not positive on a logarithmic axis, leave a gap; the table has them all."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int | None = None  # which colour and marker, by default the place in the list
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
    width: int = WIDTH,
    height: int = HEIGHT,
) -> str:
    """An HTML figure: title, legend, the SVG, and, folded under the words `table`, every value.

    `title` and `description` are also read out in place of the picture. Raises ValueError where no point can be drawn.
    """
    drawn = [[_drawable(p, log_x, log_y) for p in s.points] for s in series]
    points = [p for line in drawn for p in line if p]
    if not points:
        raise ValueError("series: must hold at least one finite point (positive on a logarithmic axis)")
    shown = [m for m in marks if math.isfinite(m.x) and (m.x > 0 or not log_x)]
    x = _Axis([p[0] for p in points] + [m.x for m in shown], log_x, LEFT, width - RIGHT)
    y = _Axis([p[1] for p in points], log_y, height - BOTTOM, TOP + ROW * min(len(shown), 3))
    parts = [_grid(x, y, width, height), _labels(x_label, y_label, x, y, height)]
    parts += [_mark(m, len(shown) - 1 - i, x, y) for i, m in enumerate(shown)]
    parts += [_curve(s, line, _style(s, i), x, y) for i, (s, line) in enumerate(zip(series, drawn))]
    svg = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(" ".join(filter(None, [title, description])))}" '
        f'style="display:block;width:100%;height:auto;overflow:visible" font-size="11" fill="currentColor">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )
    heading = f'<figcaption class="vg-title">{escape(title)}</figcaption>' if title else ""
    return f'<figure class="vg">{heading}{_legend(series)}{svg}{_table(series, x_label, table) if table else ""}</figure>'


def number(value: float) -> str:
    """A value for people: three digits that count, without an exponent from 0.0001 up to a billion."""
    if not math.isfinite(value):
        return "\u221e" if value > 0 else "-\u221e" if value < 0 else "\u2013"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        text = f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
        return text.replace(".0e", "e")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# -- geometry --------------------------------------------------------------------------------------------------------


def _drawable(point: tuple[float, float], log_x: bool, log_y: bool) -> tuple[float, float] | None:
    fits = all(math.isfinite(v) for v in point) and (point[0] > 0 or not log_x) and (point[1] > 0 or not log_y)
    return (float(point[0]), float(point[1])) if fits else None


class _Axis:
    """From values to places between `start` and `end` of the view box, with round ticks."""

    def __init__(self, values: list[float], log: bool, start: float, end: float):
        self.log, self.start, self.end = log, start, end
        low, high = min(values), max(values)
        if log:
            low, high = (low / 1.5, high * 1.5) if low == high else (low, high)
            self.ticks = _log_ticks(low, high)
        else:
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
            self.ticks = _linear_ticks(low, high)
        margin = 0.03 * (self._place(high) - self._place(low))
        self.low, self.high = self._place(low) - margin, self._place(high) + margin

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        share = (self._place(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    skip = -(-(last - first) // MOST_DECADES)
    factors = (1,) if last - first > 3 else (1, 3) if last - first > 2 else (1, 2, 5)
    ticks = [f * 10.0**e for e in range(first, last + 1, max(skip, 1)) for f in factors]
    return [t for t in ticks if low * 0.999 <= t <= high * 1.001] or [low, high]


# -- parts -----------------------------------------------------------------------------------------------------------

SOFT = "var(--body-text-color-subdued, var(--jp-ui-font-color2, #5b6472))"
LINE = "var(--border-color-primary, var(--jp-border-color2, #d1d5db))"


def _grid(x: _Axis, y: _Axis, width: int, height: int) -> str:
    lines = [f'<path d="M{LEFT} {y(t)}H{width - RIGHT}"/>' for t in y.ticks]
    frame = f'<path d="M{LEFT} {y.end}V{height - BOTTOM}H{width - RIGHT}"/>'
    ticks = [f'<path d="M{x(t)} {height - BOTTOM}v4"/>' for t in x.ticks]
    names = [f'<text x="{LEFT - 6}" y="{y(t) + 4}" text-anchor="end">{number(t)}</text>' for t in y.ticks]
    names += [f'<text x="{x(t)}" y="{height - BOTTOM + 16}" text-anchor="middle">{number(t)}</text>' for t in x.ticks]
    return (
        f'<g stroke="{LINE}" fill="none" style="stroke:{LINE}">{"".join([*lines, frame, *ticks])}</g>'
        f'<g style="fill:{SOFT}">{"".join(names)}</g>'
    )


def _labels(x_label: str, y_label: str, x: _Axis, y: _Axis, height: int) -> str:
    middle = (y.start + y.end) / 2
    return (
        f'<text x="{(x.start + x.end) / 2}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )


def _mark(mark: Mark, row: int, x: _Axis, y: _Axis) -> str:
    at, right = x(mark.x), x(mark.x) > x.start + 0.7 * (x.end - x.start)
    style = "stroke:currentColor;stroke-width:1.5" if mark.strong else f"stroke:{SOFT};stroke-dasharray:2 3"
    # neighbouring texts on different lines, the last one highest: a text that ends at its line crosses no other line there
    top = TOP - 4 + ROW * (row % 3)
    text = f'<text x="{at - 4 if right else at + 4}" y="{top + 8}" text-anchor="{"end" if right else "start"}" style="{HALO}">'
    return f'<path d="M{at} {top}V{y.start}" style="fill:none;{style}"/>{text}{escape(mark.label)}</text>'


def _style(series: Series, index: int) -> int:
    return (index if series.style is None else series.style) % len(COLOURS)


def _colour(style: int) -> str:
    return f"var(--vg-{style}, {COLOURS[style]})"


def _curve(series: Series, line: list, style: int, x: _Axis, y: _Axis) -> str:
    steps, down = [], False
    for point in line:
        if point:
            steps.append(f"{'L' if down else 'M'}{x(point[0])} {y(point[1])}")
        down = point is not None
    dash = ";stroke-dasharray:6 4" if series.dashed else ""
    path = f'<path d="{"".join(steps)}" style="fill:none;stroke:{_colour(style)};stroke-width:2{dash}"/>'
    if series.ringed:
        path = "".join(_ring(style, x(p[0]), y(p[1])) for p in line if p)
    if not series.markers:
        return path
    dots = [
        f"<g><title>{escape(series.name)}: {number(p[0])}, {number(p[1])}</title>{_marker(style, x(p[0]), y(p[1]))}</g>"
        for p in line
        if p
    ]
    return path + "".join(dots)


def _marker(style: int, x: float, y: float) -> str:
    """A shape of its own for every style, so that colour is never needed."""
    r = 4
    shapes = (
        f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",  # disc
        f"M{x - r} {y - r}h{2 * r}v{2 * r}h{-2 * r}z",  # square
        f"M{x} {y - r - 1}L{x + r + 1} {y + r}H{x - r - 1}z",  # triangle
        f"M{x} {y - r - 1.5}L{x + r + 1.5} {y}L{x} {y + r + 1.5}L{x - r - 1.5} {y}z",  # diamond
        f"M{x} {y + r + 1}L{x + r + 1} {y - r}H{x - r - 1}z",  # triangle upside down
        f"M{x - r} {y - r}L{x + r} {y + r}M{x - r} {y + r}L{x + r} {y - r}",  # cross
        f"M{x - r} {y}H{x + r}M{x} {y - r}V{y + r}",  # plus
    )
    colour = _colour(style)
    open_shape = style >= 5
    return f'<path d="{shapes[style]}" style="fill:{"none" if open_shape else colour};stroke:{colour};stroke-width:1.5"/>'


def _ring(style: int, x: float, y: float) -> str:
    return f'<circle class="vg-ring" cx="{x}" cy="{y}" r="8" style="fill:none;stroke:{_colour(style)};stroke-width:2"/>'


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    items = []
    for i, s in enumerate(series):
        if s.ringed:
            continue  # belongs to the curve of its style
        style = _style(s, i)
        dash = ";stroke-dasharray:6 4" if s.dashed else ""
        line = f'<path d="M1 8H27" style="stroke:{_colour(style)};stroke-width:2{dash}"/>'
        swatch = f'<svg width="28" height="16" aria-hidden="true">{line}{_marker(style, 14, 8) if s.markers else ""}</svg>'
        items.append(f'<li style="display:inline-flex;gap:6px;align-items:center">{swatch}{escape(s.name)}</li>')
    return (
        f'<ul class="vg-legend" style="display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;padding:0">{"".join(items)}</ul>'
    )


def _table(series: Sequence[Series], x_label: str, summary: str) -> str:
    places = sorted({p[0] for s in series for p in s.points})
    columns = [dict(s.points) for s in series]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in [x_label, *(s.name for s in series)])
    rows = "".join(
        f'<tr><th scope="row">{number(x)}</th>'
        + "".join(f"<td>{number(column[x]) if x in column else ''}</td>" for column in columns)
        + "</tr>"
        for x in places
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    scrolled = f'<div style="overflow-x:auto" tabindex="0" role="group" aria-label="{escape(summary)}">{table}</div>'
    return f'<details class="vg-values"><summary>{escape(summary)}</summary>{scrolled}</details>'
