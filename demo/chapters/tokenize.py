"""The chapter that takes a picture apart into scales and puts it together again, and lets a visitor change its codes.

The server keeps nothing of a picture: the browser holds its pixels and codes, and sends them along with what it asks for.
"""

from __future__ import annotations

import base64
import binascii
from functools import partial

import gradio as gr
import numpy as np
import torch
from PIL import Image

from var_mini import checkpoints, validate
from var_mini.analysis.editing import neighbouring_codes, picture_of_ids, scale_errors, tokenize_picture
from var_mini.config import ModelConfig
from var_mini.data import pictures, samples
from var_mini.generation import Trace
from var_mini.view import questions
from var_mini.view.images import to_uint8
from var_mini.view.payload import payload

from .. import gate, models, runs, scripts, wording
from ..errors import message, readable
from ..events import event_field
from . import frame
from .gallery import data_uri

NEAR, FAR = 8, 4  # codes offered in place of another
ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
# the names of the events must stand here in quotes, or the component does not know them
PICKER = scripts.MODULE + ".then((host) => host.picker({ element, props, watch, trigger, events: ['sample', 'drawing'] }));"
TOKENS = scripts.MODULE + ".then((host) => host.tokens({ element, props, watch, server }));"


# -- pictures as the browser shows them ------------------------------------------------------------------------------------


def view(name: str, image: torch.Tensor, trace: Trace, subject: str, note: str = "") -> dict:
    """What the browser shows of a picture: the explorer's payload, the picture itself, and the error after every scale."""
    loaded, config = models.load_model(name), models.offered_config(name)
    errors = scale_errors(loaded.model, image, trace)
    shown = payload(Trace({"model": name, "subject": subject}, trace.steps), config, colours=loaded.colours)
    return shown | {
        "note": note,
        "original": base64.b64encode(to_uint8(image).tobytes()).decode(),
        "errors": [{"residual": e.residual, "psnr": e.psnr_db, "mae": e.mean_absolute} for e in errors],
    }


def take_apart(name: str, image: torch.Tensor, subject: str, remark: str, language: str) -> dict:
    """Tokenizes a picture of the model's size and says how it went."""
    shown = view(name, image, tokenize_picture(models.load_model(name).model, image), subject)
    values = {"tokens": shown["tokens"], "scales": len(shown["sides"]), "psnr": f"{shown['errors'][-1]['psnr']:.1f}"}
    return shown | {"note": " ".join(filter(None, [wording.text("tokenize_done", language, **values), remark]))}


def picker_value(name: str) -> dict:
    """What the browser offers for a model: its samples, and a canvas of its kind."""
    config = models.offered_config(name)
    t = config.tokenizer
    found = [(sample.name, data_uri(Image.fromarray(to_uint8(sample.image)))) for sample in samples.load_samples(config)]
    return {
        "size": t.image_size,
        "channels": t.image_channels,
        "samples": [{"name": name, "image": image} for name, image in found],
    }


def sample_image(config: ModelConfig, name: object) -> torch.Tensor:
    """A sample's pixels by its name. Raises ValueError where there is no such sample."""
    found = {sample.name: sample.image for sample in samples.load_samples(config)}
    return found[validate.one_of("sample", name, found)]


# -- handlers --------------------------------------------------------------------------------------------------------------


def take_sample(record, event: gr.EventData, request: gr.Request = None) -> dict:
    """A sample that was clicked."""
    try:
        chosen, (name, config, _) = event_field(event, "name"), runs.model_and_attention(record)
        return take_apart(name, sample_image(config, chosen), chosen, "", wording.language(request))
    except ERRORS as error:
        raise readable(error) from None


