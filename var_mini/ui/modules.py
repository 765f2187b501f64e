"""Which scripts of the front end a host needs."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r"^import (.*) from '(\.[^']+)';$", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


def imported(*entries: str) -> list[str]:
    """The scripts that these import, and these, as paths below FOLDER in the order of the alphabet."""
    found, left = [], [FOLDER / entry for entry in entries]
    while left:
        path = left.pop()
        if path in found:
            continue
        found.append(path)
        left += _asked(path)
    return sorted(path.relative_to(FOLDER).as_posix() for path in found)


def inlined(entry: str) -> str:
    """This script and all that it imports as one text, for hosts that take no more than one: its exports become constants there.

    Every script becomes a function that is called once, those that are imported first.
    """
    order: list[Path] = []

    def visit(path: Path) -> None:
        for asked in _asked(path):
            visit(asked)
        if path not in order:
            order.append(path)

    visit(FOLDER / entry)

    def taken(path: Path, found: re.Match) -> str:
        return f"const {found[1].replace(' as ', ': ')} = module_{order.index((path.parent / found[2]).resolve())};"

    parts = []
    for i, path in enumerate(order):
        text = path.read_text(encoding="utf-8")
        names = ", ".join(EXPORT.findall(text))
        body = EXPORT.sub("", IMPORT.sub(lambda found, path=path: taken(path, found), text))
        parts.append(f"const module_{i} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();")
    return "\n".join([*parts, f"const {{ {names} }} = module_{len(order) - 1};"])


def _asked(path: Path) -> list[Path]:
    """The scripts that one imports itself."""
    return [(path.parent / name).resolve() for _, name in IMPORT.findall(path.read_text(encoding="utf-8"))]
