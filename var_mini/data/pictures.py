"""The one reader of pictures: any picture file -> one square of a model's size. Uploads and training come through here.

Limits hold before anything is unpacked; every bit depth and sample format is spread over 0 to 255. An upload is bytes, or a
data URI that has them inside: only `load_image` opens a path, for whoever trains on files of their own.
"""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from .. import validate

MAX_BYTES = 8 * 1024**2  # of an upload
MAX_URI_BYTES = 2 * 1024**2  # of a picture inside a text
MAX_PIXELS = 32_000_000  # what a picture may unpack to
MAX_JPEG_PIXELS = 80_000_000  # a JPEG is unpacked at a fraction of its size
MAX_SIDE = 32_768  # pixels; resizing works line by line, so a very long line costs as much as many pixels
UPLOADS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")  # the common ones, of all that Pillow opens
RUN_PROGRAMS = {"EPS", "WMF"}  # Pillow hands these to Ghostscript or to the system; read for nobody
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}  # ISO/IEC 23008-12, annex B
FITS = ("crop", "whole")
INVERTS = ("auto", "yes", "no")
BRIGHT = 0.5  # mean of the outermost pixels from which `auto` takes a grey picture for dark on bright
WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # depths that cameras and scanners store in 16 or 32 bits


@dataclass(frozen=True)
class Picture:
    """A picture of a model's size and channels, and what was done to it."""

    image: torch.Tensor  # float (channels, S, S) in [0, 1], multiples of 1/255
    width: int  # as sent
    height: int
    frames: int  # of an animation, of which the first one was taken
    inverted: bool


@cache
def _formats() -> tuple[str, ...]:
    """The formats that Pillow opens here, in its order, with HEIC where the package pillow-heif is installed."""
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]  # an extra

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    Image.init()
    return tuple(name for name in Image.ID if name in Image.OPEN and name not in RUN_PROGRAMS)


@cache
def suffixes() -> frozenset[str]:
    """How picture files may end, in lower case: all that Pillow opens, and some that it does not, to be named as skipped."""
    _formats()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    return frozenset(known | {".mpo", ".heic", ".heif", ".hif", ".jxl", ".svg"})


def from_data_uri(text: object) -> bytes:
    """The bytes in `data:image/...;base64,...`. Raises ValueError for anything else; reads no file and no address."""
    if not isinstance(text, str):
        raise ValueError(f"image = {validate.shown(text)}: must be a string, a data URI of a picture")
    if len(text) > MAX_URI_BYTES * 4 // 3 + 100:
        raise ValueError(f"image: has {len(text):,} characters; at most {MAX_URI_BYTES:,} bytes in base64 are allowed")
    head, comma, body = text.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"image = {validate.shown(text[:80])}: must begin with data:image/png;base64, (or jpeg, webp, gif, ...)")
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
    formats = [name for name in UPLOADS if name in _formats()]
    array, width, height, frames = _read(io.BytesIO(content), formats, size, channels, fit, "image")
    inverted = invert == "yes" or (invert == "auto" and channels == 1 and _border(array) > 255 * BRIGHT)
    if inverted:
        array = 255 - array
    image = torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32) / 255)
    return Picture(image, width, height, frames, inverted)


def load_image(path: Path | str, size: int, channels: int, name: str = "") -> torch.Tensor:
    """One picture file of any kind that Pillow opens, centre-cropped and resized: uint8 (channels, size, size).

    Transparent parts become white. Raises ValueError where the file is no readable picture; it calls it `name`, or by its path.
    """
    name = name or str(path)
    try:
        with open(path, "rb") as file:
            array, *_ = _read(file, list(_formats()), size, channels, "crop", name)
    except OSError as error:  # no such file, a folder, not allowed
        raise ValueError(f"{name} is not a readable picture: {error.strerror}") from None
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


class _RefusedError(Exception):
    """A picture that is turned away with a reason of ours."""


