"""Assembles the page from its tabs and serves it. Looks live here, words in wording.py, behaviour in the tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from . import api, cost_tab, draw_tab, edit_tab, explorer, lowrank_tab, masks_tab, models, tokenize_tab, tour, wording

TITLE = "VAR Mini"
MAX_FILE_SIZE = "16mb"  # of an upload
QUEUE_SIZE = 64  # visitors who may wait; one model serves all of them in turn

STYLE = Path(__file__).with_name("style.css")
# In the order of a lesson; each builds its own tab, and nothing in one tab knows of another.
TABS = {
    "draw": draw_tab,
    "tokenize": tokenize_tab,
    "masks": masks_tab,
    "lowrank": lowrank_tab,
    "cost": cost_tab,
    "edit": edit_tab,
}


def theme() -> gr.themes.ThemeClass:
    """System fonts only: nothing is fetched from anywhere."""
    subdued = {"body_text_color_subdued": "*neutral_500", "block_info_text_color": "*neutral_500"}  # by default too pale
    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=("ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(**subdued)


def build(default_model: str) -> gr.Blocks:
    """The page, not yet served. Raises ValueError where `default_model` is neither a model's name nor a checkpoint folder."""
    models.offer(default_model)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_classes="vm-title", apply_default_css=False)
        gr.Markdown(wording.shown("sentence"))
        tour.build()
        with gr.Tabs(elem_id="vm-tabs"):
            for name, tab in TABS.items():
                with gr.Tab(wording.shown(f"tab_{name}"), id=name, elem_id=f"vm-tab-{name}"):
                    tab.build_tab(default_model)
        api.build()
    return page


def launch(default_model: str, host: str = "127.0.0.1", port: int | None = None, **options) -> gr.Blocks:
    """Builds and serves the page; `options` go to Blocks.launch. Without `prevent_thread_lock` it returns on Ctrl-C."""
    page = build(default_model).queue(max_size=QUEUE_SIZE)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        footer_links=[],
        theme=theme(),
        css=STYLE.read_text() + explorer.CSS.read_text(),
        i18n=wording.I18N,
        max_file_size=MAX_FILE_SIZE,
        **options,
    )
    return page
