"""The chapter that redraws a part of a picture: tokens outside a brushed mask are given, those inside are drawn.

As in the chapter that takes pictures apart, the server keeps nothing: the browser sends the token maps of the start picture
along with the mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import gradio as gr
import numpy as np
import torch
from PIL import Image

from var_mini import checkpoints, validate
from var_mini.analysis.editing import edit, masks_per_scale, nearest_class, picture_of_ids, tokenize_picture
from var_mini.config import ModelConfig
from var_mini.data import samples
from var_mini.generation import Trace
from var_mini.view import questions
from var_mini.view.images import enlarge, to_uint8
from var_mini.view.payload import payload

from .. import explorer, models, runs, scripts, stale, wording
from ..errors import message, readable
from ..events import event_field
from . import frame
from .gallery import data_uri
from .tokenize import ERRORS, picker_value, sample_image

SHOWN = 336  # pixels of a picture in the result
STRIPE = 12  # pixels from stripe to stripe over the masked part
VEIL = np.array([230, 159, 0], np.uint8)  # colour of the stripes, of Okabe and Ito

DEPENDS = ("model", "style", "guidance", "temperature", "top_k", "top_p")  # of the first screen's settings

# the names of the events must stand here in quotes, or the component does not know them
SCRIPT = scripts.MODULE + (
    ".then((host) => host.edit({ element, props, watch, trigger, server, events: ['sample', 'take', 'redraw'] }));"
)
REDRAW = "() => { document.querySelector('#vm-edit .vu').editor?.redraw(); }"


# -- the start picture -----------------------------------------------------------------------------------------------------


def start(name: str, trace: Trace, subject: str, facts: str = "") -> dict:
    """A picture as the mask's board shows it, with its token maps; `facts`, in words, stand behind its subject."""
    offered = picker_value(name)
    return {
        "model": name,
        "subject": subject,
        "facts": facts,
        "sides": [step.side for step in trace.steps],
        "ids": [step.token_ids[0].tolist() for step in trace.steps],
        "image": data_uri(Image.fromarray(to_uint8(trace.image[0]))),
        "samples": offered["samples"],
    }


def _of_ids(name: str, ids: list[torch.Tensor], subject: str) -> dict:
    return start(name, picture_of_ids(models.load_model(name).model, ids), subject)


def _tokenized(name: str, sample: samples.Sample) -> dict:
    return start(name, tokenize_picture(models.load_model(name).model, sample.image), sample.name)


def start_drawn(settings: runs.Settings, language: str = "en") -> dict:
    """The picture that the first screen's settings draw."""
    facts = [settings.style_name, wording.text("edit_seed_of", language, seed=settings.seed)]
    subject = settings.config.class_name(settings.label)
    return start(settings.name, runs.trace(settings), subject, " \u00b7 ".join(filter(None, facts)))


def start_sample(record, event: gr.EventData) -> tuple:
    """A sample that was clicked, and the class to draw into it."""
    try:
        chosen, (name, config, _) = event_field(event, "name"), runs.model_and_attention(record)
        found = _tokenized(name, samples.Sample(chosen, sample_image(config, chosen)))
        return found, _other(name, config.class_names.index(chosen)) if chosen in config.class_names else gr.skip()
    except ERRORS as error:
        raise readable(error) from None


def start_taken(event: gr.EventData) -> dict:
    """A picture that another explorer of the page shows, by its model and token maps."""
    try:
        name, subject = event_field(event, "model"), event_field(event, "subject")
        ids = questions.checked_ids(models.offered_config(name), event_field(event, "ids"))
        return _of_ids(name, ids, str(subject)[:80])
    except ERRORS as error:
        raise readable(error) from None


def follow(record, request: gr.Request = None) -> tuple:
    """What changes with the first screen: the picture is the one drawn there, and another class is offered for its masked part.

    Of a published model nothing is drawn unasked: that takes long.
    """
    language = wording.language(request)
    try:
        settings = runs.from_record(record)
        name, config = settings.name, settings.config
        choices = models.class_choices(config, language)
        if name in checkpoints.OFFICIAL:
            return _nothing(name, config), gr.update(choices=choices, value=settings.label)
        return start_drawn(settings, language), gr.update(choices=choices, value=_other(name, settings.label))
    except ERRORS as error:
        raise readable(error) from None


def _other(name: str, label: int) -> int:
    """The class that is drawn into a picture of `label` unless the visitor says otherwise: a like one, and yet it shows."""
    return nearest_class(models.load_model(name).model, label)


def _nothing(name: str, config: ModelConfig) -> dict:
    sides = list(config.pyramid.patch_nums)
    offered = picker_value(name)["samples"]
    return {"model": name, "subject": "", "facts": "", "sides": sides, "ids": [], "image": "", "samples": offered}


# -- the mask and what is drawn inside it ----------------------------------------------------------------------------------


def checked_mask(config: ModelConfig, mask: object) -> torch.Tensor:
    """A list of 0 and 1 from the browser -> bool (side, side). Raises ValueError for anything else."""
    side = config.pyramid.side
    fits = isinstance(mask, list) and len(mask) == side * side
    if not fits or any(type(value) is not int or value not in (0, 1) for value in mask):  # type: no booleans, no 1.0
        raise ValueError(f"mask = {validate.shown(mask)}: must be a list of {side * side} numbers, 0 or 1")
    return torch.tensor(mask, dtype=torch.bool).reshape(side, side)


