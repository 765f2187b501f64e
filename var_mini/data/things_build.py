"""Builds the data set `things` from eight emoji sets: one lossless sheet of 64-pixel tiles a style, and things.json.

    python -m var_mini.data.things_build PACKAGES [--out assets/things]

PACKAGES is a folder with the npm packages as `npm pack NAME@VERSION` leaves them (`npm pack` with the names and versions
below). A *thing* is what at least six of the sets draw under one name; flags, skin tones, keycaps and clock times are left
out. The drawings are SVG; resvg draws them at twice the size, alpha over white, and Lanczos halves them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..files import atomic_write
from .things import FOLDER, INDEX, TILE, sheet_size, tile_box

LEAST_STYLES = 6  # of the eight, that must draw a thing


@dataclass(frozen=True)
class Package:
    """One emoji set as an npm package of Iconify, github.com/iconify/icon-sets."""

    name: str  # of the style, and of the package behind the scope @iconify-json
    version: str
    licence: str  # SPDX
    credit: str
    sha256: str  # of the packed file

    @property
    def file(self) -> str:
        return f"iconify-json-{self.name}-{self.version}.tgz"


PACKAGES = (
    Package(
        "twemoji",
        "1.2.5",
        "CC-BY-4.0",
        "Twitter, github.com/jdecked/twemoji",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ),
    Package(
        "noto",
        "1.2.9",
        "Apache-2.0",
        "Google, github.com/googlefonts/noto-emoji",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    ),
    Package(
        "noto-v1",
        "1.2.5",
        "Apache-2.0",
        "Google, github.com/googlefonts/noto-emoji (the older drawings)",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
    ),
    Package(
        "fluent-emoji",
        "1.2.7",
        "MIT",
        "Microsoft, github.com/microsoft/fluentui-emoji (shaded)",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    ),
    Package(
        "fluent-emoji-flat",
        "1.2.6",
        "MIT",
        "Microsoft, github.com/microsoft/fluentui-emoji (flat)",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    Package(
        "emojione",
        "1.2.3",
        "CC-BY-4.0",
        "EmojiTwo, github.com/EmojiTwo/emojitwo",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
    ),
    Package(
        "fxemoji",
        "1.2.2",
        "Apache-2.0",
        "Mozilla, github.com/mozilla/fxemoji",
        "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
    ),
    Package(
        "streamline-emojis",
        "1.2.4",
        "CC-BY-4.0",
        "Streamline, github.com/webalys-hq/streamline-vectors",
        "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
    ),
)
GROUPED = ("noto", "twemoji", "fluent-emoji-flat")  # the sets whose metadata name Unicode's groups
LEFT_OUT = re.compile(r"^flag|-flag$|keycap|oclock|o-clock|thirty|skin-tone|-(light|medium|dark|medium-light|medium-dark)(-|$)")


class EmojiSet:
    """What one package draws: `icons`, SVG bodies by name, and `known`, all names and plain other names -> icon."""

    def __init__(self, package: Package, folder: Path):
        self.package = package
        files = _unpack(package, folder)
        data, info = files["icons.json"], files["info.json"]
        if info["license"]["spdx"] != package.licence:
            raise ValueError(f"{package.file}: its licence is {info['license']['spdx']}, expected {package.licence}")
        self.icons = data["icons"]
        self.size = (data.get("width", 16), data.get("height", 16))
        other = {name: entry["parent"] for name, entry in data.get("aliases", {}).items() if set(entry) == {"parent"}}
        self.known = other | {name: name for name in self.icons}
        self.groups = {
            name: group for group, names in files.get("metadata.json", {}).get("categories", {}).items() for name in names
        }

    def svg(self, icon: str) -> str:
        entry = self.icons[icon]
        width, height = entry.get("width", self.size[0]), entry.get("height", self.size[1])
        box = f"{entry.get('left', 0)} {entry.get('top', 0)} {width} {height}"
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width}" height="{height}" viewBox="{box}">{entry["body"]}</svg>'
        )


def _unpack(package: Package, folder: Path) -> dict[str, dict]:
    """The JSON files of a package. Raises ValueError where it is missing, of another version, or not the pinned file."""
    path = folder / package.file
    if not path.is_file():
        others = sorted(p.name for p in folder.glob(f"iconify-json-{package.name}-[0-9]*.tgz"))
        found = f"found {', '.join(others)}" if others else "found none"
        wanted = f"@iconify-json/{package.name}@{package.version}"
        raise ValueError(f"{path}: {found}, expected version {package.version}; run `npm pack {wanted}`")
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != package.sha256:
        raise ValueError(f"{path}: sha256 is {found}, expected {package.sha256}")
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        names = {Path(member.name).name: member for member in archive.getmembers() if member.name.endswith(".json")}
        opened = {name: archive.extractfile(member) for name, member in names.items()}
        return {name: json.load(file) for name, file in opened.items() if file is not None}  # None: a folder


def squeezed(name: str) -> str:
    """A name without what the sets write differently: alarm-clock and alarmclock are one."""
    return re.sub("[^a-z0-9]", "", name)


@dataclass(frozen=True)
class Thing:
    name: str
    group: str
    icons: dict[str, str]  # style -> icon


def choose_things(sets: list[EmojiSet]) -> list[Thing]:
    """The things that at least LEAST_STYLES sets draw, in the order of their groups and names.

    Where a set knows one drawing under two names (cricket, the animal and the game), it belongs to the thing that is called
    like the drawing itself.
    """
    names: dict[str, str] = {}  # squeezed -> as the sets with spelt-out names write it
    icons: dict[str, dict[str, str]] = {}
    groups: dict[str, str] = {}
    ranked = sorted(sets, key=lambda s: s.package.name not in GROUPED)
    for one in ranked:
        for name, icon in one.known.items():
            key = squeezed(name)
            names.setdefault(key, name)
            icons.setdefault(key, {}).setdefault(one.package.name, icon)
            group = one.groups.get(icon, "") if one.package.name in GROUPED else ""
            if group:
                groups.setdefault(key, group)
    wanted = {k for k, found in icons.items() if len(found) >= LEAST_STYLES and not LEFT_OUT.search(names[k])}
    owner: dict[tuple[str, str], str] = {}
    for key in sorted(wanted):
        for style, icon in icons[key].items():
            if (style, icon) not in owner or squeezed(icon) == key:
                owner[style, icon] = key
    found = []
    for key in wanted:
        own = {style: icon for style, icon in icons[key].items() if owner[style, icon] == key}
        group = groups.get(key, "Symbols")
        if len(own) >= LEAST_STYLES and group != "Flags":
            found.append(Thing(names[key], group, own))
    return sorted(found, key=lambda thing: (thing.group, thing.name))


def resvg(svg: str, side: int) -> bytes:
    """An SVG drawn to PNG, its longer side `side` pixels. resvg draws alike on every machine, with no font and no browser."""
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))


def draw(svg: str, render: Callable[[str, int], bytes] = resvg) -> Image.Image | None:
    """One tile on white, RGB (TILE, TILE); None where nothing was drawn."""
    with Image.open(io.BytesIO(render(svg, 2 * TILE))) as picture:
        picture = picture.convert("RGBA")
    canvas = Image.new("RGBA", (2 * TILE, 2 * TILE), "white")
    place = ((2 * TILE - picture.width) // 2, (2 * TILE - picture.height) // 2)
    canvas.alpha_composite(picture, place)
    tile = canvas.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
    return None if tile.getextrema() == ((255, 255),) * 3 else tile


def build(folder: Path | str, out: Path | str = FOLDER, render: Callable[[str, int], bytes] = resvg) -> dict:
    """Draws all sheets and writes them with things.json. Returns what things.json holds.

    What does not render is left out, counted and named on standard error.
    """
    sets = [EmojiSet(package, Path(folder)) for package in PACKAGES]
    things, out = choose_things(sets), Path(out)
    index = {"tile": TILE, "things": [[t.name, t.group] for t in things], "styles": []}
    for one in sets:
        style, present, failed = one.package.name, [], []
        sheet = Image.new("RGB", sheet_size(len(things)), "white")
        for number, thing in enumerate(things):
            if style not in thing.icons:
                continue
            tile = draw(one.svg(thing.icons[style]), render)
            if tile is None:
                failed.append(thing.name)
                continue
            sheet.paste(tile, tile_box(number)[:2])
            present.append(number)
        if failed:
            print(f"{style}: {len(failed)} did not render and are left out: {', '.join(failed[:10])}", file=sys.stderr)
        with atomic_write(out / f"{style}.webp") as path:
            sheet.save(path, "WEBP", lossless=True, quality=100, method=6, exact=True)
        p = one.package
        entry = {"name": style, "package": f"@iconify-json/{p.name}", "version": p.version, "licence": p.licence}
        entry |= {"credit": p.credit, "sha256": hashlib.sha256((out / f"{style}.webp").read_bytes()).hexdigest()}
        index["styles"].append(entry | {"count": len(present), "missing": sorted(set(range(len(things))) - set(present))})
        print(f"{style}: {len(present)} of {len(things)} things", file=sys.stderr)
    with atomic_write(out / INDEX) as path:
        path.write_text(json.dumps(index, separators=(",", ":")) + "\n")
    return index


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m var_mini.data.things_build", description="Draws the sheets of the data set.")
    parser.add_argument("packages", type=Path, help="folder with the packages as `npm pack` leaves them")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    try:
        index = build(options.packages, options.out)
    except (ValueError, OSError) as error:
        print(f"things: {error}", file=sys.stderr)
        return 2
    total = sum(style["count"] for style in index["styles"])
    print(f"{len(index['things'])} things, {total} pictures in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
