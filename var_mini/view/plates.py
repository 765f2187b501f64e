"""Pictures for notebooks: one call, one PNG with a text that stands for it where it cannot be seen."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch

DPI = 80


def shown(figure, alt: str):
    """A matplotlib Figure as what a notebook displays when it is the last line of a cell; `alt` says what is to be seen."""
    from IPython.display import Image

    return Image(png(figure), format="png", alt=alt)


def png(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def picture(pixels: np.ndarray, alt: str):
    """A uint8 array (h, w, 3) as it is, such as the strip of all scales of a run (images.strip)."""
    from IPython.display import Image
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format="PNG")
    return Image(buffer.getvalue(), format="png", alt=alt)


def new_figure(width: float = 6.4, height: float = 2.6):
    """An empty matplotlib Figure of this size in inches, which no global list keeps alive."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def row(pictures: Sequence, titles: Sequence[str], alt: str, size: float = 1.3, limits=None, bar: str = "", axes=None):
    """Pictures side by side under their titles.

    Each picture is a tensor (channels, h, w) in [0, 1], a uint8 array (h, w, 3), or a matrix (h, w). All matrices are drawn on
    one colour scale, from the first to the second of `limits` (by default their least and largest value); a colour bar under
    the name `bar` tells it. `axes` is a pair of words, what lies from left to right and from top to bottom of a matrix; up to
    ten columns and rows are then counted from 1.
    """
    return grid([pictures], titles, [""], alt, size, limits, bar, axes)


def grid(
    rows: Sequence[Sequence],
    titles: Sequence[str],
    names: Sequence[str],
    alt: str,
    size: float = 1.3,
    limits=None,
    bar: str = "",
    axes=None,
):
    """Several rows of pictures, each with a name at its left, under common titles; pictures as in `row`, None stays empty."""
    return shown(plates(rows, titles, names, size, limits, bar, axes), alt)


def plates(rows, titles, names, size=1.3, limits=None, bar="", axes=None):
    """The figure of `grid`."""
    columns = max(map(len, rows))
    matrices = [_values(picture) for line in rows for picture in line if _is_matrix(picture)]
    low, high = limits or ((min(m.min() for m in matrices), max(m.max() for m in matrices)) if matrices else (None, None))
    margin = (0.9 if any(names) else 0.1) + (0.8 if matrices else 0)
    figure = new_figure(size * columns + margin, (size + 0.05) * len(rows) + (0.6 if axes else 0.35))
    places = figure.subplots(len(rows), columns, squeeze=False)
    scale = None
    for line, name, pictures in zip(places, names, rows):
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_color("0.75")
        for axis, picture in zip(line, pictures):
            image = _paint(axis, picture, low, high)
            if _is_matrix(picture):
                scale = image
                _count(axis, picture, axes)
        for axis in line[len(pictures) :]:
            axis.set_axis_off()
        if name:
            line[0].set_ylabel(name, fontsize=9)
    for axis, title in zip(places[0], titles):
        axis.set_title(title, fontsize=9)
    if scale is not None:
        figure.colorbar(scale, ax=places, fraction=0.03, label=bar).ax.tick_params(labelsize=8)
    return figure


def _is_matrix(picture) -> bool:
    return picture is not None and picture.ndim == 2


def _values(matrix) -> np.ndarray:
    return np.asarray(matrix.detach().cpu().float() if isinstance(matrix, torch.Tensor) else matrix)


def _count(axis, matrix, axes) -> None:
    """Words, and numbers where there are few, along the sides of a matrix."""
    if axes is None:
        return
    axis.set_xlabel(axes[0], fontsize=8)
    axis.set_ylabel(axes[1], fontsize=8)
    for set_ticks, count in ((axis.set_xticks, matrix.shape[1]), (axis.set_yticks, matrix.shape[0])):
        if count <= 10:
            set_ticks(range(count), range(1, count + 1), fontsize=7)


def _paint(axis, picture, low, high):
    """What imshow returns, or None for an empty place."""
    if picture is None:
        axis.set_axis_off()
        return None
    if _is_matrix(picture):
        return axis.imshow(_values(picture), cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
    if isinstance(picture, torch.Tensor):
        from .images import to_uint8

        picture = to_uint8(picture.detach().cpu().float())
    return axis.imshow(picture, interpolation="nearest")
