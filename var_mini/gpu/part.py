"""One part as a process: python -m var_mini.gpu.part NAME FILE SECONDS [--dry] [--training SECONDS]."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch

from . import PARTS
from .report import Report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m var_mini.gpu.part")
    parser.add_argument("name", choices=PARTS)
    parser.add_argument("file", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--training", type=float, default=0.0)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    report = Report(options.file, options.name, options.seconds, options.dry, options.training)
    if options.dry:
        torch.set_num_threads(1)
    try:
        importlib.import_module(f"var_mini.gpu.{options.name}").run(report)
    except BaseException as error:
        report.state = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".strip()
        report.save()
        raise
    report.state = "finished"
    report.save()


if __name__ == "__main__":
    main()