def plan(query) -> dict:
    """For the browser: which tokens of every scale a mask redraws, {model, mask} -> {scales: lists of 0 and 1}, or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        config = models.offered_config(query.get("model"))
        inside = masks_per_scale(checked_mask(config, query.get("mask")), config.pyramid.patch_nums)
    except ERRORS as error:
        return {"error": message(error)}
    return {"scales": [where.int().tolist() for where in inside]}


def redraw(record, label, seed, event: gr.EventData, request: gr.Request = None) -> Iterator[tuple]:
    """Yields the edited run so far, as the explorer shows it, and the picture before and after.

    `label` is drawn inside the mask, from `seed`, with the record's style and sampling.
    """
    language = wording.language(request)
    try:
        name = event_field(event, "model")
        config = models.offered_config(name)
        ids = questions.checked_ids(config, event_field(event, "ids"))
        mask = checked_mask(config, event_field(event, "mask"))
        if not isinstance(record, dict):
            raise ValueError(f"settings = {validate.shown(record)}: must be a JSON object")
        own = {"model": name, "label": label, "seed": runs.checked_seed(seed), "attention": "exact"}
        settings = runs.from_record(record | own)
        loaded = models.load_model(name)
        before = picture_of_ids(loaded.model, ids)
        steps, inside = [], masks_per_scale(mask, config.pyramid.patch_nums)
        trace = Trace(settings.to_dict(), steps)
        for step in edit(loaded.model, ids, mask, settings.label, settings.seed, settings.sampling, style=settings.style):
            steps.append(step)
            shown = payload(trace, config, colours=loaded.colours) | {"edited": True, "timed": models.timed()}
            for scale, where in zip(shown["scales"], inside):
                scale["given"] = (~where).int().tolist()
            whole = len(steps) == len(inside)
            told = result(before.image[0], step.image[0], mask, settings, language, whole)
            yield shown | {"note": _note(config, inside, len(steps), language)}, stale.of(settings.to_dict(), told, *DEPENDS)
    except ERRORS as error:
        raise readable(error) from None


def _note(config: ModelConfig, inside: list[torch.Tensor], done: int, language: str) -> str:
    if done < len(inside):
        return wording.text("edit_drawing", language, done=done, scales=len(inside))
    drawn = sum(int(where.sum()) for where in inside)
    return wording.text("edit_done", language, drawn=drawn, given=config.pyramid.tokens - drawn)


def result(
    before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor, settings: runs.Settings, language: str, whole: bool = True
) -> str:
    """The picture, its mask, and the edit so far; once it is whole also by how much either part changed."""
    size = before.shape[-1]
    large = size * max(1, SHOWN // size)
    covered = enlarge(mask.numpy()[..., None], size)[..., 0]  # (size, size)
    change = (after - before).abs().mean(0).numpy()
    stripes = np.add.outer(np.arange(large), np.arange(large)) % STRIPE < STRIPE // 2  # so that the picture shows through
    veil = enlarge(covered[..., None], large) & stripes[..., None]
    masked = np.where(veil, VEIL, enlarge(to_uint8(before), large))
    numbers = {
        "inside": f"{100 * change[covered].mean():.1f}",
        "outside": f"{100 * change[~covered].mean():.1f}" if not covered.all() else wording.NO_VALUE,
    }
    edited = {"subject": settings.subject(language), "seed": settings.seed}
    figures = "".join(
        f'<figure><img src="{data_uri(Image.fromarray(pixels))}" data-figure="{name}" '
        f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
        for name, pixels, caption in (
            ("before", enlarge(to_uint8(before), large), wording.text("edit_before", language)),
            ("masked", masked, wording.text("edit_masked_picture", language)),
            ("after", enlarge(to_uint8(after), large), wording.text("edit_after", language, **edited)),
        )
    )
    told = wording.text("edit_change", language, **numbers) if whole else wording.text("edit_going_on", language)
    title = wording.text("edit_result", language)
    return f'<div class="ve-result"><h3>{escape(title)}</h3><div>{figures}</div><p>{escape(told)}</p></div>'


# -- components ------------------------------------------------------------------------------------------------------------


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built. Raises ValueError where there is no such model."""
    t, config = wording.shown, checkpoints.load_config(default_model)
    head = frame.head("edit", default_model, ("model",), follows=("model", "label", "style", "seed"))
    board = gr.HTML(
        _nothing(default_model, config),
        html_template=frame.PLACE,
        js_on_load=SCRIPT,
        server_functions=[plan],
        apply_default_css=False,
        elem_id="vm-edit",
    )
    gr.Markdown(f"### {t('edit_edit')}")
    with gr.Row(elem_classes="vm-controls"):
        label = gr.Dropdown(
            models.class_choices(config),
            value=head.value["label"],
            label=t("edit_class"),
            info=t("edit_class_info"),
            scale=3,
            min_width=150,
            elem_id="vm-edit-class",
        )
        seed = gr.Number(1, label=t("edit_seed"), info=t("edit_seed_info"), scale=2, min_width=90, elem_id="vm-edit-seed")
        button = gr.Button(t("edit_redraw"), variant="primary", scale=1, min_width=120, elem_id="vm-edit-redraw")
    shown = gr.HTML(apply_default_css=False, elem_id="vm-edit-result")
    empty = payload(Trace({}), config, colours=models.no_colours(config)) | {"note": ""}  # out of sight until something is drawn
    view = explorer.component(empty, "vm-edit-run")
    gr.Markdown(t("edit_explain"))
    frame.foot("edit")

    options = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden", "api_visibility": "private"}
    head.follow(follow, head, [board, label], **options)
    board.sample(start_sample, head, [board, label], trigger_mode="multiple", **options)
    board.take(start_taken, None, board, **options)
    board.redraw(redraw, [head, label, seed], [view, shown], **options)
    button.click(None, js=REDRAW, queue=False, show_progress="hidden", api_visibility="private")
    stale.follow([label, seed], [view, shown])
