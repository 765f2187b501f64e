"""The recorded run of a model, and the settings that its chapters begin with. Loads no model, and needs no Gradio."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from safetensors import safe_open

from var_mini import checkpoints
from var_mini.generation import Trace
from var_mini.view.images import code_colours
from var_mini.view.payload import payload

RECORDED = checkpoints.ASSETS / "traces"


@lru_cache(maxsize=8)
def recorded(name: str) -> dict | None:
    """The recorded run of a model that is among the assets, as the page shows it; None where there is none."""
    path = RECORDED / f"{Path(name).name}.trace"
    if name in checkpoints.OFFICIAL or not path.exists() or checkpoints.find(name) != checkpoints.ASSETS / path.stem:
        return None
    with safe_open(checkpoints.find(name) / checkpoints.WEIGHTS, framework="pt") as file:  # the rest of the weights stays unread
        colours = code_colours(file.get_tensor("tokenizer.quantize.embedding.weight").float())
    run = payload(Trace.load(path), checkpoints.load_config(name), colours=colours)
    return run | {"settings": run["settings"] | {"model": name}, "recorded": True}


def first_choice(name: str) -> tuple[int, int, int | None]:
    """Class, seed and style that stand in the controls at first: those of the recorded run, so that a draw repeats it."""
    settings = (recorded(name) or {}).get("settings", {})
    any_style = checkpoints.load_config(name).transformer.num_styles or None
    return settings.get("label", 0), settings.get("seed", 0), settings.get("style", any_style)


def beginning(name: str) -> dict:
    """What the front end must know of the run that it begins with."""
    label, seed, style = first_choice(name)
    return {"first": {"label": label, "seed": seed, "style": style}, "recorded": recorded(name) is not None}
