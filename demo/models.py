"""The models the page offers, loaded when first asked for and shared by all visitors."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from var_mini import checkpoints
from var_mini.config import ModelConfig
from var_mini.cost.machine import machine_facts
from var_mini.model import Model
from var_mini.view.images import code_colours

from . import wording

PUBLISHED = "var_d16"
WARM_UP_LIMIT = 50_000_000  # parameters; a larger model would wait too long for its warm-up


@dataclass(frozen=True)
class Loaded:
    """A model ready to draw, with what the page says about it."""

    model: Model
    colours: np.ndarray  # uint8 (V, 3)
    device: str
    dtype: str


_LOADING = threading.Lock()  # two visitors who ask at once load a model once


def load_model(name: str) -> Loaded:
    """Loads a model, or returns it if it is one of the two used last."""
    with _LOADING:
        return _load(name)


@lru_cache(maxsize=2)
def _load(name: str) -> Loaded:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = checkpoints.load(name, device)
    if model.num_parameters() <= WARM_UP_LIMIT:  # the first pass through fresh weights is slow and would pose as scale 1
        for _ in model.generate(0, 0, details=False):
            pass
    facts = machine_facts(device)
    shown = facts["device"] if device == "cuda" else wording.DEVICE_CPU.format(**facts)
    dtype = str(next(model.transformer.parameters()).dtype).removeprefix("torch.")
    return Loaded(model, code_colours(model.tokenizer.quantize.embedding.weight), shown, dtype)


def model_choices(default_model: str) -> list[tuple[str, str]]:
    """(shown name, value) of every model on offer: the shipped ones, the published one, and the one asked for."""
    choices = [*((name, name) for name in checkpoints.available()), (wording.MODEL_PUBLISHED, PUBLISHED)]
    if default_model not in dict(choices).values():
        name = checkpoints.load_config(default_model).name
        published = default_model in checkpoints.OFFICIAL
        choices.insert(0, (name if published else wording.MODEL_IN_FOLDER.format(name=name), default_model))
    return choices


def class_choices(config: ModelConfig) -> list[tuple[str, int]]:
    return [(config.class_name(i), i) for i in range(config.transformer.num_classes)]