def take_drawing(record, event: gr.EventData, request: gr.Request = None) -> dict:
    """What a visitor drew, as a data URI."""
    language = wording.language(request)
    try:
        name, config, _ = runs.model_and_attention(record)
        t = config.tokenizer
        content = pictures.from_data_uri(event_field(event, "image"))
        picture = pictures.read_picture(content, t.image_size, t.image_channels)
        return take_apart(name, picture.image, wording.text("tokenize_drawing", language), "", language)
    except ERRORS as error:
        raise readable(error) from None


def take_upload(content, record, fit="crop", invert="auto", request: gr.Request = None):
    """A file that a visitor opened; nothing happens where none was."""
    language = wording.language(request)
    if content is None:
        return gr.skip()
    try:
        name, config, _ = runs.model_and_attention(record)
        t = config.tokenizer
        picture = pictures.read_picture(content, t.image_size, t.image_channels, fit, invert)
        subject = wording.text("tokenize_upload", language)
        return take_apart(name, picture.image, subject, remark(picture, fit, language), language)
    except ERRORS as error:
        raise readable(error) from None


def remark(picture: pictures.Picture, fit: str, language: str) -> str:
    """What was done to an upload, in words."""
    size = {"width": picture.width, "height": picture.height, "size": picture.image.shape[-1]}
    parts = [wording.text(f"tokenize_{fit}", language, **size)]
    if picture.frames > 1:
        parts.append(wording.text("tokenize_frames", language, frames=picture.frames))
    if picture.inverted:
        parts.append(wording.text("tokenize_inverted", language))
    return " ".join(parts)


def follow(record, request: gr.Request = None) -> tuple:
    """What changes with the model: samples and canvas, whether inverting makes sense, and the first sample taken apart."""
    language = wording.language(request)
    try:
        name, config, _ = runs.model_and_attention(record)
        found = samples.load_samples(config)
        first = take_apart(name, found[0].image, found[0].name, "", language) if found else _empty(name, config, language)
        return picker_value(name), gr.update(visible=config.tokenizer.image_channels == 1), first
    except ERRORS as error:
        raise readable(error) from None


def _empty(name: str, config: ModelConfig, language: str) -> dict:
    needs = wording.text("published_needs", language) if name in checkpoints.OFFICIAL else ""
    shown = payload(Trace({"model": name}), config, colours=models.no_colours(config))
    return shown | {"note": needs or wording.text("tokenize_choose", language), "original": "", "errors": []}


# -- for the browser: other codes ------------------------------------------------------------------------------------------


def candidates(query) -> dict:
    """Codes to put in a token's place, {model, ids, scale, token} -> {codes, distances, near, colours, images}, or {error}.

    The token's own code comes first, then the nearest of the codebook, then the farthest; `images` are the whole picture
    with each of them, as RGB bytes, where the model is quick enough to decode so many.
    """
    try:
        name, _, ids, scale, token = _place(query)
        loaded = models.load_model(name)
        code = int(ids[scale][token])
        order, distances = neighbouring_codes(loaded.model.tokenizer.quantize.embedding.weight, code)
        near, far = min(NEAR, len(order)), min(FAR, max(0, len(order) - NEAR))
        codes = [code, *order[:near].tolist(), *order[len(order) - far :].tolist()]
        away = [0.0, *distances[:near].tolist(), *distances[len(order) - far :].tolist()]
        images = _with_codes(loaded.model, ids, scale, token, codes) if loaded.quick else []
    except ERRORS as error:
        return {"error": message(error)}
    return {
        "codes": codes,
        "distances": [round(value, 4) for value in away],
        "near": near,
        "colours": base64.b64encode(loaded.colours[codes].tobytes()).decode(),
        "images": [base64.b64encode(to_uint8(image).tobytes()).decode() for image in images],
    }


@torch.inference_mode()
def _with_codes(model, ids: list[torch.Tensor], scale: int, token: int, codes: list[int]) -> torch.Tensor:
    """The whole picture with each of `codes` at one place: (len(codes), channels, S, S), decoded in one batch."""
    device = model.transformer.pos_1LC.device
    batch = [part.to(device).repeat(len(codes), 1) for part in ids]
    batch[scale][:, token] = torch.tensor(codes, device=device)
    return (model.tokenizer.decode(model.tokenizer.quantize.accumulate(batch)[-1]).cpu() + 1) / 2


