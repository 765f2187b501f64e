"""Figures of the README, made with matplotlib from real runs and from the numbers that commands print."""

from __future__ import annotations

import textwrap

import matplotlib
from matplotlib.figure import Figure

from ..analysis.neighbours import Neighbours
from ..generation.trace import Trace
from .images import code_colours, to_uint8, token_map

matplotlib.rcParams["svg.hashsalt"] = "var-mini"  # the same figure gives the same file


def drawing(traces: list[Trace], names: list[str], codebook) -> Figure:
    """One band per trace: the token map of every scale above, the image decoded so far below."""
    colours = code_colours(codebook)
    steps = len(traces[0].steps)
    figure = Figure(figsize=(1.45 * steps + 0.9, 2.95 * len(traces) + 0.35), dpi=110, layout="constrained")
    axes = figure.subplots(2 * len(traces), steps, squeeze=False)
    for row, (trace, name) in enumerate(zip(traces, names, strict=True)):
        for column, step in enumerate(trace.steps):
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.imshow(token_map(step.token_ids[0], colours), interpolation="nearest")
            below.imshow(to_uint8(step.recorded("image")[0]), interpolation="nearest")
            if row == 0:
                above.set_title(f"{step.side}×{step.side}", fontsize=12)  # noqa: RUF001 (a real multiplication sign)
            for axis in (above, below):
                axis.set_xticks([])
                axis.set_yticks([])
                axis.spines[:].set_color("0.75")
        axes[2 * row, 0].set_ylabel("tokens", fontsize=10, color="0.35")
        axes[2 * row + 1, 0].set_ylabel(name, fontsize=11)
    return figure


def sample_grid(images, names: list[str], per_class: int) -> Figure:
    """Drawn images, one row per class or group: images (rows * per_class, channels, S, S), row by row."""
    rows, size = len(names), max(0.62, images.shape[-1] / 110)  # inches; no fewer pixels than the image has
    figure = Figure(figsize=(size * per_class + 1.2, size * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, per_class, squeeze=False)
    for i, axis in enumerate(axes.flat):
        show(axis, images[i])
    for row, name in enumerate(names):
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def nearest_grid(images, neighbours: Neighbours, names: list[str]) -> Figure:
    """One column per drawn image: the image on top, its nearest training images below it, with their distances."""
    columns, k = neighbours.distances.shape
    figure = Figure(figsize=(1.05 * columns + 0.9, 1.3 * (k + 1)), dpi=110, layout="constrained")
    axes = figure.subplots(k + 1, columns, squeeze=False)
    for column in range(columns):
        show(axes[0, column], images[column])
        axes[0, column].set_title(textwrap.fill(names[column], 14), fontsize=7)
        for place in range(k):
            axis = axes[place + 1, column]
            show(axis, neighbours.images[column, place].float() / 255)
            axis.set_xlabel(f"{neighbours.distances[column, place]:.2f}", fontsize=7)
    axes[0, 0].set_ylabel("drawn", fontsize=9)
    for place in range(k):
        axes[place + 1, 0].set_ylabel("nearest real" if place == 0 else f"{place + 1}.", fontsize=9, color="0.35")
    return figure


def show(axis, image) -> None:
    """An image (channels, S, S) in [0, 1] without ticks or frame."""
    axis.imshow(to_uint8(image), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


TOGGLE = ("exact", "poly-2", "poly-4", "landmark-16", "landmark-64", "pool-2", "pool-4")
PRACTICE = ("exact", "landmark-16", "pool-2", "local-9", "local-25", "budget-16", "budget-32")


def toggle(model, labels: list[int], seed: int, attentions: tuple[str, ...] = TOGGLE) -> Figure:
    """One row per class: the image of every attention back end from the same seed, with its difference from exact below."""
    names = [name for name in attentions if _available(model, name)]
    figure = Figure(figsize=(1.35 * len(names) + 0.9, 2.75 * len(labels) + 0.4), dpi=110, layout="constrained")
    axes = figure.subplots(2 * len(labels), len(names), squeeze=False)
    for row, label in enumerate(labels):
        exact = None
        for column, name in enumerate(names):
            image = model.trace(label, seed, attention=name).image[0]
            exact = image if exact is None else exact
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.imshow(to_uint8(image), interpolation="nearest")
            below.imshow((image - exact).abs().mean(0), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
            if row == 0:
                above.set_title(name, fontsize=10)
            for axis in (above, below):
                axis.set_xticks([])
                axis.set_yticks([])
        axes[2 * row, 0].set_ylabel(model.config.class_name(label), fontsize=10)
        axes[2 * row + 1, 0].set_ylabel("difference", fontsize=9, color="0.35")
    return figure


def ladder(
    models: list, label: int, seeds: list[int], style=None, attentions: tuple[str, ...] = ("exact", "landmark-32")
) -> Figure:
    """One class drawn by models of growing resolution: a column per model and seed, a row per attention back end."""
    columns = len(models) * len(seeds)
    figure = Figure(figsize=(1.45 * columns + 0.6, 1.6 * len(attentions) + 0.5), dpi=110, layout="constrained")
    axes = figure.subplots(len(attentions), columns, squeeze=False)
    for i, model in enumerate(models):
        size, tokens = model.config.tokenizer.image_size, model.config.pyramid.tokens
        for row, attention in enumerate(attentions):
            images = model.sample_images([label] * len(seeds), seeds, attention=attention, style=style)
            for j, image in enumerate(images):
                show(axes[row, i * len(seeds) + j], image)
        for j, seed in enumerate(seeds):
            axes[0, i * len(seeds) + j].set_title(f"{size} px, {tokens} tokens\nseed {seed}", fontsize=8)
    for row, attention in enumerate(attentions):
        axes[row, 0].set_ylabel(attention, fontsize=9)
    return figure


def _available(model, name: str) -> bool:
    try:
        model.transformer.resolve(name)
    except ValueError:
        return False
    return True
