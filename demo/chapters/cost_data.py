"""Recorded times, and errors of trained models: what the view that says who wins is made of (var_mini/ui/views/Cost.js)."""

from __future__ import annotations

from functools import lru_cache

from var_mini import checkpoints
from var_mini.cost import raster
from var_mini.cost.ladder import official_like

from .. import models, wording
from . import cost_view

TRAINED = ("fashion-28", "fashion-28-bounded")  # models whose errors are recorded: one with large logits, one with small ones
KEPT = ("what", "head_dim", "side", "tokens", "method", "median_s")


@lru_cache(maxsize=1)
def recorded() -> dict:
    """JSON values.

    `rows`        median seconds of one picture by what was timed, head dimension, side and method
    `methods`     by name: colour and shape of its curve, whether it is dashed, and what it is called in each language
    `errors`      of each of TRAINED what it is, and of each method the error at the last scale and the share of equal tokens
    `own`         models of the page that have a last map of a recorded side in a pyramid of fewer maps
    `published`   sides of the published models with their width in pixels
    `conditions`  by head dimension, or "raster", and language, in words: of what these times are
    """
    stored = cost_view.stored("scaling")
    sides = sorted({row["side"] for row in stored["rows"]})
    return {
        "rows": [{name: row[name] for name in KEPT} for row in stored["rows"]] + _raster(),
        "methods": {
            method: {"style": style, "dashed": dashed, **{code: wording.text(name, code) for code in wording.LANGUAGES}}
            for method, (name, style, dashed) in cost_view.METHODS.items()
        },
        "errors": {name: _errors(name) for name in TRAINED},
        "own": _own(sides),
        "published": [{"side": side, "pixels": cost_view.PIXELS_PER_TOKEN * side} for side in cost_view.PUBLISHED],
        "conditions": {
            dim: {language: _conditions(dim, language) for language in wording.LANGUAGES}
            for dim in (*sorted({row["head_dim"] for row in stored["rows"]}), "raster")
        },
    }


def _raster() -> list[dict]:
    """Token by token against scale by scale, in the same shape."""
    common = {"what": "raster", "head_dim": raster.SHAPE.head_dim}
    rows = cost_view.recorded_rows("raster", raster.SHAPE.head_dim)
    return [common | {"tokens": row["side"] ** 2, **{name: row[name] for name in ("side", "method", "median_s")}} for row in rows]


def _errors(model: str) -> dict:
    result, config = cost_view.stored(f"error-{model}"), checkpoints.load_config(model)
    return {
        "head_dim": config.transformer.head_dim,
        "tokens": config.pyramid.tokens,
        "bound": max(map(max, result["logit_scales"])),
        "methods": {
            method: {"error": found["median_error_last_scale"], "same": found["token_agreement"]}
            for method, found in result["backends"].items()
        },
    }


def _own(sides: list[int]) -> list[dict]:
    found = {}
    for config in map(models.offered_config, [models.default(), *models.offered()]):
        pyramid = config.pyramid
        if pyramid.side in sides and pyramid.tokens < official_like(pyramid.side).tokens:
            values = {"model": config.name, "own": pyramid.tokens, "maps": pyramid.num_scales}
            found.setdefault(pyramid.side, values | {"side": pyramid.side, "all": official_like(pyramid.side).num_scales})
    return list(found.values())


def _conditions(kind: int | str, language: str) -> str:
    stored = cost_view.stored("raster" if kind == "raster" else "scaling")
    machine = wording.text("cost_recorded_on", language, **stored["machine"] | {"threads": stored["threads_timed"]})
    of = [] if kind == "raster" else [wording.text("cost_of", language, head_dim=kind)]
    return " ".join([*of, machine, wording.text("cost_random", language)])
