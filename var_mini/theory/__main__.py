"""python -m var_mini.theory NAME [--json]: runs one paper's experiment at laptop size, on one thread, and prints its numbers."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time

import torch

from ..cost.machine import machine_facts

NAMES = ("var_pass", "circuits", "lora", "tensor_attention", "forecasting", "fixed_points")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 fine, 2 bad input."""
    parser = argparse.ArgumentParser(prog="python -m var_mini.theory", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="which paper's experiment")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    begin = time.monotonic()
    try:
        result = importlib.import_module(f".{options.name}", __package__).experiment()
    except (ValueError, OSError) as error:  # OSError: a data set that cannot be read
        print(f"error: {error}", file=sys.stderr)
        return 2
    result |= {"experiment": options.name, "seconds": time.monotonic() - begin, "machine": machine_facts()}
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
