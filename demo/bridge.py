"""The component that links the front end (var_mini/ui) with this server: its draws, and its questions about runs and limits.

A draw is an event, {number, settings}, that waits in the page's queue; the component's value then is {number, run} with ever
more scales, or {number, error}. Everything else that the browser asks is a server function, which passes the gate.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache, partial

import gradio as gr
import torch

from var_mini import validate
from var_mini.analysis.inspection import attention_sum
from var_mini.generation import Trace
from var_mini.theory import sliders
from var_mini.view.images import to_uint8
from var_mini.view.payload import payload

from . import explorer, front, gate, guard, models, runs, tokenize_tab, wording
from .errors import message, readable
from .events import event_field

ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
# the names of the events must stand here in quotes, or the component does not know them
SCRIPT = front.MODULE + ".then((host) => host.connect({ props, trigger, watch, server, events: ['draw', 'stop'] }));"
# a draw that the queue refuses ends without a value
FAILED = "() => { window.varMini?.failed(); }"


def draw(event: gr.EventData) -> Iterator[dict]:
    """Yields {number, run} after every scale; {number, error} where the settings are wrong or the run breaks off."""
    try:
        number = validate.integer("number", event_field(event, "number"), 0, 2**53)
    except ValueError as error:
        raise readable(error) from None
    try:
        settings = runs.from_record(event_field(event, "settings"))
        for run in stream(settings):
            yield {"number": number, "run": run}
    except ERRORS as error:
        yield {"number": number, "error": message(error)}


def stream(settings: runs.Settings) -> Iterator[dict]:
    """The run so far, as `payload` writes it, after every scale."""
    trace = Trace(settings.to_dict())
    shown = partial(payload, trace, settings.config, colours=models.load_model(settings.name).colours)
    for step in runs.draw(settings):
        trace.steps.append(step)
        yield shown()


def stop(request: gr.Request = None) -> None:
    """The run itself is cancelled by the queue; this only says so, where there was one."""
    running = guard.was_running(request)
    gr.Info(wording.text("stopped" if running else "stopped_nothing", wording.language(request)))


# -- questions about a run -------------------------------------------------------------------------------------------------


def attention(query) -> dict:
    """One token's attention in one layer and head: {settings, ids, scale, token, layer, head} -> numbers, or {error}.

    `scale` s, `weights`, and of exact attention `logits` s q.k, `values` (n times dim) and `output`, all float32 in base64.
    """

    def compute(model, ids, s):
        place = (query.get(name) for name in ("scale", "token", "layer", "head"))
        found = attention_sum(model, ids, s.label, *place, s.attention, s.style)
        numbers = {name: _floats(value) for name, value in vars(found).items() if name != "scale"}
        return {"dim": model.config.transformer.head_dim, "scale": found.scale, **numbers}

    return explorer.answer(query, compute)


def code(query) -> dict:
    """What a code means, {model, code} -> its vector, and one cell, `side` pixels wide, of a map full of it; or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        config = models.offered_config(query.get("model"))
        number = validate.integer("code", query.get("code"), 0, config.tokenizer.vocab_size - 1)
        model = models.load_model(query["model"]).model
        vector = model.tokenizer.quantize.embedding.weight[number].detach()
        return {"vector": _floats(vector.float().cpu()), **_patch(model, number)}
    except ERRORS as error:
        return {"error": message(error)}


@torch.inference_mode()
def _patch(model, number: int) -> dict:
    """The cell in the middle of the picture that the last scale's map draws when every token of it is this code."""
    pyramid, size = model.config.pyramid, model.config.tokenizer.image_size
    ids = torch.full((1, pyramid.counts[-1]), number, device=model.transformer.pos_1LC.device)
    image = (model.tokenizer.decode(model.tokenizer.quantize.contribution(ids, pyramid.num_scales - 1))[0].cpu() + 1) / 2
    side = size // pyramid.side
    begin = pyramid.side // 2 * side
    return {"side": side, "patch": _base64(to_uint8(image[:, begin : begin + side, begin : begin + side]))}


# -- an experiment of the chapter on limits ------------------------------------------------------------------------------------


def experiment(query) -> dict:
    """One of the experiments with a slider, {name, value} -> what `sliders.run` gives, which names its keys; or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        name = validate.one_of("name", query.get("name"), sliders.SLIDERS)
        slider = sliders.SLIDERS[name]
        return _experiment(name, validate.number(name, query.get("value"), slider.low, slider.high))
    except ERRORS as error:
        return {"error": message(error)}


@lru_cache(maxsize=64)  # the four sliders have 48 places together
def _experiment(name: str, value: float) -> dict:
    return sliders.run(name, value)


def _floats(values: torch.Tensor | None) -> str | None:
    return None if values is None else _base64(values.numpy().astype("<f4"))


def _base64(array) -> str:
    return base64.b64encode(array.tobytes()).decode()


def build() -> gr.HTML:
    """Adds the component, which is not seen, to the Blocks being built."""
    bridge = gr.HTML(
        None,
        html_template="<i></i>",
        js_on_load=SCRIPT,
        server_functions=[gate.served(one) for one in (attention, explorer.blocks, code, tokenize_tab.candidates, experiment)],
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
