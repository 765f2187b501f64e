"""Line charts as SVG: what is drawn where, read back from the markup."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from var_mini.view.svg import COLOURS, LEFT, RIGHT, WIDTH, Mark, Series, line_chart, number


def parse(html: str) -> ElementTree.Element:
    """The figure as XML: fails where a tag is left open or a text is not escaped."""
    return ElementTree.fromstring(html)


def places(chart: str, name: str) -> list[tuple[float, float]]:
    """Where the line of the only series goes, in units of the view box."""
    line = next(p for p in parse(chart).iter("path") if "stroke-width:2" in p.get("style", "") and p.get("d", "").count("L"))
    return [(float(a), float(b)) for a, b in re.findall(r"[ML]([\d.]+) ([\d.]+)", line.get("d"))]


def chart(points, **options) -> str:
    return line_chart([Series("error", points)], "bound", "size", **options)


def test_logarithmic_axes_make_a_power_law_straight():
    points = places(chart([(x, 3 * x**4) for x in (1, 2, 8, 16)], log_x=True, log_y=True), "error")
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(points)]
    assert slopes == pytest.approx([slopes[0]] * 3, abs=0.01) and slopes[0] < 0  # up is a smaller y


def test_linear_axes_keep_proportions_and_stay_inside():
    points = places(chart([(0, 0), (1, 10), (4, 40)]), "error")
    assert (points[2][0] - points[0][0]) / (points[1][0] - points[0][0]) == pytest.approx(4, abs=0.01)
    assert all(LEFT <= x <= WIDTH - RIGHT for x, _ in points)


def test_values_that_have_no_place_leave_a_gap_and_stand_in_the_table():
    values = [(1, 1.0), (2, -5.0), (3, 2.0), (4, math.nan), (5, math.inf), (6, 4.0), (7, 5.0)]
    html = chart(values, log_y=True, table="values")
    line = next(p for p in parse(html).iter("path") if "stroke-width:2" in p.get("style", ""))
    assert (line.get("d").count("M"), line.get("d").count("L")) == (3, 1)
    assert [td.text for td in parse(html).iter("td")] == ["1", "-5", "2", "\u2013", "\u221e", "4", "5"]


def test_every_style_has_a_colour_and_a_shape_of_its_own():
    series = [Series(f"s{i}", [(1, 1)]) for i in range(len(COLOURS))]  # all at one place: only the shape is left to differ
    root = parse(line_chart(series, "x", "y"))
    markers = [group.find("path") for group in root.iter("g") if group.find("title") is not None]
    assert len({path.get("d") for path in markers}) == len(COLOURS)
    assert len({re.search(r"stroke:([^;]+)", path.get("style")).group(1) for path in markers}) == len(COLOURS)
    assert ["".join(li.itertext()) for li in root.iter("li")] == [s.name for s in series]


def test_texts_are_escaped_and_read_out():
    evil = '<img src=x onerror="x">&'
    html = line_chart(
        [Series(evil, [(0, 1), (1, 2)]), Series("b", [(0, 2)])],
        evil,
        evil,
        marks=[Mark(0.5, evil)],
        title=evil,
        description=evil,
        table=evil,
    )
    root = parse(html)
    svg = next(e for e in root.iter("svg") if e.get("role") == "img")
    assert "<img" not in html and svg.get("aria-label") == f"{evil} {evil}"
    assert svg.findtext("title") == evil and svg.findtext("desc") == evil


def test_a_mark_stands_at_its_value():
    html = chart([(1, 1), (100, 2)], log_x=True, marks=[Mark(10, "ten", strong=True)])
    (a, _), (b, _) = places(html, "error")
    text = next(t for t in parse(html).iter("text") if t.text == "ten")
    assert float(text.get("x")) - 4 == pytest.approx((a + b) / 2, abs=0.02)


def test_the_name_of_the_last_mark_stands_highest():
    """It ends at its own line, to the left of which are those of the others: they begin below it."""
    html = chart([(8, 1), (96, 2)], log_x=True, marks=[Mark(16, "first"), Mark(32, "second"), Mark(64, "third")])
    heights = [
        float(next(t for t in parse(html).iter("text") if t.text == name).get("y")) for name in ("first", "second", "third")
    ]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 3


@pytest.mark.parametrize("points", [[], [(1, math.nan)], [(1, -1.0)]])
def test_nothing_to_draw_is_an_error(points):
    with pytest.raises(ValueError, match="at least one finite point"):
        chart(points, log_y=True)


def test_one_point_and_equal_values_can_be_drawn():
    for log in (False, True):
        assert "NaN" not in chart([(3, 5)], log_x=log, log_y=log) and chart([(1, 7), (2, 7)], log_y=log)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123456, "0.00123"), (1e-7, "1e-7"), (2240, "2,240"), (9451, "9,451"), (12.345, "12.3"), (1.5, "1.5"),
     (100, "100"), (3e12, "3e12"), (2.5e-6, "2.5e-6"), (-0.25, "-0.25"), (0.0001, "0.0001")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text
