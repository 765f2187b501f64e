"""`bench ladder` on small models: its rows, and the states' closed forms."""

import pytest

from var_mini.cost.trained import BACKENDS, bench_ladder
from var_mini.view.figures import ladder

from . import schemas


def test_every_model_and_back_end_has_a_row(calibrated_folder):
    result = bench_ladder((str(calibrated_folder),), repeats=2)
    schemas.check("ladder", result)
    assert [row["attention"] for row in result["rows"]] == list(BACKENDS)
    exact, poly, landmark = result["rows"]
    states = 2 * 2  # layers and heads
    assert exact["state_bytes"] == states * 14 * 2 * 8 * 4 and exact["tokens"] == 14
    assert poly["state_bytes"] == states * 45 * 9 * 4 and landmark["rank"] == 32
    assert all(0 < row["attention_share"] < 1 for row in result["rows"])
    with pytest.raises(ValueError, match="repeats = 1"):
        bench_ladder((str(calibrated_folder),), repeats=1)


def test_the_figure_has_a_column_per_model_and_seed(tiny):
    figure = ladder([tiny, tiny], 1, [0, 1], attentions=("exact", "poly-2"))
    assert len(figure.axes) == 2 * 4 and "12 px, 14 tokens" in figure.axes[0].get_title()
