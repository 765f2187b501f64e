"""The last chapter of the page, #limits: what papers prove, beside recorded curves (var_mini/ui/views/Limits.js)."""

from __future__ import annotations

import gradio as gr

from .. import scripts
from . import frame

SCRIPT = scripts.MODULE + ".then((host) => host.limits(element));"


def build() -> None:
    """Adds the chapter to the Blocks being built."""
    gr.HTML(html_template=frame.PLACE, js_on_load=SCRIPT, apply_default_css=False, elem_id="vm-limits", elem_classes="vm-chapter")
