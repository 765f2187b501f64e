"""The last chapter of the page, #limits: four small experiments with a slider each (var_mini/ui/views/Limits.js)."""

from __future__ import annotations

import gradio as gr

from var_mini.theory.sliders import SLIDERS

from . import front

SCRIPT = front.MODULE + ".then((host) => host.limits(element, props.sliders));"


def ranges() -> dict[str, dict[str, float]]:
    """Of every experiment: the ends of its slider, the step, and where it begins."""
    return {name: {key: getattr(slider, key) for key in ("low", "high", "step", "start")} for name, slider in SLIDERS.items()}


def build() -> None:
    """Adds the chapter to the Blocks being built; it asks through the bridge, which is built with the first tab."""
    gr.HTML(
        html_template='<div class="vu"></div>', js_on_load=SCRIPT, sliders=ranges(), apply_default_css=False, elem_id="vm-limits"
    )
