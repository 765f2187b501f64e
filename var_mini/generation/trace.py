"""ScaleStep and Trace: the record of a run, one entry per scale. Page, notebooks, tests and exports read nothing else.

A trace is saved as one safetensors file: named arrays plus JSON, no pickle, validated on loading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from .. import validate
from ..attention import AttentionSpec
from ..pyramid import ScalePyramid

TOP_CANDIDATES = 5
MAX_FILE_BYTES = 64 * 1024 * 1024
FORMAT = "var-mini-trace-2"


@dataclass
class ScaleStep:
    """What happened at one scale of side s with n = s * s tokens, for B images. All arrays are on the CPU."""

    index: int
    side: int
    token_ids: torch.Tensor  # int64 (B, n)
    f_hat: torch.Tensor  # (B, Cvae, side_K, side_K), accumulated so far
    image: torch.Tensor | None  # (B, channels, S, S) in [0, 1], decoded from the f_hat so far
    seconds_attention: float
    seconds_transformer: float  # all of the transformer but attention, and sampling
    seconds_decoder: float
    state_bytes: int  # of all attention states after this scale
    backend: str = "exact"  # the attention back end, definite also where `auto` was asked for; "none" where nothing was drawn
    rank: int = 0  # rows of one layer's state: features, or keys of a cache
    reserve_bytes: int = 0  # keys and values kept beside low-rank states
    fallbacks: int = 0  # (image, head) outputs so far that were computed exactly instead
    smallest_denominator: float | None = None  # of all heads so far, where the back end knows it
    entropy: torch.Tensor | None = None  # nats, (B, n)
    probability: torch.Tensor | None = None  # of the drawn code, (B, n)
    top_ids: torch.Tensor | None = None  # int64 (B, n, 5)
    top_probability: torch.Tensor | None = None  # (B, n, 5)
    attention: torch.Tensor | None = None  # "blocks": (B, layers, H, k + 1); "full": (B, layers, H, n, tokens so far)
    attention_kind: str = "none"
    logits: torch.Tensor | None = None  # guided, before temperature and filtering, (B, n, V); never saved

    @property
    def seconds(self) -> float:
        return self.seconds_attention + self.seconds_transformer + self.seconds_decoder

    def recorded(self, name: str) -> torch.Tensor:
        """An array that a run records only where it is asked to. Raises ValueError where this one was not."""
        array = getattr(self, name)
        if array is None:
            raise ValueError(f"{name} of scale {self.index + 1}: was not recorded; see the fields of generation.Record")
        return array


ARRAYS = ("token_ids", "f_hat", "image", "entropy", "probability", "top_ids", "top_probability", "attention")
SECONDS = ("seconds_attention", "seconds_transformer", "seconds_decoder")
OTHERS = ("backend", "smallest_denominator")
COUNTS = ("state_bytes", "rank", "reserve_bytes", "fallbacks")


@dataclass
class Trace:
    """A whole run: the settings that reproduce it and its steps."""

    settings: dict = field(default_factory=dict)  # JSON values: model, label, seed, guidance, ...
    steps: list[ScaleStep] = field(default_factory=list)

    @property
    def image(self) -> torch.Tensor:
        """The final images, (B, channels, S, S) in [0, 1]."""
        return self.steps[-1].recorded("image")  # the last scale is always decoded

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    def to_bytes(self) -> bytes:
        """The trace as the content of a file."""
        tensors, numbers = {}, []
        for step in self.steps:
            for name in ARRAYS:
                value = getattr(step, name)
                if value is not None:
                    tensors[f"{step.index}.{name}"] = value.contiguous()
            numbers.append({name: getattr(step, name) for name in ("side", "attention_kind", *SECONDS, *COUNTS, *OTHERS)})
        meta = {"format": FORMAT, "settings": json.dumps(self.settings), "steps": json.dumps(numbers)}
        return save_tensors(tensors, metadata=meta)

    def save(self, path: Path | str) -> None:
        """Writes one file, first under a temporary name."""
        from ..files import atomic_write

        with atomic_write(path) as temporary:
            temporary.write_bytes(self.to_bytes())

    @staticmethod
    def load(source: Path | str | bytes) -> Trace:
        """Reads a trace file (or its bytes). Raises ValueError unless it is a sound one; runs no code from it."""
        if not isinstance(source, bytes):
            path = Path(source)
            if not path.is_file():
                raise ValueError(f"trace = {str(path)!r}: no such file")
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"trace = {str(path)!r}: has {path.stat().st_size} bytes, at most {MAX_FILE_BYTES} allowed")
            source = path.read_bytes()
        if len(source) > MAX_FILE_BYTES:
            raise ValueError(f"trace has {len(source)} bytes: at most {MAX_FILE_BYTES} allowed")
        try:
            tensors = load_tensors(source)
            length = int.from_bytes(source[:8], "little")
            meta = json.loads(source[8 : 8 + length]).get("__metadata__", {})
            if meta.get("format") != FORMAT:
                raise ValueError(f"format is {validate.shown(meta.get('format'))}: must be {FORMAT!r}")
            settings, numbers = json.loads(meta["settings"]), json.loads(meta["steps"])
            return Trace(settings, _checked_steps(settings, numbers, tensors))
        except (SafetensorError, KeyError, TypeError, AttributeError, RuntimeError, json.JSONDecodeError) as error:
            raise ValueError(f"trace is not a file saved by this project: {error}") from None


def _checked_steps(settings: object, numbers: object, tensors: dict[str, torch.Tensor]) -> list[ScaleStep]:
    if not isinstance(settings, dict) or not isinstance(numbers, list):
        raise ValueError("trace has no settings or no steps")
    pyramid = ScalePyramid(tuple(entry["side"] for entry in numbers))
    last = [tensors[name] for name in (f"{len(numbers) - 1}.image", f"{len(numbers) - 1}.f_hat") if name in tensors]
    if len(last) < 2 or any(array.ndim != 4 or array.shape[0] < 1 for array in last):
        raise ValueError("trace has no final image or f_hat")
    image, f_hat = tuple(last[0].shape), (*last[1].shape[:2], pyramid.side, pyramid.side)
    steps: list[ScaleStep] = []
    for k, entry in enumerate(numbers):
        arrays = {name: tensors.pop(f"{k}.{name}", None) for name in ARRAYS}
        kind = validate.one_of("attention_kind", entry["attention_kind"], ("none", "blocks", "full"))
        n = pyramid.counts[k]
        seen = {"none": None, "blocks": (k + 1,), "full": (n, pyramid.slices[k].stop)}[kind]
        shapes = {
            "token_ids": (image[0], n), "f_hat": f_hat, "image": image, "entropy": (image[0], n),
            "probability": (image[0], n), "top_ids": (image[0], n, None), "top_probability": (image[0], n, None),
            "attention": None if seen is None else (image[0], None, None, *seen),
        }  # fmt: skip
        for name, array in arrays.items():
            needed = name in ("token_ids", "f_hat") or (name == "attention" and kind != "none")
            _check_array(f"trace array {k}.{name}", array, shapes[name], needed, integral=name in ("token_ids", "top_ids"))
        values: dict[str, Any] = arrays | {name: validate.number(name, entry[name], 0, 1e15) for name in SECONDS}
        values |= {name: validate.integer(name, entry[name], 0, 10**15) for name in COUNTS}
        drawn = entry["backend"] != "none"  # of a picture taken apart
        values["backend"] = str(AttentionSpec.parse(entry["backend"])) if drawn else "none"
        if entry["smallest_denominator"] is not None:
            values["smallest_denominator"] = validate.number("smallest_denominator", entry["smallest_denominator"], -1e30, 1e30)
        steps.append(ScaleStep(index=k, side=pyramid.patch_nums[k], attention_kind=kind, **values))
    if tensors:
        raise ValueError(f"trace has unknown arrays: {validate.listed(sorted(tensors))}")
    return steps


def _check_array(where: str, array: torch.Tensor | None, shape: tuple | None, needed: bool, integral: bool) -> None:
    """Raises ValueError unless the array has `shape` (None = any size from 1 on), its type, and values in range."""
    if array is None:
        if needed:
            raise ValueError(f"{where} is missing")
        return
    fits = shape is not None and array.ndim == len(shape) and 0 not in array.shape
    if shape is None or not fits or any(want not in (None, have) for want, have in zip(shape, array.shape)):
        raise ValueError(f"{where} has shape {tuple(array.shape)}: must be {shape}")
    if array.dtype != (torch.int64 if integral else torch.float32):
        raise ValueError(f"{where} has type {array.dtype}: must be {'int64' if integral else 'float32'}")
    if not torch.isfinite(array).all() or (integral and int(array.min()) < 0):
        raise ValueError(f"{where} has values out of range: must be finite, token ids at least 0")
