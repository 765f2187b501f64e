"""The data set `things`: a thousand things, each drawn in the styles of up to eight artists, 64x64 in colour on white.

The pictures lie in assets/things, one lossless sheet a style, with their licences (see the README there); things_build.py made
them. A picture has two labels, what it shows (the thing, its class) and how (its style). 500 pairs of thing and style are held
out: no model and no judge is trained on them, though each of their things is seen in at least five other styles.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .. import validate
from ..checkpoints import ASSETS
from .images import ImageData

FOLDER = ASSETS / "things"
INDEX = "things.json"
TILE = 64  # pixels a side
COLUMNS = 32  # tiles in a row of a sheet
SIZES = (64, 32, 16)
HELD_OUT = 500  # pairs
LEAST_TRAINED = 5  # other styles in which the thing of a held-out pair is trained

# A relative draws nearly the same picture: the same drawing with other shading, or an older version of it.
RELATIVES = {"fluent-emoji": "fluent-emoji-flat", "fluent-emoji-flat": "fluent-emoji", "noto": "noto-v1", "noto-v1": "noto"}

# Where a mirror image is another sign, or shows mirrored writing.
NO_FLIP_GROUPS = {"Symbols"}
NO_FLIP_WORDS = {
    *("abc", "backhand", "facing", "left", "leftwards", "right", "rightwards", "sign", "button", "arrow", "calendar", "clock"),
    *("book", "books", "newspaper", "note", "banknote", "mail", "mailbox", "mathematical", "memo", "page", "receipt", "scroll"),
    *("1st", "2nd", "3rd", "chart", "computer", "keyboard", "label", "telephone", "watch", "writing", "ledger", "bookmark"),
}


def sheet_size(count: int) -> tuple[int, int]:
    """Width and height in pixels of a sheet of `count` tiles."""
    return COLUMNS * TILE, -(-count // COLUMNS) * TILE


def tile_box(number: int) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of a tile in its sheet."""
    row, column = divmod(number, COLUMNS)
    return column * TILE, row * TILE, (column + 1) * TILE, (row + 1) * TILE


@dataclass(frozen=True)
class Things:
    """All pictures with their two labels, trained and held-out ones together."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # of each thing
    styles: tuple[str, ...]
    images: torch.Tensor  # uint8 (N, 3, 64, 64)
    thing: torch.Tensor  # int64 (N,)
    style: torch.Tensor  # int64 (N,)

    def may_flip(self) -> torch.Tensor:
        """Whether the mirror image of a thing means the same, bool (things,)."""
        words = [set(name.split("-")) for name in self.names]
        return torch.tensor([g not in NO_FLIP_GROUPS and not (w & NO_FLIP_WORDS) for g, w in zip(self.groups, words)])


@lru_cache(maxsize=1)
def read_things(folder: Path = FOLDER) -> Things:
    """Reads the sheets. Raises ValueError where one is missing or not the one that things.json describes."""
    try:
        index = json.loads((folder / INDEX).read_text())
        names, groups = zip(*index["things"])
        styles = [(s["name"], s["sha256"], set(s["missing"])) for s in index["styles"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / INDEX} is not the index of the data set things: {error}") from None
    images, thing, style = [], [], []
    for number, (name, sha256, missing) in enumerate(styles):
        path = folder / f"{name}.webp"
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ValueError(f"data set things: {path} cannot be read: {error}") from None
        found = hashlib.sha256(raw).hexdigest()
        if found != sha256:
            raise ValueError(f"data set things: {path} is damaged: sha256 is {found}, must be {sha256}")
        with Image.open(path) as picture:
            sheet = np.asarray(picture.convert("RGB"))
        tiles = sheet.reshape(sheet.shape[0] // TILE, TILE, COLUMNS, TILE, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, TILE, TILE)
        present = [i for i in range(len(names)) if i not in missing]
        images.append(torch.from_numpy(tiles[present]))
        thing += present
        style += [number] * len(present)
    labels = torch.tensor(thing), torch.tensor(style)
    return Things(tuple(names), tuple(groups), tuple(name for name, _, _ in styles), torch.cat(images), *labels)


def held_out(things: Things) -> torch.Tensor:
    """Which pictures belong to the held-out pairs, bool (N,).

    Pairs come in the order of a hash of their two names, so that another thing more or less shifts as few as possible; one is
    taken while its thing keeps LEAST_TRAINED other styles.
    """
    pairs = [(things.names[t], things.styles[s]) for t, s in zip(things.thing.tolist(), things.style.tolist())]
    order = sorted(range(len(pairs)), key=lambda i: hashlib.sha256("/".join(pairs[i]).encode()).digest())
    left = things.thing.bincount().tolist()
    chosen = torch.zeros(len(pairs), dtype=torch.bool)
    for i in order:
        t = int(things.thing[i])
        if left[t] > LEAST_TRAINED:
            left[t] -= 1
            chosen[i] = True
        if int(chosen.sum()) == HELD_OUT:
            break
    return chosen


@lru_cache(maxsize=3)
def load_things(size: int = 64) -> ImageData:
    """All pictures at `size` (64, or 32 and 16 by averaging areas); the test images are the held-out pairs.

    Raises ValueError for another size, and where the sheets are missing or damaged.
    """
    if size not in SIZES:
        raise ValueError(f"size = {validate.shown(size)}: must be one of {', '.join(map(str, SIZES))}")
    things = read_things()
    images = things.images
    if size != TILE:
        images = F.avg_pool2d(images.float(), TILE // size).round().to(torch.uint8)
    test = held_out(things)
    train = ~test
    return ImageData(
        "things" if size == TILE else f"things-{size}",
        things.names,
        images[train],
        things.thing[train],
        images[test],
        things.thing[test],
        class_groups=things.groups,
        train_names=tuple(
            f"{things.names[t]} ({things.styles[s]})" for t, s in zip(things.thing[train].tolist(), things.style[train].tolist())
        ),
        flips=things.may_flip()[things.thing[train]],
        style_names=things.styles,
        train_styles=things.style[train],
        test_styles=things.style[test],
    )
