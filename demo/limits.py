"""The last chapter of the page, #limits: four small experiments with a slider each (var_mini/ui/views/Limits.js)."""

from __future__ import annotations

import gradio as gr

from var_mini.theory.sliders import ranges

from . import front

SCRIPT = front.MODULE + ".then((host) => host.limits(element, props.sliders));"


def build() -> None:
    """Adds the chapter to the Blocks being built; it asks through the bridge, which is built with the first tab."""
    gr.HTML(
        html_template='<div class="vu"></div>', js_on_load=SCRIPT, sliders=ranges(), apply_default_css=False, elem_id="vm-limits"
    )
