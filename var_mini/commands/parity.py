"""parity: comparison with arrays of the official implementation."""

from __future__ import annotations

from pathlib import Path

from .common import show


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("parity", help="compare with arrays of the official implementation")
    p.add_argument("file", type=Path)
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=run)


def run(options) -> int:
    from ..analysis.parity import compare

    result = compare(options.file)
    show(result, options.json)
    return 0 if result["ok"] else 1
