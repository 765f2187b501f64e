"""results, models: what is stored here."""

from __future__ import annotations

from .. import checkpoints


def add(commands) -> None:
    """Adds the two commands to the parser."""
    p = commands.add_parser("results", help="the tables of docs and of assets/results, from stored results")
    p.set_defaults(run=results)
    p = commands.add_parser("models", help="list the models that can be loaded by name")
    p.set_defaults(run=models)


def results(options) -> None:
    from ..view.results import all_tables

    print("\n\n".join(all_tables(checkpoints.ASSETS / "results")))


def models(options) -> None:
    for name in checkpoints.available():
        print(name)
    for name in checkpoints.OFFICIAL:
        print(f"{name}  (published weights, from the Hub or with --weights FOLDER)")
