"""Figures that a page without a server tells and does not compute: counted from a model, or recorded in assets/results."""

from __future__ import annotations

import json

from var_mini import checkpoints
from var_mini.view.memory import PUBLISHED, memory, published

RESULTS = checkpoints.ASSETS / "results"
ATTENTION = "poly-2"  # the low-rank attention that is told of
HEAD_DIM = 16
SIDES = (16, 64)  # of the last map: one where exact attention is quicker, and one where it is not
MODELS = ("fashion-28", "fashion-28-bounded")  # whose errors are recorded: one with large logits, one with small ones


def counted(models: dict[str, list[str]]) -> dict[str, dict[str, dict]]:
    """Masks and memory, name -> low-rank attention -> numbers: of `models`, and as `shapes` of VAR's published pyramids.

    The models are names or folders with the kinds of attention that each one has; shapes are counted with all of these.
    """
    kinds = sorted({spec for specs in models.values() for spec in specs} - {"exact"})
    found = {}
    for name, specs in models.items():
        config = checkpoints.load_config(name)
        numbers = {spec: memory(config.pyramid, config.transformer, spec) for spec in kinds if spec in specs}
        found[config.name] = {spec: told | {"name": config.name} for spec, told in numbers.items()}
    return {"models": found, "shapes": {shape: {spec: published(shape, spec) for spec in kinds} for shape in PUBLISHED}}


def measured() -> dict:
    """Errors of low-rank attention on trained models, and its time against exact attention's."""
    return {"lowrank": [_error(model) for model in MODELS], "cost": _cost()}


def raster() -> dict[str, float]:
    """Side of the last map -> how many times as long as VAR raster order took, both with a cache."""
    return _stored("raster")["speedup_vs_cached_raster"]


def _error(model: str) -> dict:
    found = _stored(f"error-{model}")["backends"][ATTENTION]
    error, same = (f"{found[name]:.0%}" for name in ("median_error_last_scale", "token_agreement"))
    return {"model": model, "attention": ATTENTION, "error": error, "same": same}


def _cost() -> dict:
    stored = _stored("scaling")
    speed = {
        row["side"]: row["speedup_vs_exact"]
        for row in stored["rows"]
        if (row["what"], row["head_dim"], row["method"]) == ("attention", HEAD_DIM, ATTENTION)
    }
    small, large = SIDES
    ahead = min(side for side in speed if all(speed[other] > 1 for other in speed if other >= side))
    told = {"small": small, "slower": f"{1 / speed[small]:.1f}", "large": large, "faster": f"{speed[large]:.1f}", "ahead": ahead}
    return told | {"attention": ATTENTION, "head_dim": HEAD_DIM, "processor": stored["machine"]["processor"]}


def _stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
