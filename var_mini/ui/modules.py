"""Which scripts of the front end a host needs."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r"^import .* from '(\.[^']+)';$", re.MULTILINE)


def imported(*entries: str) -> list[str]:
    """The scripts that these import, and these, as paths below FOLDER in the order of the alphabet."""
    found, left = [], [FOLDER / entry for entry in entries]
    while left:
        path = left.pop()
        if path in found:
            continue
        found.append(path)
        left += [(path.parent / name).resolve() for name in IMPORT.findall(path.read_text(encoding="utf-8"))]
    return sorted(path.relative_to(FOLDER).as_posix() for path in found)
