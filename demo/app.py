"""Assembles the page from its tabs and serves it. Looks live here, words in wording.py, behaviour in the tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from . import draw_tab, wording

QUEUE_SIZE = 16  # visitors who may wait; one model serves all of them in turn

STYLE = Path(__file__).with_name("style.css")


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
    with gr.Blocks(title=wording.TITLE, analytics_enabled=False) as page:
        gr.HTML(f"<h1>{wording.TITLE}</h1><p>{wording.SENTENCE}</p>", elem_classes="vm-title", apply_default_css=False)
        draw_tab.build_tab(default_model)
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
        css=STYLE.read_text(),
        **options,
    )
    return page
