"""The data set `emoji`: every fully-qualified emoji of Unicode's list, drawn with Noto Color Emoji, centred on white.

The classes are the list's subgroups (face-smiling, animal-mammal, ...), which belong to its nine groups. Font: SIL Open
Font License 1.1; list: Unicode License. Both come from Debian's packages, or are downloaded from their public places.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from .. import validate
from .images import ImageData

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # Debian: fonts-noto-color-emoji
LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")  # Debian: unicode-data
FONT_VERSION, LIST_VERSION = "2.042", "15.0"
FONT_URL = f"https://github.com/googlefonts/noto-emoji/raw/v{FONT_VERSION}/fonts/NotoColorEmoji.ttf"
LIST_URL = f"https://unicode.org/Public/emoji/{LIST_VERSION}/emoji-test.txt"
FONT_HASH = "sha256:e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec"
LIST_HASH = "sha256:8445f23ac8388e096be19d0262e14fceff856ff52093f2356dc89485f1a853db"

EM = 109  # pixels; the one size of the font's bitmaps
CANVAS = 136  # pixels; the width of a glyph at that size
HELD_OUT = 300

# Where a mirror image is another sign, or shows mirrored writing.
NO_FLIP_GROUPS = {"Flags", "Symbols"}
NO_FLIP_SUBGROUPS = {"book-paper", "computer", "mail", "money", "office", "phone", "time", "transport-sign", "writing"}
NO_FLIP_WORDS = {"ABC", "backhand", "facing", "left", "leftwards", "right", "rightwards", "sign"}


@dataclass(frozen=True)
class Emoji:
    """One line of the list."""

    text: str
    name: str
    group: str
    subgroup: str

    @property
    def may_flip(self) -> bool:
        """Whether its mirror image means the same."""
        words = set(self.name.replace("-", " ").replace(":", "").split())
        return not (self.group in NO_FLIP_GROUPS or self.subgroup in NO_FLIP_SUBGROUPS or words & NO_FLIP_WORDS)


def read_list(path: Path | str) -> tuple[str, list[Emoji]]:
    """Unicode's emoji-test.txt -> (its version, the fully-qualified emoji in its order).

    Raises ValueError where the file is not such a list.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as Unicode's emoji-test.txt: {error}") from None
    version = group = subgroup = ""
    found = []
    for number, line in enumerate(lines, 1):
        key, _, value = line.partition(":")
        if key == "# Version":
            version = value.strip()
        elif key == "# group":
            group = value.strip()
        elif key == "# subgroup":
            subgroup = value.strip()
        elif "; fully-qualified" in line:
            codes, _, rest = line.partition(";")
            try:
                text = "".join(chr(int(code, 16)) for code in codes.split())
                name = rest.partition("#")[2].split(maxsplit=2)[2]  # behind the emoji itself and the version it came with
            except (ValueError, IndexError, OverflowError):
                raise ValueError(f"{path}, line {number}: {line!r} is no line of Unicode's emoji-test.txt") from None
            found.append(Emoji(text, name, group, subgroup))
    if not found:
        raise ValueError(f"{path} is not Unicode's emoji-test.txt: it lists no fully-qualified emoji")
    return version, found


