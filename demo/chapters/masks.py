"""The chapter that shows the training mask, the growing cache and the low-rank state in true proportion."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import torch

from var_mini import validate
from var_mini.analysis.equivalence import mask_against_loop
from var_mini.attention import AttentionSpec, has_masked_pass
from var_mini.view.memory import PUBLISHED, memory, published

from .. import models, runs, scripts, wording
from ..errors import readable
from . import frame

OWN = "own"  # the pyramid of the model that the first screen shows
SCRIPT = scripts.MODULE + ".then((host) => host.masks({ element, props, watch }, () => trigger('same_numbers')));"


def pyramid_choices(language: str = "en") -> list[tuple[str, str]]:
    """(shown name, value): that of the model of the first screen, and VAR's as `var-256`."""
    shapes = [(wording.text("masks_published", language, size=name.removeprefix("var-")), name) for name in PUBLISHED]
    return [(wording.text("masks_own", language), OWN), *shapes]


def numbers(record, pyramid) -> dict:
    """What the picture shows of a pyramid and a record's attention. Raises ValueError for what the page does not offer."""
    name, _, spec = runs.model_and_attention(record)
    if isinstance(pyramid, str) and pyramid in PUBLISHED:
        return published(pyramid, spec) | {"same": None}
    config = models.offered_config(name if pyramid == OWN else pyramid)
    return memory(config.pyramid, config.transformer, spec) | {"name": config.name, "same": None}


def show(record, pyramid, switch) -> dict:
    """The picture of another pyramid or attention, at once; where the switch is on, it asks for the comparison to follow."""
    try:
        return numbers(record, pyramid) | {"wanted": switch is True}
    except ValueError as error:
        raise readable(error) from None


def compare(record, pyramid, switch, request: gr.Request = None) -> dict:
    """The picture with both ways of computing the same logits compared, where the switch is on; else without.

    The tokens are those that exact attention draws with the record's settings. Anything forged becomes a gr.Error.
    """
    language = wording.language(request)
    try:
        data = numbers(record, pyramid)
        if not validate.boolean("same numbers", switch):
            return data
        if pyramid != OWN:
            return data | {"same": {"note": wording.text("masks_same_no_weights", language)}}
        return data | {"same": _same(runs.from_record(record), language)}
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None


def _same(settings: runs.Settings, language: str) -> dict:
    """JSON of the comparison, made with exact attention where the back end has no masked pass."""
    loaded, config, spec = models.load_model(settings.name), settings.config, settings.attention
    if not loaded.quick:
        return {"note": wording.text("masks_same_large", language, model=config.name)}
    note = ""
    if not has_masked_pass(spec):
        note, spec = wording.text("masks_same_instead", language, name=spec), AttentionSpec()
    trace = runs.trace(replace(settings, attention=AttentionSpec()))
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    found = mask_against_loop(loaded.model, ids, settings.label, spec, settings.style)
    said = {"model": config.name, "name": spec, "subject": settings.subject(language), "seed": settings.seed}
    codes = config.tokenizer.vocab_size
    return {
        "note": note + wording.text("masks_same_note", language, **said),
        "scales": [
            {
                "side": scale.side,
                "logits": scale.side**2 * codes,
                "loop": scale.loop,
                "unmasked": scale.unmasked,
                "triangular": scale.triangular,
                "largest": scale.largest_logit,
            }
            for scale in found
        ],
    }


def open_page(request: gr.Request = None) -> dict:
    """Names of the choices in the visitor's language; a dropdown's own names are not translated by the browser."""
    return gr.update(choices=pyramid_choices(wording.language(request)))


def component(value: dict) -> gr.HTML:
    """The three pictures, showing what `numbers` gives."""
    return gr.HTML(value, html_template=frame.PLACE, js_on_load=SCRIPT, apply_default_css=False, elem_id="vm-masks-view")


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built. Raises ValueError where there is no such model."""
    t = wording.shown
    with gr.Column(elem_id="vm-masks"):
        head = frame.head("masks", default_model, ("model", "low_rank"), follows=("model", "attention"))
        with gr.Row(elem_classes="vm-controls"):
            pyramid = gr.Dropdown(
                pyramid_choices(),
                value=OWN,
                label=t("masks_pyramid"),
                info=t("masks_pyramid_info"),
                filterable=False,
                min_width=200,
            )
            switch = gr.Checkbox(False, label=t("masks_switch"), info=t("masks_switch_info"), min_width=280)
        view = component(numbers(head.value, OWN))
        frame.foot("masks")
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1}
    inputs = [head, pyramid, switch]
    for asks in (head.follow, pyramid.input):
        asks(show, inputs, view, queue=False, **quiet)
    for asks in (switch.input, view.same_numbers):
        asks(compare, inputs, view, **one_at_a_time, **quiet)
    gr.context.Context.root_block.load(open_page, None, pyramid, queue=False, **quiet)
