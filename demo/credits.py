"""Whose work the page shows, and under which licences."""

from __future__ import annotations

from pathlib import Path

import var_mini
from var_mini import checkpoints
from var_mini.ui.modules import FOLDER


def licences() -> str:
    """This project's licence, and the notes of the pictures and of the vendored scripts."""
    notes = [checkpoints.ASSETS / folder / "README.md" for folder in ("things", "samples")]
    own = Path(var_mini.__file__).parents[1] / "LICENSE"
    texts = [path.read_text(encoding="utf-8") for path in [own, *notes, FOLDER / "vendor" / "README.md"] if path.is_file()]
    return ("\n" + 80 * "-" + "\n\n").join(texts)