def font_version(path: Path | str) -> str:
    """The version a font file states, as "2.042". Raises ValueError where it is no font."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True) as font:
            stated = font["name"].getDebugName(5) or ""
    except (OSError, TTLibError, KeyError) as error:
        raise ValueError(f"{path} is not a readable font: {error}") from None
    return stated.removeprefix("Version ").partition(";")[0]


class Renderer:
    """Draws emoji with one font file. Raises ValueError where Pillow cannot compose sequences (no raqm) or load the font."""

    def __init__(self, path: Path | str):
        from PIL import ImageFont, features

        if not features.check("raqm"):
            raise ValueError("data set emoji: this Pillow has no raqm layout, without which flags and families fall apart")
        try:
            self.font = ImageFont.truetype(str(path), EM, layout_engine=ImageFont.Layout.RAQM)
        except OSError as error:
            raise ValueError(f"{path} is not a colour font with bitmaps of {EM} pixels: {error}") from None

    def draw(self, text: str, size: int) -> np.ndarray | None:
        """One emoji centred on white, uint8 (size, size, 3); None where the font has no single glyph for it."""
        from PIL import Image, ImageDraw

        if not 0.5 * CANVAS < self.font.getlength(text) < 1.5 * CANVAS:  # parts side by side: not composed
            return None
        left, top, right, bottom = self.font.getbbox(text)
        canvas = Image.new("RGBA", (CANVAS, CANVAS), "white")
        place = ((CANVAS - (right - left)) / 2 - left, (CANVAS - (bottom - top)) / 2 - top)
        ImageDraw.Draw(canvas).text(place, text, font=self.font, embedded_color=True)
        pixels = np.asarray(canvas.convert("RGB").resize((size, size), Image.Resampling.LANCZOS), np.uint8)
        return None if (pixels == 255).all() else pixels


def _fetch(local: Path, url: str, known_hash: str, package: str) -> Path:
    if local.exists():
        return local
    import pooch  # only needed where the Debian package is absent

    try:
        return Path(pooch.retrieve(url, known_hash=known_hash, fname=f"emoji-{local.name}"))
    except Exception as error:  # no network, wrong checksum: pooch has no common base class for them
        raise ValueError(
            f"data set emoji: found neither {local} (Debian: apt install {package}) nor a copy to download from {url}: {error}"
        ) from None


def _expect(what: str, found: str, expected: str) -> None:
    if found != expected:
        warnings.warn(
            f"data set emoji: {what} is of version {found or 'unknown'}, expected {expected}; "
            "pictures and their number may differ from what the shipped models were trained on",
            stacklevel=3,
        )


@lru_cache(maxsize=3)
def load_emoji(size: int = 64) -> ImageData:
    """All emoji as colour images, size x size, with labels, groups, names and whether a mirror image keeps the meaning.

    Equal images (a few emoji look alike) stay on one side of the split; the test images are 300 distinct ones,
    chosen by a hash of their code points, so that another version of the list shifts as few as possible.
    Raises ValueError where font or list are missing or unreadable; warns where they are of another version.
    """
    validate.integer("size", size, 8, CANVAS)
    font = _fetch(FONT, FONT_URL, FONT_HASH, "fonts-noto-color-emoji")
    version, listed = read_list(_fetch(LIST, LIST_URL, LIST_HASH, "unicode-data"))
    _expect("the list", version, LIST_VERSION)
    _expect("the font", font_version(font), FONT_VERSION)
    renderer = Renderer(font)
    classes = list(dict.fromkeys(emoji.subgroup for emoji in listed))
    groups = {emoji.subgroup: emoji.group for emoji in listed}
    drawn: list[Emoji] = []
    images: list[np.ndarray] = []
    for emoji in listed:
        pixels = renderer.draw(emoji.text, size)
        if pixels is not None:
            drawn.append(emoji)
            images.append(pixels.transpose(2, 0, 1))
    first: dict[bytes, int] = {}  # the first emoji of every distinct look
    same = [first.setdefault(hashlib.sha256(pixels.tobytes()).digest(), i) for i, pixels in enumerate(images)]
    shuffled = sorted(first.values(), key=lambda i: hashlib.sha256(drawn[i].text.encode()).digest())
    test = sorted(shuffled[:HELD_OUT])
    held_out = set(test)
    train = [i for i in range(len(drawn)) if same[i] not in held_out]
    x = torch.from_numpy(np.stack(images))
    y = torch.tensor([classes.index(emoji.subgroup) for emoji in drawn])
    return ImageData(
        "emoji" if size == 64 else f"emoji-{size}",
        tuple(classes),
        x[train],
        y[train],
        x[test],
        y[test],
        skipped=len(listed) - len(drawn),
        class_groups=tuple(groups[name] for name in classes),
        train_names=tuple(drawn[i].name for i in train),
        flips=torch.tensor([drawn[i].may_flip for i in train]),
    )
