"""Which attention back ends a model can compute, and the checked spec of one that is asked for."""

from __future__ import annotations

import contextlib

from safetensors import SafetensorError, safe_open

from var_mini import checkpoints, validate
from var_mini.attention import AttentionSpec
from var_mini.attention.spec import METHODS
from var_mini.config import ModelConfig

from . import wording


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
    return supported(name, config, AttentionSpec.parse(method if value is None else f"{method}-{value}"))


def supported(name: str, config: ModelConfig, spec: AttentionSpec) -> AttentionSpec:
    """The same spec. Raises ValueError where this model cannot compute it."""
    spec.rank(config.transformer.head_dim)
    has = stored(name)
    if spec.method == "landmark" and spec.landmarks not in has["landmarks"]:
        raise ValueError(_lacking(spec, "landmark_counts", has["landmarks"]))
    if spec.calibrated and spec.degree not in has["coefficients"]:
        raise ValueError(_lacking(spec, "calibrated_degrees", has["coefficients"]))
    return spec


def _lacking(spec: AttentionSpec, what: str, has: list[int]) -> str:
    listed = ", ".join(map(str, has)) or wording.text("none_stored")
    return wording.text("not_stored", name=spec, what=wording.text(what), stored=listed)


def specs(name: str) -> list[str]:
    """The back ends that a model can be asked for, as a run's record names them."""
    config, has = checkpoints.load_config(name), stored(name)
    wanted = ["exact", "poly-2", "poly-4", *(f"poly-{degree}-calibrated" for degree in has["coefficients"])]
    wanted += [*(f"landmark-{count}" for count in has["landmarks"]), "pool-2", "pool-4", "auto"]
    offered = []
    for spec in map(AttentionSpec.parse, wanted):
        with contextlib.suppress(ValueError):  # a degree whose features would be too many for this head
            offered.append(str(supported(name, config, spec)))
    return list(dict.fromkeys(offered))
