"""python -m var_mini.checks list | grade: the exercises, and the score of a student's notebook.

python -m var_mini.checks list [--json]
python -m var_mini.checks grade notebook.ipynb
"""

from __future__ import annotations

import argparse
import json
import sys

from ..cost.machine import machine_facts
from .grade import describe, grade
from .isolation import MODES
from .registry import exercises, number_of


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m var_mini.checks", description="Exercises of the lessons.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all exercises with difficulty and minutes")
    listing.add_argument("--json", action="store_true", help="as one JSON object")
    grading = commands.add_parser("grade", help="runs a student's notebook in a limited process; prints its score as JSON")
    grading.add_argument("notebook", help="the .ipynb file")
    grading.add_argument("--seconds", type=float, default=600, help="limit of the whole notebook (default 600)")
    grading.add_argument("--call-seconds", type=float, default=20, help="limit of one call of a function (default 20)")
    grading.add_argument("--memory-mb", type=int, default=4096, help="limit of all its processes (default 4096)")
    grading.add_argument(
        "--isolate",
        choices=MODES,
        default="auto",
        help="`namespaces` refuses to run where the system has none, `process` does without them (default: auto)",
    )
    options = parser.parse_args(arguments)
    if options.command == "list":
        return _list(options.json)
    try:
        result = grade(options.notebook, options.seconds, options.call_seconds, options.memory_mb, options.isolate)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for gap in result["not_isolated"]:
        print(f"not isolated: {gap}", file=sys.stderr)
    print(json.dumps({**result, "machine": machine_facts()}))
    return 0


def _list(as_json: bool) -> int:
    found = list(exercises().values())
    if as_json:
        print(json.dumps({"exercises": [describe(exercise) for exercise in found], "machine": machine_facts()}))
        return 0
    lines = [f"{number_of(one):6}{one.name:32}difficulty {one.difficulty}  {one.minutes:3} minutes" for one in found]
    print("\n".join(lines))  # at once: `| head` may stop reading after a few
    return 0


if __name__ == "__main__":
    sys.exit(main())
