"""Figures of a model that is asked for a thing in a style: drawn pictures beside the real ones of the same pair."""

from __future__ import annotations

import textwrap

import torch
from matplotlib.figure import Figure

from ..data import ImageData
from ..model import Model
from .figures import show


def real_pictures(data: ImageData) -> dict[tuple[int, int], torch.Tensor]:
    """All pictures of a data set with styles, training and test, by their pair of class and style."""
    both = ((data.train_conditions, data.train_images), (data.test_conditions, data.test_images))
    return {tuple(pair): image for conditions, images in both for pair, image in zip(conditions.tolist(), images)}


def styles_grid(model: Model, data: ImageData, labels: list[int], seed: int = 0) -> Figure:
    """One row per thing, two columns per style: the real picture (a dash where there is none), and the drawn one.

    A pair that is framed was held out: the model never saw it.
    """
    styles, real = range(len(data.style_names)), real_pictures(data)
    held = {tuple(pair) for pair in data.test_conditions.tolist()}
    pairs = [(label, style) for label in labels for style in styles]
    drawn = model.sample_images([p[0] for p in pairs], [seed] * len(pairs), style=[p[1] for p in pairs])
    figure = Figure(figsize=(1.22 * len(styles) + 0.9, 0.66 * len(labels) + 0.4), dpi=110, layout="constrained")
    axes = figure.subplots(len(labels), 2 * len(styles), squeeze=False)
    for i, (pair, image) in enumerate(zip(pairs, drawn)):
        row, column = divmod(i, len(styles))
        left, right = axes[row, 2 * column], axes[row, 2 * column + 1]
        if pair in real:
            show(left, real[pair].float() / 255)
        else:
            left.axis("off")
            left.text(0.5, 0.5, "–", ha="center", va="center", transform=left.transAxes, color="0.6")  # noqa: RUF001
        show(right, image)
        if pair in held:
            right.spines[:].set_visible(True)
            right.spines[:].set_color("tab:red")
    for column, name in enumerate(data.style_names):
        axes[0, 2 * column].set_title(textwrap.fill(name, 11), fontsize=6, loc="left")
    for row, label in enumerate(labels):
        axes[row, 0].set_ylabel(textwrap.fill(data.class_names[label], 14), rotation=0, ha="right", va="center", fontsize=7)
    return figure


def held_out_grid(model: Model, data: ImageData, count: int = 24, columns: int = 12, seed: int = 0) -> Figure:
    """Held-out pairs, chosen by the seed: the real picture above, which the model never saw, the drawn one below."""
    chosen = torch.randperm(len(data.test_images), generator=torch.Generator().manual_seed(seed))[:count]
    things, styles = data.test_conditions[chosen].unbind(1)
    drawn = model.sample_images(things.tolist(), [seed] * count, style=styles.tolist())
    rows = -(-count // columns)
    figure = Figure(figsize=(0.85 * columns + 0.5, 2.05 * rows), dpi=110, layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, (index, image) in enumerate(zip(chosen.tolist(), drawn)):
        row, column = divmod(i, columns)
        for place, picture in enumerate((data.test_images[index].float() / 255, image)):
            axes[2 * row + place, column].axis("on")
            show(axes[2 * row + place, column], picture)
        title = f"{data.class_names[things[i]]}\n{data.style_names[styles[i]]}"
        axes[2 * row, column].set_title("\n".join(textwrap.fill(line, 16) for line in title.splitlines()), fontsize=5.5)
    for row in range(rows):
        axes[2 * row, 0].set_ylabel("real", fontsize=7)
        axes[2 * row + 1, 0].set_ylabel("drawn", fontsize=7)
    return figure
