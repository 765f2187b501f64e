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


def row(pictures: Sequence, titles: Sequence[str], alt: str, size: float = 1.3, colours: str | None = None, limits=None):
    """Pictures side by side under their titles.

    Each picture is a tensor (channels, h, w) in [0, 1], a uint8 array (h, w, 3), or a matrix (h, w), drawn with the matplotlib
    colour map `colours` (by default cividis) between `limits` (by default its own least and largest value).
    """
    return grid([pictures], titles, [""], alt, size, colours, limits)


def grid(rows: Sequence[Sequence], titles: Sequence[str], names: Sequence[str], alt: str, size=1.3, colours=None, limits=None):
    """Several rows of pictures, each with a name at its left, under common titles; pictures as in `row`, None stays empty."""
    columns = max(map(len, rows))
    margin = 0.9 if any(names) else 0.1
    figure = new_figure(size * columns + margin, (size + 0.05) * len(rows) + 0.35)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, name, pictures in zip(axes, names, rows):
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_color("0.75")
        for axis, picture in zip(line, pictures):
            _paint(axis, picture, colours or "cividis", limits)
        for axis in line[len(pictures) :]:
            axis.set_axis_off()
        line[0].set_ylabel(name, fontsize=9)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=9)
    return shown(figure, alt)


def _paint(axis, picture, colours: str, limits) -> None:
    if picture is None:
        axis.set_axis_off()
        return
    low, high = limits or (None, None)
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().float()
        if picture.ndim == 3:
            from .images import to_uint8

            picture = to_uint8(picture)
        else:
            picture = picture.numpy()
    axis.imshow(np.asarray(picture), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
