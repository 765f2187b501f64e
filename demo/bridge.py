"""The component that links the front end (var_mini/ui) with this server: its draws, and its questions about runs.

A draw is an event, {number, settings, best_of}, that waits in the page's queue; the component's value then is {number, run} with
ever more scales, or {number, error}. Of several drawings the best is the run, and all of them come with its last scale, as
`drawings`. Everything else that the browser asks is a server function, which passes the gate.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import gradio as gr

from var_mini import validate
from var_mini.analysis.best_of import Drawing
from var_mini.generation import Trace
from var_mini.view import questions
from var_mini.view.images import to_uint8
from var_mini.view.payload import payload

from . import explorer, gate, guard, models, runs, scripts, wording
from .chapters import tokenize
from .errors import message, readable
from .events import event_field

MOST_DRAWN = 8  # pictures of which the best is shown
ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
# the names of the events must stand here in quotes, or the component does not know them
SCRIPT = scripts.MODULE + ".then((host) => host.connect({ props, trigger, watch, server, events: ['draw', 'stop'] }));"
# a draw that the queue refuses ends without a value
FAILED = "() => { window.varMini?.failed(); }"


def draw(event: gr.EventData) -> Iterator[dict]:
    """Yields {number, run} after every scale, with {drawings} in the end where the best of several was asked for;
    {number, error} where the settings are wrong or the run breaks off.
    """
    try:
        number = validate.integer("number", event_field(event, "number"), 0, 2**53)
    except ValueError as error:
        raise readable(error) from None
    try:
        settings = runs.from_record(event_field(event, "settings"))
        count = validate.integer("best_of", event_field(event, "best_of"), 1, MOST_DRAWN)
        drawings = runs.drawings(settings, count) if count > 1 else []
        for run in stream(replace(settings, seed=drawings[0].seed) if drawings else settings):
            whole = len(run["scales"]) == len(run["sides"])
            yield {"number": number, "run": run} | ({"drawings": list(map(shown, drawings))} if whole and drawings else {})
    except ERRORS as error:
        yield {"number": number, "error": message(error)}


def stream(settings: runs.Settings) -> Iterator[dict]:
    """The run so far, as `payload` writes it, after every scale."""
    trace = Trace(settings.to_dict())
    so_far = partial(payload, trace, settings.config, colours=models.load_model(settings.name).colours)
    for step in runs.draw(settings):
        trace.steps.append(step)
        yield so_far() | {"timed": models.timed()}


def shown(drawing: Drawing) -> dict:
    """A drawing as JSON: `share` is what the ranker makes of it, p(thing) p(style); the image is RGB bytes in base64."""
    image = base64.b64encode(to_uint8(drawing.image).tobytes()).decode()
    return {"seed": drawing.seed, "share": math.exp(drawing.score), "image": image}


def stop(request: gr.Request = None) -> None:
    """The run itself is cancelled by the queue; this only says so, where there was one."""
    running = guard.was_running(request)
    language = wording.language(request)
    gr.Info(wording.text("stopped" if running else "stopped_nothing", language), title=wording.text("toast_info", language))


# -- questions about a run -------------------------------------------------------------------------------------------------


def attention(query) -> dict:
    """One token's attention: {settings, ids, scale, token, layer, head} -> `questions.attention`, or {error}."""
    return explorer.answer(query, lambda model, ids, s: questions.attention(model, ids, s.label, query, s.attention, s.style))


def blocks(query) -> dict:
    """Attention from scale to scale: {settings, ids} -> `questions.blocks`, or {error}."""
    return explorer.answer(query, lambda model, ids, s: questions.blocks(model, ids, s.label, s.attention, s.style))


def code(query) -> dict:
    """What a code means: {model, code} -> `questions.code`, or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        models.offered_config(query.get("model"))
        return questions.code(models.load_model(query["model"]).model, query.get("code"))
    except ERRORS as error:
        return {"error": message(error)}


def build() -> gr.HTML:
    """Adds the component, which is not seen, to the Blocks being built."""
    bridge = gr.HTML(
        None,
        html_template="<i></i>",
        js_on_load=SCRIPT,
        server_functions=[gate.served(one) for one in (attention, blocks, code, tokenize.candidates)],
        apply_default_css=False,
        elem_id="vm-bridge",
    )
    running = bridge.draw(
        draw,
        None,
        bridge,
        trigger_mode="multiple",  # one that was stopped is not over yet when the next one comes
        concurrency_id="model",  # one for everything that runs a model: two at once would only slow each other down
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
    running.failure(None, js=FAILED, queue=False, show_progress="hidden", api_visibility="private")
    # first cancel, then say so; queued, or gr.Info would not reach the page
    bridge.stop(None, cancels=[running]).then(stop, api_visibility="private")
    return bridge
