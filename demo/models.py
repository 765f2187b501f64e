"""The models the page offers, loaded when first asked for and shared by all visitors."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from var_mini import checkpoints, validate
from var_mini.attention import AttentionSpec
from var_mini.config import ModelConfig
from var_mini.cost.machine import machine_facts
from var_mini.model import Model
from var_mini.precision import device_of, dtype_of
from var_mini.view.images import code_colours

from . import DEFAULT_MODEL, wording

KEPT_PARAMETERS = 100_000_000  # of the models kept in memory, unless a single one has more
QUICK_LIMIT = 50_000_000  # parameters; on a CPU a larger model would wait too long for a warm-up


@dataclass(frozen=True)
class Loaded:
    """A model ready to draw, with what the page says about it."""

    model: Model
    colours: np.ndarray  # uint8 (V, 3)
    quick: bool  # whether one more run takes so little time that warming up and repeating are worth it
    warm: set[AttentionSpec] = field(default_factory=set)  # back ends that have run at least once

    def warm_up(self, attention: AttentionSpec) -> None:
        """Runs a back end once before its times are shown: the first run of a kind is slow and would pose as scale 1."""
        if self.quick and attention not in self.warm:
            for _ in self.model.generate(0, 0, attention=attention):
                pass
            self.warm.add(attention)


_DEFAULT = [DEFAULT_MODEL]  # the model that the page was started with
_DTYPE = [torch.float32]  # of most weights of all models
_LOADED: OrderedDict[str, Loaded] = OrderedDict()  # the one used last at the end
_LOADING: dict[str, threading.Lock] = {}  # two visitors who ask at once load a model once, and wait for no other model
_LOCK = threading.Lock()  # of the two above; never held while a file is read


def offer(name: str) -> None:
    """Makes a model the page's first, and one that it may load even if it is a checkpoint folder on this machine."""
    checkpoints.load_config(name)
    _DEFAULT[0] = name


def compute_in(dtype: str) -> None:
    """Makes the page load all models with weights of this type. Raises ValueError where models cannot have it."""
    _DTYPE[0] = dtype_of(dtype)
    forget()


def dtype() -> str:
    """The type of most weights of all models, by its name."""
    return str(_DTYPE[0]).removeprefix("torch.")


def published() -> list[str]:
    """The published models whose files are on this machine. A visitor never starts a download: it would take all others along."""
    return [name for name in checkpoints.OFFICIAL if all(map(_is_here, (checkpoints.TOKENIZER_FILE, f"{name}.pth")))]


def _is_here(file: str) -> bool:
    folder = os.environ.get("VAR_WEIGHTS")
    if folder:
        return (Path(folder) / file).is_file()
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(checkpoints.HUB_REPOSITORY, file), str)


def offered() -> list[str]:
    """Names of the models that a visitor may choose."""
    return list(dict.fromkeys([*checkpoints.available(), *published(), *_DEFAULT]))


def offered_config(name) -> ModelConfig:
    """The configuration of a model on offer. A browser can name no other: no path of this machine is read for it."""
    return checkpoints.load_config(validate.one_of("model", name, offered()))


def load_model(name: str) -> Loaded:
    """Loads a model, or returns it if it is one of those used last."""
    with _LOCK:
        lock = _LOADING.setdefault(name, threading.Lock())
    with lock:
        with _LOCK:
            found = _LOADED.get(name)
        if found is None:
            found = _load(name)
    with _LOCK:
        _LOADED[name] = found
        _LOADED.move_to_end(name)
        while len(_LOADED) > 1 and sum(one.model.num_parameters() for one in _LOADED.values()) > KEPT_PARAMETERS:
            _LOADED.popitem(last=False)
    return found


def forget() -> None:
    """Drops every loaded model."""
    with _LOCK:
        _LOADED.clear()


def _load(name: str) -> Loaded:
    device = device_of("auto")
    model = checkpoints.load(name, device, dtype=_DTYPE[0])
    quick = device == "cuda" or model.num_parameters() <= QUICK_LIMIT
    loaded = Loaded(model, code_colours(model.tokenizer.quantize.embedding.weight), quick)
    loaded.warm_up(AttentionSpec())
    return loaded


def device(language: str) -> str:
    """On what models compute here, in words."""
    facts = machine_facts(device_of("auto"))
    return wording.text("device_cpu", language, **facts) if facts["device"] == "cpu" else facts["device"]


def timed() -> dict:
    """On what a run of now is timed, for the front end: threads of the processor, or the device by its name."""
    facts = machine_facts(device_of("auto"))
    return {"threads": facts["threads"]} if facts["device"] == "cpu" else {"device": facts["device"]}


def no_colours(config: ModelConfig) -> np.ndarray:
    """Stands for the colours of a model that has not been loaded: grey."""
    return np.full((config.tokenizer.vocab_size, 3), 128, np.uint8)


def default() -> str:
    """The model that the page was started with."""
    return _DEFAULT[0]


def shown(name: str) -> dict[str, str]:
    """What a model is called on the page, by language."""
    if name in checkpoints.OFFICIAL:
        return {code: wording.text("model_published", code, name=name.replace("var_", "VAR-")) for code in wording.LANGUAGES}
    own, is_known = checkpoints.load_config(name).name, name in checkpoints.available()
    return {code: own if is_known else wording.text("model_in_folder", code, name=own) for code in wording.LANGUAGES}


def class_choices(config: ModelConfig, language: str = "en") -> list[tuple[str, int]]:
    """(shown name, label) of every class, with its group in front where classes have groups."""
    shown = [wording.named(name, language) for name in config.class_names]
    shown = shown or [config.class_name(i) for i in range(config.transformer.num_classes)]
    groups = [f"{wording.named(group, language)} \u00b7 " for group in config.class_groups] or [""] * len(shown)
    return [(group + name, label) for label, (group, name) in enumerate(zip(groups, shown))]
