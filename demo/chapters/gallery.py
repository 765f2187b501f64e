"""Around a run: neighbouring seeds, nearest training images, exports, and a trace read back."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from PIL import Image

from var_mini import data as datasets
from var_mini import validate
from var_mini.analysis import neighbours
from var_mini.analysis.editing import picture_of_ids
from var_mini.generation import Trace
from var_mini.generation.sampling import MAX_SEED
from var_mini.view import questions
from var_mini.view.images import enlarge, strip, to_uint8
from var_mini.view.payload import payload

from .. import gate, models, runs, stale, wording
from ..errors import message, readable

SEEDS = 8
NEAREST = 4
EXPORTED = 256  # least side of an exported GIF, pixels
GIF_MS, GIF_LAST_MS = 500, 2000
MAX_TRACE_BYTES = 16 * 1024 * 1024
ERRORS = (ValueError, OSError, RuntimeError, MemoryError)


def data_uri(picture: Image.Image) -> str:
    """A PNG inside the page itself: no file on the server, no further request."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _figure(pixels: np.ndarray, alt: str, caption: str) -> str:
    uri = data_uri(Image.fromarray(pixels))
    return f'<figure><img src="{uri}" alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _row(title: str, figures: list[str], note: str = "") -> str:
    tail = f"<p>{escape(note)}</p>" if note else ""
    return f'<section class="vm-gallery"><h3>{escape(title)}</h3><div>{"".join(figures)}</div>{tail}</section>'


def more_seeds(record, request: gr.Request = None) -> str:
    """The next seeds of the same settings, drawn as one batch."""
    language = wording.language(request)
    try:
        s = runs.from_record(record)
        first = min(s.seed, MAX_SEED - SEEDS + 1)
        seeds = list(range(first, first + SEEDS))
        images = models.load_model(s.name).model.sample_images(
            [s.label] * SEEDS, seeds, s.sampling, attention=s.attention, style=s.style
        )
    except ERRORS as error:
        raise readable(error) from None
    subject = s.subject(language)
    figures = [_figure(to_uint8(image), f"{subject}, {seed}", str(seed)) for image, seed in zip(images, seeds)]
    row = _row(wording.text("more_title", language, first=seeds[0], last=seeds[-1], subject=subject), figures)
    return stale.of(record, row)


def nearest(record, request: gr.Request = None) -> str:
    """The run's image beside the training images nearest to it."""
    language = wording.language(request)
    try:
        s = runs.from_record(record)
        data = _training_images(s.config.data, language)
        trace = runs.trace(s)
        found = neighbours.nearest(trace, NEAREST, data)
    except ERRORS as error:
        raise readable(error) from None
    drawn = wording.text("drawn", language)
    figures = [_figure(to_uint8(trace.image[0]), drawn, drawn)]
    for image, distance, known in zip(found.images[0], found.distances[0], found.names[0]):
        thing, bracket, style = known.partition(" (")  # as data sets with styles name their pictures
        name = wording.named(thing, language) + bracket + style
        figures.append(_figure(to_uint8(image.float() / 255), name, f"{name}, {distance:.2f}"))
    return stale.of(record, _row(wording.text("nearest_title", language), figures, wording.text("nearest_note", language)))


def _training_images(name: str, language: str) -> datasets.ImageData | None:
    """The data set of this name, or None. Raises ValueError where it is not here: no visitor starts a download."""
    if name not in datasets.REGISTRY:
        return None
    if not datasets.is_here(name):
        raise ValueError(wording.text("nearest_absent", language, name=name))
    return datasets.load(name)


# -- exports ---------------------------------------------------------------------------------------------------------


def export(query) -> dict:
    """For the browser: a run as a file, {settings, kind} -> {name, type, data in base64}, or {error}.

    `ids` are the token maps of a run that came out of a file, which is not what its settings draw here.
    """
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        kind, settings = str(query.get("kind")), runs.from_record(query.get("settings"))
        write = {"png": _png, "gif": _gif, "trace": _trace}.get(kind)
        if write is None:
            raise ValueError(f"kind = {kind[:20]!r}: must be one of gif, png, trace")
        if query.get("ids") is None:
            trace = runs.trace(settings)
        elif write is _trace:
            raise ValueError(wording.text("export_opened"))
        else:
            ids = questions.checked_ids(settings.config, query["ids"])
            trace = picture_of_ids(models.load_model(settings.name).model, ids)
        content = base64.b64encode(write(settings, trace)).decode()
    except ERRORS as error:
        return {"error": message(error)}
    types = {"png": "image/png", "gif": "image/gif", "trace": "application/octet-stream"}
    name = f"{settings.config.name}-{settings.config.class_name(settings.label)}-{settings.seed}"
    return {
        "name": "".join(c if c.isalnum() or c in "-._" else "-" for c in name) + f".{kind}",
        "type": types[kind],
        "data": content,
    }


