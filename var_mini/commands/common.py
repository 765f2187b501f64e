"""What commands share: how results are printed, and options that several take."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .. import validate

if TYPE_CHECKING:
    import torch


def add_dtype(parser: argparse.ArgumentParser, note: str = "16-bit weights: half the memory") -> None:
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help=note)


def refuse_unused(command: str, takes: dict[str, set[str]], options: argparse.Namespace) -> None:
    """Raises ValueError naming the first option that `options.what` would leave aside, and what takes it.

    takes   for every `what` of the command, the options that it reads
    options.defaults holds the default of each option of which some `what` takes no notice: at it, nobody asked for anything.
    """
    for name, default in sorted(options.defaults.items()):
        value = getattr(options, name)
        if name not in takes[options.what] and value != default:
            takers = ", ".join(what for what in takes if name in takes[what])
            value = str(value) if isinstance(value, Path) else value
            raise ValueError(f"{name} = {validate.shown(value)}: is an option of {command} {takers} alone")


def show(result: dict, as_json: bool, device: torch.device | str = "cpu") -> dict:
    """Prints a result with the facts of this machine, and returns it so."""
    from ..cost.machine import machine_facts

    result = {**result, "machine": machine_facts(device)}
    if as_json:
        print(json.dumps(result))
        return result
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(_as_table(key, value))
        else:
            print(f"{key:28} {value}")
    return result


def _as_table(title: str, rows: list[dict]) -> str:
    """Rows of one kind as aligned text, numbers to four digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in (row.get(n, "") for n in names)] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells)]
    return "\n".join([f"{title}:"] + ["  ".join(c.rjust(w) for c, w in zip(line, widths)) for line in [names, *cells]])


def whole(name: str, text: str) -> int:
    """A whole number in an option's text. Raises ValueError naming the option."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} = {validate.shown(text)}: must be whole numbers") from None
