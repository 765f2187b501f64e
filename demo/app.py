"""Assembles the page from its tabs and serves it. Looks live here, words in wording.py, behaviour in the tabs."""

from __future__ import annotations

import gradio as gr

from . import draw_tab, wording

QUEUE_SIZE = 16  # visitors who may wait; one model serves all of them in turn

# Only colours of the theme's variables, so dark mode follows; the three phases keep the colour-blind-safe hues of Okabe and Ito.
CSS = """
.gradio-container { --vm-attention: #0072b2; --vm-transformer: #e69f00; --vm-decoder: #009e73; }
.dark .gradio-container, .gradio-container.dark { --vm-attention: #56b4e9; }
.vm-title h1 { font-size: 1.6rem; font-weight: 700; letter-spacing: -.02em; margin: 0 0 4px; color: var(--body-text-color); }
#vm-stage .html-container, .vm-title .html-container { padding: 0; }
.vm-title p { margin: 0; line-height: 1.5; color: var(--body-text-color-subdued); }
.vm-controls { align-items: flex-end; }
.vm-controls > button { align-self: flex-end; min-height: 42px; }

.vm-stage { display: grid; grid-template-columns: minmax(0, 1fr) 280px; gap: 16px; color: var(--body-text-color); }
/* Gradio prefixes every selector and breaks :is(); so the reset is spelled out */
.vm-stage p, .vm-stage h2, .vm-stage h3, .vm-stage ol, .vm-stage dl, .vm-stage dd, .vm-stage dt {
  margin: 0; padding: 0; font: inherit; color: inherit; }
.vm-card { border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 16px;
  background: var(--block-background-fill); min-width: 0; }
.vm-head { display: grid; gap: 2px; margin-bottom: 10px; }
.vm-stage .vm-note { font-weight: 600; overflow-wrap: anywhere; }
.vm-stage .vm-facts { font-size: .85rem; color: var(--body-text-color-subdued); }
.vm-stage .vm-needs { margin-bottom: 12px; padding: 8px 12px; border-left: 3px solid var(--vm-transformer); font-size: .85rem;
  background: var(--background-fill-secondary); }

.vm-strip { display: flex; gap: 20px; overflow-x: auto; padding-bottom: 6px; outline-offset: 4px; }
.vm-stage .vm-strip ol { display: flex; gap: 14px; list-style: none; }
.vm-strip li::marker { content: none; }
.vm-scale, .vm-rows { --picture: 104px; }
.vm-scale { flex: none; width: var(--picture); }
.vm-stage .vm-scale h3 { font-weight: 600; line-height: 18px; margin-bottom: 6px; }
.vm-stage h3 span { display: block; line-height: 16px; font-weight: 400; font-size: .78rem;
  color: var(--body-text-color-subdued); }
.vm-stage .vm-waiting h3, .vm-stage .vm-waiting dd, .vm-stage .vm-waiting .vm-total { color: var(--body-text-color-subdued); }
.vm-stage .vm-picture { display: block; box-sizing: border-box; width: var(--picture); height: var(--picture); max-width: none;
  margin: 0 0 10px; border: 1px solid var(--border-color-primary); border-radius: 6px; image-rendering: pixelated; }
.vm-empty { background: var(--background-fill-secondary); }
.vm-empty path { fill: none; stroke: var(--border-color-primary); vector-effect: non-scaling-stroke; }
.vm-stage .vm-total { font-weight: 600; line-height: 20px; font-variant-numeric: tabular-nums; }
.vm-bar { display: flex; height: 6px; margin: 4px 0 6px; border-radius: 3px; overflow: hidden;
  background: var(--background-fill-secondary); }
.vm-attention { background: var(--vm-attention); } .vm-transformer { background: var(--vm-transformer); }
.vm-decoder { background: var(--vm-decoder); }
.vm-stage dl { font-size: .78rem; line-height: 18px; font-variant-numeric: tabular-nums; }
.vm-stage dl > div { display: flex; justify-content: space-between; gap: 12px; }
.vm-stage dt { color: var(--body-text-color-subdued); }
.vm-stage .vm-entropy { margin-top: 6px; padding-top: 6px; border-top: 1px solid var(--border-color-primary); }

.vm-rows { flex: none; width: 150px; padding-top: 40px; font-size: .78rem; line-height: 1.35; }
.vm-rows > div { display: flex; flex-direction: column; gap: 2px; box-sizing: border-box; }
.vm-rows span { color: var(--body-text-color-subdued); }
.vm-row-map, .vm-row-image { height: calc(var(--picture) + 10px); }
.vm-row-time { height: 96px; }
.vm-stage dt i { display: inline-block; width: 8px; height: 8px; margin-right: 5px; border-radius: 2px; }

.vm-stage .vm-result h2 { font-weight: 600; margin-bottom: 12px; }
.vm-stage .vm-final { width: 100%; height: auto; aspect-ratio: 1; border-radius: 8px; }
.vm-stage .vm-caption { font-weight: 600; margin-bottom: 10px; overflow-wrap: anywhere; }
.vm-result dl > div { padding: 4px 0; border-top: 1px solid var(--border-color-primary); }
.vm-result dd { text-align: right; overflow-wrap: anywhere; min-width: 0; }
.vm-result dt { flex: none; }
.vm-stage .vm-result div:nth-child(4) dd { min-height: 36px; } /* room for two lines, so that nothing moves when the name comes */

@media (max-width: 900px) { .vm-stage { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 640px) { .vm-rows { display: none; } .vm-card { padding: 12px; }
  .vm-stage .vm-note { min-height: 3em; line-height: 1.5; } }
"""


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
        css=CSS,
        **options,
    )
    return page
