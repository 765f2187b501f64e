"""The explorer of a run (var_mini/ui/views/Explorer.js) as a component of the page, and what answers a question about a run."""

from __future__ import annotations

import gradio as gr
import torch

from var_mini import validate
from var_mini.view import questions

from . import models, runs, scripts
from .errors import message

SCRIPT = scripts.MODULE + ".then((host) => host.explore(element, props, watch));"


def component(value: dict | None, elem_id: str) -> gr.HTML:
    """An explorer that shows a payload of var_mini.view.payload; it asks through the bridge, which draw.py builds."""
    return gr.HTML(value, html_template='<div class="vx"></div>', js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id)


def answer(query, compute) -> dict:
    """What `compute(model, ids, settings)` finds out about the run of a query, {settings, ids}; or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        settings = runs.from_record(query.get("settings"))
        if query.get("ids") is None:
            ids = torch.cat([step.token_ids[0] for step in runs.trace(settings).steps])
        else:
            ids = torch.cat(questions.checked_ids(settings.config, query["ids"]))
        return compute(models.load_model(settings.name).model, ids, settings)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return {"error": message(error)}
