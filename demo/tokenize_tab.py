"""The tab that takes a picture apart into scales and puts it together again."""

from __future__ import annotations


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
