"""The chapter on the run of the first screen: its numbers, a comparison, neighbours, files."""

from __future__ import annotations

import gradio as gr

from .. import bridge, runs, scripts, stale, wording
from ..errors import readable
from . import compare, frame, gallery

NUMBERS = scripts.MODULE + ".then((host) => host.numbers(element));"


def compared(record, versus, request: gr.Request = None) -> tuple:
    """As `compare.compare`, of the settings that the first screen shows; what is wrong with them becomes a gr.Error."""
    try:
        area, html = compare.compare(runs.from_record(record), versus, wording.language(request))
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None
    return area, stale.of(record, html)


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built."""
    t = wording.shown
    frame.head("numbers", default_model)
    gr.HTML(html_template='<div class="vu vu-run"></div>', js_on_load=NUMBERS, apply_default_css=False, elem_id="vm-run")
    link = bridge.build()
    with gr.Row(elem_classes="vm-controls"):
        versus = compare.control()
        run = gr.Button(t("compare_run"), scale=1, min_width=150, elem_id="vm-compare-run")
    area = compare.build_area()
    record = gr.JSON(visible=False)
    both = "(_, versus) => [window.varMini?.record() ?? null, versus]"
    run.click(
        compared,
        [record, versus],
        area,
        js=both,
        concurrency_id="model",
        concurrency_limit=1,
        show_progress="hidden",
        api_name="area",
        api_visibility="private",
    )
    stale.follow([versus], [area[1]])
    gallery.build(link)
    frame.foot("numbers")
    # the choices of a list are put into the visitor's language by the server alone
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    gr.context.Context.root_block.load(compare.translated, None, versus, **quiet)
