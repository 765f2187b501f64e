"""The tab that switches attention from exact to low-rank and shows what changes and where it breaks."""

from __future__ import annotations


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
