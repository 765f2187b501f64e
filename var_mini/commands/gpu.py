"""gpu: what only a GPU can prove."""

from __future__ import annotations

from pathlib import Path


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("gpu", help="prove what only a GPU can prove, and time it")
    p.add_argument("--out", type=Path, required=True, help="folder for one JSON a part, and gpu.json with all of them")
    p.add_argument("--minutes", type=float, help="in all (default 10); what is beyond 10 trains a model")
    p.add_argument("--only", help="parts, with commas: facts, kernels, generate, scaling, speed, train (default: all)")
    p.add_argument("--dry", action="store_true", help="tiny sizes on the CPU: proves the kit, not a GPU")
    p.set_defaults(run=run)


def run(options) -> int:
    from ..gpu.runner import run

    return run(options.out, options.minutes, options.only, options.dry)
