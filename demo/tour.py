"""The guided tour: about ten steps through the tabs, each with a question to answer before anything moves."""

from __future__ import annotations


def build() -> None:
    """Adds the tour to the Blocks being built."""
