"""The names of the things in Chinese, as Unicode's Common Locale Data Repository (CLDR) has them: what the page calls them there.

    python -m var_mini.data.things_names PACKAGE [--out var_mini/ui/names/zh.json]

PACKAGE is the file that `npm pack cldr-annotations-modern@45.0.0` leaves. The sets of `things` name their drawings after CLDR's
English names; an emoji's Chinese name stands under the same character.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tarfile
from pathlib import Path

from ..files import atomic_write
from .things import FOLDER, INDEX

SHA256 = "5f5ffa422353fa992b5932824f343bd247c325f99326cb0e353ffc851bc1c32b"  # of the packed file
RENAMED = {  # CLDR's names of today for five that the sets know under older ones
    "direct-hit": "bullseye",
    "pistol": "water-pistol",
    "hugging-face": "smiling-face-with-open-hands",
    "pouting-face": "enraged-face",
    "dizzy-face": "face-with-crossed-out-eyes",
}
NAMES = Path(__file__).parents[1] / "ui" / "names" / "zh.json"


def chinese_names(package: Path, things: list[str]) -> dict[str, str]:
    """Thing -> its name in Chinese. Raises ValueError for another package, or a thing that CLDR does not name."""
    if (found := hashlib.sha256(package.read_bytes()).hexdigest()) != SHA256:
        raise ValueError(f"package = {package.name!r}: has SHA-256 {found}, not {SHA256} of cldr-annotations-modern 45.0.0")
    with tarfile.open(package) as packed:
        english, chinese = (_spoken(packed, language) for language in ("en", "zh"))
    named = {slug(name): chinese[emoji] for emoji, name in english.items() if emoji in chinese}
    if missing := [thing for thing in things if RENAMED.get(thing, thing) not in named]:
        raise ValueError(f"CLDR has no name for {', '.join(missing)}")
    return {thing: named[RENAMED.get(thing, thing)] for thing in things}


def _spoken(packed: tarfile.TarFile, language: str) -> dict[str, str]:
    """Emoji -> its short name, which CLDR calls tts, for text to speech."""
    file = packed.extractfile(f"package/annotations/{language}/annotations.json")
    assert file is not None  # the hash has told that the file is there
    return {emoji: told["tts"][0] for emoji, told in json.load(file)["annotations"]["annotations"].items() if "tts" in told}


def slug(name: str) -> str:
    """CLDR's name as the sets write it: "Japanese “free of charge” button" -> japanese-free-of-charge-button."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub("['\u2018-\u201d]", "", name.lower())).strip("-")


def _lines(names: dict[str, str]) -> list[str]:
    """A few names a line, so that a change of one is seen as one."""
    entries = [f"{json.dumps(name)}: {json.dumps(shown, ensure_ascii=False)}" for name, shown in names.items()]
    return [" " + ", ".join(entries[i : i + 4]) for i in range(0, len(entries), 4)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m var_mini.data.things_names", description="Writes the names of the things in Chinese."
    )
    parser.add_argument("package", type=Path, help="cldr-annotations-modern-45.0.0.tgz")
    parser.add_argument("--out", type=Path, default=NAMES)
    options = parser.parse_args(argv)
    things = [name for name, _ in json.loads((FOLDER / INDEX).read_text(encoding="utf-8"))["things"]]
    try:
        names = chinese_names(options.package, things)
        with atomic_write(options.out) as path:
            path.write_text("{\n" + ",\n".join(_lines(names)) + "\n}\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} names written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
