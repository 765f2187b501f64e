"""Pictures of the lessons: every heat map tells its colours."""

import numpy as np
import torch

from var_mini.view.plates import plates


def bars(figure):
    return [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]


def test_matrices_share_one_scale_and_one_colour_bar():
    a, b = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), np.array([[-1.0, 5.0]])
    figure = plates([[a, b, torch.zeros(1, 4, 4)]], ["a", "b", "picture"], [""], bar="weight", axes=("key", "query"))
    (bar,) = bars(figure)
    assert bar.get_ylabel() == "weight" and bar.get_ylim() == (-1, 5)
    first, second, picture, _ = figure.axes
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-1, 5)
    assert (first.get_xlabel(), first.get_ylabel()) == ("key", "query")
    assert [label.get_text() for label in first.get_xticklabels()] == ["1", "2"]
    assert not len(picture.get_xticks()) and picture.get_xlabel() == ""


def test_limits_are_kept_and_many_columns_are_not_counted():
    figure = plates([[torch.rand(20, 20), None]], ["", ""], ["name"], limits=(0, 0.5), axes=("key", "query"))
    assert bars(figure)[0].get_ylim() == (0, 0.5)
    assert not len(figure.axes[0].get_xticks())


def test_pictures_alone_have_no_colour_bar():
    assert not bars(plates([[torch.rand(1, 4, 4), np.zeros((4, 4, 3), np.uint8)]], ["", ""], [""]))
