"""Small pictures of the things that a model can draw: real ones, of its data set, on one sheet."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from var_mini import checkpoints, validate
from var_mini.data import samples, things
from var_mini.view.images import enlarge, to_uint8

# Of the thousand things those that are offered at first: easy to know, and unlike each other.
FIRST = (
    *("red-heart", "strawberry", "sunflower", "dog-face", "tiger-face", "rainbow", "pizza", "balloon", "cactus", "red-apple"),
    *("star", "octopus", "hamburger", "fire", "mushroom", "butterfly", "tropical-fish", "ice-cream", "christmas-tree"),
    *("airplane", "lemon", "frog", "snowman", "rocket", "umbrella", "penguin", "sun", "soccer-ball"),
)
TILE = 64  # pixels of a picture that is offered at first
SMALL = 32  # of one among all
COLUMNS = 32  # of the sheet of all
QUALITY = 82
_BUILDING = threading.Lock()


def _labels(name: str) -> list[int]:
    """The classes of the pictures offered at first."""
    config = checkpoints.load_config(name)
    places = {class_name: label for label, class_name in enumerate(config.class_names)}
    if _has_sheets(config):
        return [places[thing] for thing in FIRST if thing in places]
    return [places[sample.name] for sample in samples.load_samples(config) if sample.name in places]


def _has_sheets(config) -> bool:
    return config.data.partition("-")[0] == "things" and (things.FOLDER / things.INDEX).is_file()


def describe(name: str) -> dict:
    """Which classes are on the first sheet, in this order, and how many columns the sheet of all has; 0: there is none."""
    every = COLUMNS if _has_sheets(checkpoints.load_config(name)) else 0
    return {"first": _labels(name), "tile": TILE, "columns": every, "small": SMALL}


def write(name: str, folder: Path) -> dict:
    """Writes all sheets of a model into `folder`, named by content. Returns `describe` with `files`: kind -> names by style."""
    told, styles = describe(name), checkpoints.load_config(name).transformer.num_styles
    there = {"first": bool(told["first"]), "all": told["columns"] > 0}
    files = {}
    for kind in (kind for kind, is_there in there.items() if is_there):
        files[kind] = [_written(sheet(name, style, kind == "all"), folder) for style in range(styles + 1)]
    return told | {"files": files}


def _written(content: bytes, folder: Path) -> str:
    path = folder / f"{hashlib.sha256(content).hexdigest()[:12]}.webp"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path.name


def sheet(name: str, style: int, every: bool) -> bytes:
    """WebP: the pictures offered at first in a row, or all of them in COLUMNS columns. A style that lacks a thing borrows it."""
    config = checkpoints.load_config(name)
    style = validate.integer("style", style, 0, max(0, config.transformer.num_styles))
    if every and not _has_sheets(config):
        raise ValueError(f"model = {name}: has no sheet of all classes")
    with _BUILDING:  # many who ask at once for a sheet that is not there yet wait for one
        if not _has_sheets(config):
            return _samples(name)
        labels = range(len(config.class_names)) if every else _labels(name)
        asked = config.style_names[style] if style < len(config.style_names) else None
        return _tiles(tuple(config.class_names[label] for label in labels), asked, every)


@lru_cache(maxsize=32)
def _samples(name: str) -> bytes:
    """The samples of a model in a row."""
    config = checkpoints.load_config(name)
    own = [sample for sample in samples.load_samples(config) if sample.name in config.class_names]
    if not own:
        raise ValueError(f"model = {name}: has no pictures of its classes")
    return _webp(np.concatenate([enlarge(to_uint8(sample.image), TILE) for sample in own], 1), lossless=True)


@lru_cache(maxsize=64)  # models of one data set share them: two of every style, and of any
def _tiles(shown: tuple[str, ...], style: str | None, every: bool) -> bytes:
    """These things in one style, None for any, on a sheet."""
    index = json.loads((things.FOLDER / things.INDEX).read_text())
    order = [one["name"] for one in index["styles"]]
    asked = style or order[0]
    order.sort(key=lambda one: one != asked)
    missing = {one["name"]: set(one["missing"]) for one in index["styles"]}
    numbers = {thing: number for number, (thing, _) in enumerate(index["things"])}
    tiles = []
    for number in (numbers[thing] for thing in shown):
        source = next(one for one in order if number not in missing[one])
        tiles.append(_pixels(source)[number])
    if not every:
        return _webp(np.concatenate(tiles, 1))
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    picture = Image.fromarray(np.concatenate(rows))
    return _webp(np.asarray(picture.reduce(things.TILE // SMALL)))


@lru_cache(maxsize=2)
def _pixels(style: str) -> np.ndarray:
    """The tiles of a style, uint8 (n, 64, 64, 3)."""
    with Image.open(things.FOLDER / f"{style}.webp") as picture:
        sheet = np.asarray(picture.convert("RGB"))
    size = things.TILE
    return sheet.reshape(sheet.shape[0] // size, size, things.COLUMNS, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)


def _webp(pixels: np.ndarray, lossless: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, lossless=lossless, method=4)
    return buffer.getvalue()
