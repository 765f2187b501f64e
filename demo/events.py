"""What an event of the browser carries, checked: anybody may send anything."""

from __future__ import annotations

import gradio as gr

from var_mini import validate


def event_field(event: gr.EventData, field: str):
    """One entry of what an event of the browser carries. Raises ValueError where it carries nothing of the kind."""
    carried = getattr(event, "_data", None)
    if not isinstance(carried, dict) or field not in carried:
        raise ValueError(f"event = {validate.shown(carried)}: must be a JSON object with {field!r}")
    return carried[field]
