"""Assembles the page from its chapters and serves it. Looks live here, words in words/, behaviour in the chapters."""

from __future__ import annotations

import importlib
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from var_mini import checkpoints

from . import BESIDE, CHAPTERS, STORY, api, bodies, front, guard, heap, models, preview, uploads, waiting, wording
from .chapters import limits, tour
from .hosting import SHARED, Hosting

TITLE = preview.TITLE
QUEUE_SIZE = 64  # runs that may wait; one model serves all of them in turn
SESSIONS = 1000  # visitors of whom Gradio remembers what sessions.py leaves of it
UPLOADS_KEPT = (600, 3600)  # every so many seconds, what Gradio itself made and is older than so many is deleted

STYLE = Path(__file__).with_name("style.css")
BUILT = {name: importlib.import_module(f".chapters.{name}", __package__) for name in CHAPTERS}


def theme() -> gr.themes.ThemeClass:
    """System fonts only: nothing is fetched from anywhere. Colours that Gradio has too pale are darker, for 4.5 to 1 as text."""
    readable = {
        "body_text_color_subdued": "*neutral_500",
        "block_info_text_color": "*neutral_500",
        "checkbox_border_color_dark": "*neutral_500",
        "color_accent": "#5b5ef0",  # between indigo 500 and 600; as text on white, and under white text
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
    }
    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=("ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(**readable)


def build(default_model: str) -> gr.Blocks:
    """The page, not yet served. Raises ValueError where `default_model` is neither a model's name nor a checkpoint folder."""
    models.offer(default_model)
    with guard.Page(title=TITLE, analytics_enabled=False, delete_cache=UPLOADS_KEPT) as page:
        api.build()  # first, or a chapter's listener of the same name would take an endpoint's
        with gr.Column(elem_id="vm-chapters"):
            _chapters(STORY, default_model)
            limits.build()
            tour.build()
            _chapters(BESIDE, default_model)
        waiting.build()
    return page


def _chapters(names: tuple[str, ...], default_model: str) -> None:
    for name in names:
        with gr.Column(elem_id=f"vm-chapter-{name}"):
            BUILT[name].build(default_model)


def launch(
    default_model: str,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    hosting: Hosting | None = None,
    **options,
) -> gr.Blocks:
    """Builds and serves the page; `options` go to Blocks.launch. Without `prevent_thread_lock` it returns on Ctrl-C.

    `share` asks Gradio's server for a public link that lives a week and leads through it to this machine. `port` None takes
    a free one.
    """
    hosting = hosting or Hosting()
    if not options.get("prevent_thread_lock"):  # a service manager's signal ends it as Ctrl-C does, or uploads would stay behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if default_model in checkpoints.OFFICIAL:
        models.load_model(default_model)  # who runs the server may download it, and nobody else waits for that
    if share:
        hosting = replace(hosting, allowed_hosts=(*hosting.allowed_hosts, SHARED))
    # uvicorn reads it, and would otherwise believe whatever a visitor of this machine forwards
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(hosting.trusted_proxies)
    uploads.private_folder()
    heap.share()
    page = build(default_model).queue(hosting, max_size=QUEUE_SIZE, api_open=False)  # no way past the queue
    kept = uploads.Uploads(os.environ["GRADIO_TEMP_DIR"], page.upload_file_set, hosting.per_address, page._queue.files)
    door = guard.Door(page, hosting, kept)
    page.launch(
        server_name=host,
        server_port=port or free_port(host),
        root_path=hosting.root_path,
        share=share,
        ssr_mode=False,
        enable_monitoring=False,
        show_error=False,
        state_session_capacity=SESSIONS,
        app_kwargs={
            "lifespan": door.around,
            "middleware": [Middleware(preview.Renamed, hosting=hosting, added=front.added), Middleware(guard.Sentences)],
        },
        footer_links=[],
        theme=theme(),
        css=STYLE.read_text(),
        i18n=wording.I18N,
        max_file_size=bodies.MAX_FILE,
        **options,
    )
    return page


def free_port(host: str) -> int:
    """A port that is free now. Gradio would look for one in a fixed range, where several servers may meet."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
