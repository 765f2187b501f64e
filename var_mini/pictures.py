"""A picture that a stranger sent, as a model's input: limits before anything is unpacked, then one square of its size.

Nothing here opens a path: a picture is bytes, or a data URI that has them inside.
"""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps

from . import validate

MAX_BYTES = 8 * 1024**2
MAX_URI_BYTES = 2 * 1024**2  # of a picture inside a text
MAX_PIXELS = 32_000_000  # what a picture may unpack to
MAX_JPEG_PIXELS = 80_000_000  # a JPEG is unpacked at a fraction of its size
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # no format that runs a program or refers to other files
FITS = ("crop", "whole")
INVERTS = ("auto", "yes", "no")
BRIGHT = 0.5  # mean of the outermost pixels from which `auto` takes a grey picture for dark on bright


@dataclass(frozen=True)
class Picture:
    """A picture of a model's size and channels, and what was done to it."""

    image: torch.Tensor  # float (channels, S, S) in [0, 1], multiples of 1/255
    width: int  # as sent
    height: int
    frames: int  # of an animation, of which the first one was taken
    inverted: bool


def from_data_uri(text: object) -> bytes:
    """The bytes in `data:image/...;base64,...`. Raises ValueError for anything else; reads no file and no address."""
    if not isinstance(text, str):
        raise ValueError(f"image = {validate.shown(text)}: must be a string, a data URI of a picture")
    if len(text) > MAX_URI_BYTES * 4 // 3 + 100:
        raise ValueError(f"image: has {len(text):,} characters; at most {MAX_URI_BYTES:,} bytes in base64 are allowed")
    head, comma, body = text.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"image = {validate.shown(text[:80])}: must begin with data:image/png;base64, (or jpeg, webp, gif, bmp)")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("image: what follows data:image/...;base64, is not base64") from None


def read_picture(content: object, size: int, channels: int, fit: str = "crop", invert: str = "no") -> Picture:
    """Bytes of a picture file -> a picture of `size` and `channels`. Raises ValueError in one sentence where it is none.

    fit      "crop" takes the largest square in the middle, "whole" adds a border of the picture's own edge colour
    invert   "yes", "no", or "auto": only where the picture is to be grey and its outermost pixels are brighter than half,
             since models of grey pictures were trained on bright things on black
    Transparent parts become white; of an animation the first frame counts.
    """
    validate.one_of("fit", fit, FITS)
    validate.one_of("invert", invert, INVERTS)
    if not isinstance(content, bytes) or not content:
        raise ValueError("image: must be the content of a picture file, and not empty")
    if len(content) > MAX_BYTES:
        raise ValueError(f"image: has {len(content):,} bytes, at most {MAX_BYTES:,} are allowed")
    try:
        picture, width, height, frames = _open(content, size)
        picture = _square(_flat(picture), size, fit).convert("L" if channels == 1 else "RGB")
        array = np.asarray(picture, np.uint8).reshape(size, size, channels)
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise ValueError(f"image is not a readable picture: at most {MAX_PIXELS:,} pixels are allowed") from None
    except Exception as error:  # damaged files make Pillow raise a dozen kinds, struct.error and EOFError among them
        reason = str(error) if isinstance(error, _RefusedError) else "the file is damaged, or of a kind that is not read here"
        raise ValueError(f"image is not a readable picture ({', '.join(FORMATS)}): {reason}") from None
    inverted = invert == "yes" or (invert == "auto" and channels == 1 and _border(array) > 255 * BRIGHT)
    if inverted:
        array = 255 - array
    image = torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32) / 255)
    return Picture(image, width, height, frames, inverted)


class _RefusedError(Exception):
    """A picture that is turned away with a reason of ours."""


def _open(content: bytes, size: int) -> tuple[Image.Image, int, int, int]:
    picture = Image.open(io.BytesIO(content), formats=FORMATS)  # reads the header alone
    width, height = picture.size
    limit = MAX_JPEG_PIXELS if picture.format == "JPEG" else MAX_PIXELS
    if width * height > limit:
        raise _RefusedError(f"{width:,} x {height:,} pixels, at most {limit:,} pixels are allowed")
    frames = getattr(picture, "n_frames", 1) if picture.format in ("GIF", "WEBP", "PNG") else 1
    picture.seek(0)
    picture.draft("RGB", (4 * size, 4 * size))
    if picture.width * picture.height > MAX_PIXELS:
        raise _RefusedError(f"{width:,} x {height:,} pixels are too many for this JPEG")
    picture.load()
    return ImageOps.exif_transpose(picture), width, height, frames


def _flat(picture: Image.Image) -> Image.Image:
    """Any mode -> RGB on white."""
    if picture.mode[0] in "IF":  # 16 or 32 bits of grey: spread over 8
        values = np.nan_to_num(np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        top = 65535 if picture.mode != "F" and values.max(initial=0) > 255 else max(values.max(initial=0), 1)
        return Image.fromarray((values.clip(0, top) / top * 255).round().astype(np.uint8)).convert("RGB")
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _square(picture: Image.Image, size: int, fit: str) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    scale = size / max(picture.size)
    small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    pixels = np.asarray(small)
    ends = np.concatenate([pixels[[0, -1]].reshape(-1, 3), pixels[:, [0, -1]].reshape(-1, 3)])
    square = Image.new("RGB", (size, size), tuple(int(c) for c in np.median(ends, axis=0)))
    square.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return square


def _border(array: np.ndarray) -> float:
    return float(np.concatenate([array[0], array[-1], array[1:-1, 0], array[1:-1, -1]]).mean())
