"""Typed endpoints for programs (gradio_client): generate, compare and tokenize.

    from gradio_client import Client
    client = Client("http://127.0.0.1:7860")
    run = client.predict("fashion-28", 7, 0, api_name="/generate")
    run["image"]   # a PNG as a data URI; run["scales"][k]["ids"] are the token ids of scale k
    client.predict("fashion-28", run["image"], api_name="/tokenize")["psnr_db"]

Errors come as one readable sentence, as on the page.
"""

from __future__ import annotations

import gradio as gr
from PIL import Image

from var_mini.analysis.editing import scale_errors, tokenize_picture
from var_mini.data import pictures
from var_mini.view.images import to_uint8

from . import models, runs
from .chapters import compare
from .chapters.gallery import data_uri
from .errors import readable

ERRORS = (ValueError, OSError, RuntimeError, MemoryError)


def _settings(model, label, seed, guidance, temperature, top_k, top_p, attention) -> runs.Settings:
    """Settings of a program's call; -1 stands for the model's own, the style is any."""
    own = models.offered_config(model).sampling
    given = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    chosen = {name: getattr(own, name) if value == -1 else value for name, value in given.items()}
    return runs.from_record({"model": model, "label": label, "seed": seed, "attention": attention} | chosen)


def _run(settings: runs.Settings) -> dict:
    trace = runs.trace(settings)
    return {
        "settings": trace.settings,
        "scales": [
            {"side": step.side, "ids": step.token_ids[0].tolist(), "seconds": step.seconds, "state_bytes": step.state_bytes}
            for step in trace.steps
        ],
        "image": data_uri(Image.fromarray(to_uint8(trace.image[0]))),
    }


def generate(
    model: str,
    label: int,
    seed: int,
    guidance: float = -1,
    temperature: float = -1,
    top_k: int = -1,
    top_p: float = -1,
    attention: str = "exact",
) -> dict:
    """Draws one image; returns settings, scales (ids, seconds) and the image.

    -1 stands for the model's own sampling setting; a model with styles draws in any of them.
    """
    try:
        return _run(_settings(model, label, seed, guidance, temperature, top_k, top_p, attention))
    except ERRORS as error:
        raise readable(error) from None


def compare_runs(model: str, label: int, seed: int, attention: str = "poly-2", versus: str = "exact") -> dict:
    """Draws one image and the same seed with `versus` (exact, unguided or cold) changed; both runs and the equal tokens."""
    try:
        settings = _settings(model, label, seed, -1, -1, -1, -1, attention)
        sides = {"own": _run(settings), "other": _run(compare.other_settings(settings, versus))}
    except ERRORS as error:
        raise readable(error) from None
    pairs = [pair for a, b in zip(sides["own"]["scales"], sides["other"]["scales"]) for pair in zip(a["ids"], b["ids"])]
    return sides | {"equal_tokens": sum(a == b for a, b in pairs) / len(pairs)}


def tokenize(model: str, image: str, fit: str = "crop", invert: str = "no") -> dict:
    """Takes a picture apart into token maps and puts it together again.

    `image` is a data URI (data:image/png;base64,...; JPEG, WEBP, GIF, BMP too) of at most 2 MiB: no path and no address is read.
    `fit` is crop or whole, `invert` yes, no, or auto (grey models only: where the picture's edge is bright). Returns
    scales (side, ids, residual, psnr_db, mean_absolute_error), psnr_db, and original and reconstruction as PNG data URIs.
    """
    try:
        t = models.offered_config(model).tokenizer
        picture = pictures.read_picture(pictures.from_data_uri(image), t.image_size, t.image_channels, fit, invert)
        loaded = models.load_model(model)
        trace = tokenize_picture(loaded.model, picture.image)
        errors = scale_errors(loaded.model, picture.image, trace)
    except ERRORS as error:
        raise readable(error) from None
    return {
        "scales": [
            {
                "side": step.side,
                "ids": step.token_ids[0].tolist(),
                "residual": error.residual,
                "psnr_db": error.psnr_db,
                "mean_absolute_error": error.mean_absolute,
            }
            for step, error in zip(trace.steps, errors, strict=True)
        ],
        "psnr_db": errors[-1].psnr_db,
        "inverted": picture.inverted,
        "original": data_uri(Image.fromarray(to_uint8(picture.image))),
        "reconstruction": data_uri(Image.fromarray(to_uint8(trace.image[0]))),
    }


def build() -> None:
    """Adds the endpoints to the Blocks being built."""
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1}
    gr.api(generate, api_name="generate", **one_at_a_time)
    gr.api(compare_runs, api_name="compare", **one_at_a_time)
    gr.api(tokenize, api_name="tokenize", **one_at_a_time)