def _png(settings: runs.Settings, trace: Trace) -> bytes:
    buffer = io.BytesIO()
    codebook = models.load_model(settings.name).model.tokenizer.quantize.embedding.weight
    Image.fromarray(strip(trace, codebook)).save(buffer, format="PNG")
    return buffer.getvalue()


def _gif(settings: runs.Settings, trace: Trace) -> bytes:
    frames = []
    for step in trace.steps:
        pixels = to_uint8(step.image[0])
        frames.append(Image.fromarray(enlarge(pixels, len(pixels) * -(-EXPORTED // len(pixels)))))
    buffer = io.BytesIO()
    times = [GIF_MS] * (len(frames) - 1) + [GIF_LAST_MS]
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def _trace(settings: runs.Settings, trace: Trace) -> bytes:
    return trace.to_bytes()


def open_trace(content, request: gr.Request = None) -> dict:
    """A trace file that a visitor opened, as the explorer shows it. Nothing of it is run; anything unsound is an error.

    Nothing of it is kept either: the browser sends its token maps along with whatever is asked about it.
    """
    language = wording.language(request)
    try:
        if isinstance(content, str):  # how Gradio hands over a file that it did not read itself
            content = Path(content).read_bytes()
        if not isinstance(content, bytes) or len(content) > MAX_TRACE_BYTES:
            raise ValueError(wording.text("trace_large", language, most=f"{MAX_TRACE_BYTES:,}"))
        trace = Trace.load(content)
        config = _fitting(trace, language)
        settings = runs.from_record(trace.settings)
    except ERRORS as error:
        raise readable(error) from None
    colours = models.load_model(settings.name).colours
    shown = payload(Trace(settings.to_dict(), trace.steps), config, colours=colours)
    return {"opened": True, "run": shown | {"opened": True}}


def _fitting(trace: Trace, language: str):
    """The configuration of the trace's model. Raises ValueError unless the page offers it and every shape is its own."""
    told = ValueError(wording.text("trace_model", language, name=str(trace.settings.get("model"))[:60]))
    try:
        config = models.offered_config(trace.settings.get("model"))
    except ValueError:
        raise told from None
    t, size = config.tokenizer, config.tokenizer.image_size
    sides = tuple(step.side for step in trace.steps)
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    images = all(step.image is not None and tuple(step.image.shape[1:]) == (t.image_channels, size, size) for step in trace.steps)
    tops = [step.top_ids for step in trace.steps if step.top_ids is not None]
    codes = all(bool(((values >= 0) & (values < t.vocab_size)).all()) for values in [ids, *tops])
    if sides != config.pyramid.patch_nums or not images or not codes:
        raise told
    return config


# -- the row of buttons ------------------------------------------------------------------------------------------------

SAVE = """
const words = props.words[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
const box = element.querySelector('.vm-export'), say = box.querySelector('[role=status]');
const shown = () => window.varMini?.run();
for (const kind of ['png', 'gif', 'trace', 'link']) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = words[kind];
  button.dataset.kind = kind;
  button.addEventListener('click', async () => {
    say.textContent = '';
    if (kind === 'link') {
      try { await navigator.clipboard.writeText(location.href); say.textContent = words.copied; }
      catch (error) { say.textContent = location.href; } // no clipboard without a secure connection
      return;
    }
    const run = shown();
    if (!run || !run.settings.model) return;
    const file = await server.export({ settings: run.settings, kind, ids: run.opened ? run.scales.map((s) => s.ids) : null });
    if (file.error) { say.textContent = file.error; return; }
    const bytes = Uint8Array.from(atob(file.data), (c) => c.charCodeAt(0));
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([bytes], { type: file.type }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  box.insertBefore(button, say);
}
"""


# the settings of the first screen take the place of the empty input
SETTINGS = "() => window.varMini?.record() ?? null"


def build(bridge: gr.HTML) -> None:
    """The buttons for the run of the first screen, and the place for what they bring."""
    t = wording.shown
    with gr.Row(elem_classes="vm-actions"):
        more = gr.Button(t("more"), size="sm", min_width=130)
        near = gr.Button(t("nearest"), size="sm", min_width=130)
        opened = gr.UploadButton(t("load_trace"), type="binary", file_types=[".trace"], size="sm", min_width=130)
    gr.HTML(
        html_template='<div class="vm-export"><span role="status"></span></div>',
        js_on_load=SAVE,
        server_functions=[gate.served(export)],
        words=wording.part("export_"),
        apply_default_css=False,
        elem_id="vm-export",
    )
    brought = gr.HTML(apply_default_css=False, elem_id="vm-gallery")
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
    stale.follow([], [brought])
    record = gr.JSON(visible=False)
    more.click(more_seeds, record, brought, js=SETTINGS, **one_at_a_time)
    near.click(nearest, record, brought, js=SETTINGS, **one_at_a_time)
    opened.upload(open_trace, opened, bridge, **one_at_a_time)
