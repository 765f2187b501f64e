"""The choice of an attention back end on the page: its controls, and the checked spec behind them."""

from __future__ import annotations

import gradio as gr
from safetensors import SafetensorError, safe_open

from var_mini import checkpoints, validate
from var_mini.attention import AttentionSpec
from var_mini.attention.spec import METHODS
from var_mini.config import ModelConfig

from . import wording

LANDMARKS = (16, 32, 64)  # on offer where a model has none stored; the run then says why it cannot use them
PARAMETERS = {"poly": "polynomial", "landmark": "landmarks", "pool": "factor"}  # method -> its only parameter


def stored(name: str) -> dict[str, list[int]]:
    """The numbers of landmarks and the degrees that a model was calibrated for, by kind; reads no weights."""
    found: dict[str, list[int]] = {"landmarks": [], "coefficients": []}
    if name in checkpoints.OFFICIAL:
        return found
    path = checkpoints.find(name) / checkpoints.CALIBRATION
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                kind, _, number = key.partition(".")
                if kind in found and number.isdecimal():
                    found[kind].append(int(number))
    except (OSError, SafetensorError):
        pass  # no such file, or loading the model will say what is wrong with it
    return {kind: sorted(numbers) for kind, numbers in found.items()}


def checked(name: str, config: ModelConfig, method, polynomial, landmarks, factor) -> AttentionSpec:
    """The back end that the controls stand for; those of other methods do not matter.

    Raises ValueError where a value is out of range or this model lacks what the method needs.
    """
    validate.one_of("attention", method, METHODS)
    value = {"poly": polynomial, "landmark": landmarks, "pool": factor}.get(method)
    spec = AttentionSpec.parse(method if value is None else f"{method}-{value}")
    spec.rank(config.transformer.head_dim)
    has = stored(name)
    if spec.method == "landmark" and spec.landmarks not in has["landmarks"]:
        raise ValueError(_lacking(spec, wording.LANDMARK_COUNTS, has["landmarks"]))
    if spec.calibrated and spec.degree not in has["coefficients"]:
        raise ValueError(_lacking(spec, wording.CALIBRATED_DEGREES, has["coefficients"]))
    return spec


def _lacking(spec: AttentionSpec, what: str, has: list[int]) -> str:
    return wording.NOT_STORED.format(name=spec, what=what, stored=", ".join(map(str, has)) or wording.NONE_STORED)


def landmark_choices(name: str) -> list[int]:
    return stored(name)["landmarks"] or list(LANDMARKS)


def controls(name: str) -> list[gr.Dropdown]:
    """The back end and its parameters, in the order of `checked`; only the fitting parameter is ever visible."""
    method = gr.Dropdown(
        wording.BACK_ENDS,
        value="exact",
        label=wording.BACK_END,
        info=wording.BACK_END_NOTE,
        filterable=False,
        scale=3,
        min_width=240,
    )
    numbers = landmark_choices(name)
    offers = {
        "polynomial": (wording.POLYNOMIAL, wording.POLYNOMIAL_NOTE, wording.POLYNOMIALS, "2"),
        "landmarks": (wording.LANDMARKS, wording.LANDMARKS_NOTE, [(str(m), m) for m in numbers], numbers[-1]),
        "factor": (wording.FACTOR, wording.FACTOR_NOTE, wording.FACTORS, 2),
    }
    parameters = [
        gr.Dropdown(choices, value=value, label=label, info=info, visible=False, filterable=False, scale=2, min_width=190)
        for label, info, choices, value in offers.values()
    ]
    return [method, *parameters]


def visibility(method) -> list:
    """Shows the parameter of the chosen method and hides the others."""
    return [gr.update(visible=PARAMETERS.get(method) == name) for name in PARAMETERS.values()]
