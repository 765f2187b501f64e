"""Pictures as arrays: a token map in code colours, an enlarged image, the strip of all scales, PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .. import validate
from ..files import PICTURE_ENDINGS, atomic_write
from ..generation.trace import Trace
from ..tokenizer.colours import code_colours

PAPER = 255  # background
MAX_ENLARGEMENT = 64


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """(channels, h, w) in [0, 1] -> uint8 (h, w, 3); grey becomes three equal channels."""
    array = image.detach().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]


def enlarge(array: np.ndarray, size: int) -> np.ndarray:
    """Nearest-neighbour enlargement of (h, w, 3) to (size, size, 3), so that every cell stays a flat square."""
    rows = np.arange(size) * array.shape[0] // size
    columns = np.arange(size) * array.shape[1] // size
    return array[rows][:, columns]


def token_map(token_ids: torch.Tensor, colours: np.ndarray) -> np.ndarray:
    """Token ids (n,) of one scale -> uint8 (side, side, 3)."""
    side = round(len(token_ids) ** 0.5)
    return colours[token_ids.numpy()].reshape(side, side, 3)


def strip(trace: Trace, codebook: torch.Tensor, image_index: int = 0, cell: int = 112, gap: int = 8) -> np.ndarray:
    """All scales from left to right: the token map above, the image decoded so far below. uint8 (h, w, 3)."""
    colours = code_colours(codebook)
    columns = []
    for step in trace.steps:
        above = enlarge(token_map(step.token_ids[image_index], colours), cell)
        below = to_uint8(step.recorded("image")[image_index])
        if len(below) > cell:  # a large image is made smaller with a filter, a small one larger without
            below = np.asarray(Image.fromarray(below).resize((cell, cell), Image.Resampling.LANCZOS))
        else:
            below = enlarge(below, cell)
        between = np.full((gap, cell, 3), PAPER, np.uint8)
        columns += [np.concatenate([above, between, below]), np.full((2 * cell + gap, gap, 3), PAPER, np.uint8)]
    return np.concatenate(columns[:-1], axis=1)


def save_image(image: torch.Tensor | np.ndarray, path: Path | str, factor: int = 1) -> None:
    """Writes an image (tensor in [0, 1] or uint8 array), enlarged by a whole number without smoothing.

    As PNG, JPEG or WebP, by the ending of `path`; JPEG alone changes the pixels a little. Raises ValueError for other endings.
    """
    array = to_uint8(image) if isinstance(image, torch.Tensor) else image
    factor = validate.integer("enlarge", factor, 1, MAX_ENLARGEMENT)
    kind = validate.one_of("ending of the file", Path(path).suffix.lower(), PICTURE_ENDINGS)
    options = {".png": {"format": "PNG"}, ".webp": {"format": "WEBP", "lossless": True}}
    enlarged = Image.fromarray(np.kron(array, np.ones((factor, factor, 1), np.uint8)))
    with atomic_write(path) as temporary:
        enlarged.save(temporary, **options.get(kind, {"format": "JPEG", "quality": 95, "subsampling": 0}))
