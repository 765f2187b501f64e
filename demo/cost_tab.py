"""The tab that measures time as resolution grows."""

from __future__ import annotations


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
