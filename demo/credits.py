"""Whose work the page shows, and under which licences."""

from __future__ import annotations

from pathlib import Path

import var_mini
from var_mini import checkpoints
from var_mini.ui.modules import FOLDER

THEIRS = (FOLDER / "vendor" / "README.md", FOLDER / "names" / "README.md", FOLDER / "names" / "LICENSE-unicode.txt")


def licences() -> str:
    """This project's licence, and the notes of the pictures of the vendored scripts and of the names in Chinese."""
    notes = [checkpoints.ASSETS / folder / "README.md" for folder in ("things", "samples")]
    own = Path(var_mini.__file__).parents[1] / "LICENSE"
    texts = [path.read_text(encoding="utf-8") for path in [own, *notes, *THEIRS] if path.is_file()]
    return ("\n" + 80 * "-" + "\n\n").join(texts)