def replace(query) -> dict:
    """The picture with one code replaced, {model, ids, scale, token, code, original} -> as `view`, or {error}."""
    try:
        name, config, ids, scale, token = _place(query)
        code = validate.integer("code", query.get("code"), 0, config.tokenizer.vocab_size - 1)
        original = original_image(config, query.get("original"))
        ids[scale][token] = code
        return view(name, original, picture_of_ids(models.load_model(name).model, ids), "")
    except ERRORS as error:
        return {"error": message(error)}


def _place(query) -> tuple[str, ModelConfig, list[torch.Tensor], int, int]:
    if not isinstance(query, dict):
        raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
    name = query.get("model")
    config = models.offered_config(name)
    ids = questions.checked_ids(config, query.get("ids"))
    scale = validate.integer("scale", query.get("scale"), 0, config.pyramid.num_scales - 1)
    return name, config, ids, scale, validate.integer("token", query.get("token"), 0, config.pyramid.counts[scale] - 1)


def original_image(config: ModelConfig, code: object) -> torch.Tensor:
    """RGB bytes in base64, as `view` sent them -> float (channels, S, S) in [0, 1]. Raises ValueError for anything else."""
    t = config.tokenizer
    length = 3 * t.image_size**2
    if not isinstance(code, str) or len(code) > 4 * (length // 3 + 1):
        raise ValueError(f"original = {validate.shown(code)}: must be {length} bytes in base64")
    try:
        content = base64.b64decode(code, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != length:
        raise ValueError(f"original = {validate.shown(code)}: must be {length} bytes in base64")
    pixels = np.frombuffer(content, np.uint8).reshape(t.image_size, t.image_size, 3)[..., : t.image_channels]
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)


# -- components ------------------------------------------------------------------------------------------------------------


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built. Raises ValueError where there is no such model."""
    t, config = wording.shown, checkpoints.load_config(default_model)
    head = frame.head("tokenize", default_model, ("model",), follows=("model",))
    with gr.Row(elem_classes="vm-controls"):
        choice = partial(gr.Dropdown, filterable=False, scale=2, min_width=150)
        fit = choice([(t(f"tokenize_fit_{f}"), f) for f in pictures.FITS], value="crop", label=t("tokenize_fit"))
        invert = choice(
            [(t(f"tokenize_invert_{i}"), i) for i in pictures.INVERTS], value="auto", label=t("tokenize_invert"),
            visible=config.tokenizer.image_channels == 1,
        )  # fmt: skip
        upload = gr.UploadButton(t("tokenize_open"), type="binary", file_types=["image"], size="md", scale=1, min_width=150)
    picker = gr.HTML(
        picker_value(default_model),
        html_template=frame.PLACE,
        js_on_load=PICKER,
        apply_default_css=False,
        elem_id="vm-picker",
    )
    tokens = gr.HTML(
        _empty(default_model, config, "en"),
        html_template=frame.PLACE,
        js_on_load=TOKENS,
        server_functions=[gate.served(candidates), gate.served(replace)],
        apply_default_css=False,
        elem_id="vm-tokenize",
    )
    gr.Markdown(t("tokenize_explain"))
    frame.foot("tokenize")
    options = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden", "api_visibility": "private"}
    picker.sample(take_sample, head, tokens, trigger_mode="multiple", **options)
    picker.drawing(take_drawing, head, tokens, trigger_mode="multiple", **options)
    upload.upload(take_upload, [upload, head, fit, invert], tokens, **options)
    for control in (fit, invert):
        control.input(take_upload, [upload, head, fit, invert], tokens, **options)
    head.follow(follow, head, [picker, invert, tokens], **options)