def _read(file, formats: list[str], size: int, channels: int, fit: str, name: str) -> tuple[np.ndarray, int, int, int]:
    """An open file -> uint8 (size, size, channels), and width, height and number of frames as stored.

    Raises ValueError in one sentence that begins with `name`.
    """
    try:
        with Image.open(file, formats=formats) as picture:  # reads the header alone
            width, height = picture.size
            _unpack(picture, size)
            square = _square(_flat(picture), size, fit).convert("L" if channels == 1 else "RGB")
            frames = getattr(picture, "n_frames", 1) if picture.format in ("GIF", "WEBP", "PNG", "AVIF") else 1
        return np.asarray(square, np.uint8).reshape(size, size, channels), width, height, frames
    except MemoryError:
        raise
    except _RefusedError as error:
        reason = str(error)
    except Image.DecompressionBombError:
        reason = f"at most {MAX_PIXELS:,} pixels are allowed"
    except UnidentifiedImageError:
        reason = _of_unknown_kind(file)
    except Exception:  # damaged files make Pillow raise a dozen kinds, struct.error and EOFError among them
        reason = "the file is damaged, or of a kind that is not read here"
    raise ValueError(f"{name} is not a readable picture: {reason}") from None


def _of_unknown_kind(file) -> str:
    file.seek(0)
    start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:] in HEIF_BRANDS:
        return "HEIC is read where the package pillow-heif is installed; or save it as JPEG"
    return "the file is damaged, or of a kind that is not read here"


def _unpack(picture: Image.Image, size: int) -> None:
    """Loads the pixels of the first frame, a JPEG at a fraction of its size, unless there are too many."""
    width, height = picture.size
    limit = MAX_JPEG_PIXELS if isinstance(picture, JpegImageFile) else MAX_PIXELS
    if width * height > limit:
        raise _RefusedError(f"{width:,} x {height:,} pixels, at most {limit:,} pixels are allowed")
    if max(width, height) > MAX_SIDE:
        raise _RefusedError(f"{width:,} x {height:,} pixels, at most {MAX_SIDE:,} are allowed on a side")
    picture.seek(0)
    picture.draft("RGB", (4 * size, 4 * size))
    if picture.width * picture.height > MAX_PIXELS:
        raise _RefusedError(f"{width:,} x {height:,} pixels are too many for this JPEG")
    picture.load()


def _flat(picture: Image.Image) -> Image.Image:
    """Any mode -> RGB on white, turned as its camera says."""
    if picture.mode[0] in "IF" or _tag(picture, SAMPLEFORMAT) == 2:
        info = {name: value for name, value in picture.info.items() if name != "transparency"}  # the one of the wide samples
        picture = Image.fromarray(_spread(picture))
        picture.info = info  # the orientation is in there
    picture = ImageOps.exif_transpose(picture)
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _tag(picture: Image.Image, number: int) -> int | None:
    """What a TIFF file says of its samples; None for other formats, and where it says nothing."""
    value = picture.tag_v2.get(number) if isinstance(picture, TiffImageFile) and picture.format == "TIFF" else None
    return value[0] if isinstance(value, tuple) else value


def _spread(picture: Image.Image) -> np.ndarray:
    """Grey samples of 16 or 32 bits, or signed ones -> uint8 (h, w), from black to white of their own range.

    Of whole numbers the range begins at 0 and ends at 12 bits where a TIFF file names that depth, at 16 in formats that Pillow
    spreads, or else at the least of 8, 10, 12, 14 and 16 bits that holds the largest value, or else at that value; of
    floating-point numbers it is 0 to 1, or to a value above.
    With negative samples it is from the smallest to the largest. NaN becomes the lower end.
    """
    samples = np.asarray(picture)
    bits, kind = _tag(picture, BITSPERSAMPLE), _tag(picture, SAMPLEFORMAT)
    if kind == 2 and bits == 8:
        samples = samples.view(np.int8)  # Pillow reads them as unsigned
    elif picture.mode == "I" and picture.format == "TIFF" and bits == 32 and kind in (None, 1):
        samples = samples.view(np.uint32)  # Pillow reads them as signed
    values = samples.astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0:
        low = 0.0
        if picture.mode == "F":
            high = max(high, 1.0)
        elif bits == 12:
            high = WHITES[2]
        elif picture.format in ("PPM", "JPEG2000"):  # Pillow has spread them over 16 bits
            high = WHITES[-1]
        else:
            high = next((white for white in WHITES if high <= white), high)
    values = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0) * 255
    grey = values.clip(0, 255).round().astype(np.uint8)
    return 255 - grey if _tag(picture, PHOTOMETRIC_INTERPRETATION) == 0 else grey  # 0: the least sample is white


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
