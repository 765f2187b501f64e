"""What Python says of a chart is plain JSON inside of an attribute, whatever the names and values are."""

import math

import pytest

from demo.charts import Mark, Series, line_chart
from tests.demo.visits import charts_of


def test_all_values_and_names_reach_the_page_as_they_are():
    evil = '<img src=x onerror="x">&'
    html = line_chart(
        [Series(evil, [(0.5, 1), (1, math.nan), (2, math.inf), (3, -2.0)], 4, dashed=True), Series("b", [(1, 2)], ringed=True)],
        "x axis",
        evil,
        log_x=True,
        marks=[Mark(0.5, evil, strong=True)],
        title="t",
        table="values",
    )
    assert "<img" not in html
    (chart,) = charts_of(html)
    first, second = chart["series"]
    assert first["points"] == [[0.5, 1], [1, None], [2, None], [3, -2]] and first["name"] == evil
    assert (first["style"], first["dashed"], second["ringed"]) == (4, True, True) and "style" not in second
    assert chart["marks"] == [{"x": 0.5, "label": evil, "strong": True}]
    assert (chart["x"], chart["y"], chart["table"]) == ({"label": "x axis", "log": True}, {"label": evil, "log": False}, "values")
    assert "height" not in chart and "note" not in chart


@pytest.mark.parametrize("points", [[], [(1, math.nan)], [(1, -1.0)], [(1, 0.0)]])
def test_nothing_to_draw_is_an_error(points):
    with pytest.raises(ValueError, match="at least one finite point"):
        line_chart([Series("error", points)], "x", "y", log_y=True)
