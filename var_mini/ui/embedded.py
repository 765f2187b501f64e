"""A model as values that travel inside a page: for a notebook's widget whose export draws without a kernel or a server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch

from .. import checkpoints
from ..model import Model
from .export import CONFIG, check_config, export
from .modules import FOLDER

PRODUCT = "engines/product.wasm"


def embedded(model: Model) -> dict:
    """What hosts/notebook_engine.js takes: `described` (JSON), and `weights`, `calibration` and `product` as bytes.

    The weights are float16, as in the checkpoints that are shipped; where that would round one of them they stay float32, so that
    the same tokens are drawn. Raises ValueError where the engine in JavaScript cannot compute the model.
    """
    check_config(model.config)
    with tempfile.TemporaryDirectory() as root:
        source = Path(root) / "checkpoint"
        checkpoints.save(model, source, torch.float16 if _fits(model) else torch.float32)
        if model.transformer.calibration.landmarks:
            checkpoints.save_calibration(model, source)
        info = export(source, Path(root) / "models")
        folder = Path(root) / "models" / model.config.name
        told = {"info": info, "config": json.loads((folder / CONFIG).read_text())}
        weights, calibration = folder / checkpoints.WEIGHTS, folder / checkpoints.CALIBRATION
        return {
            "described": told,
            "weights": weights.read_bytes(),
            "calibration": calibration.read_bytes() if calibration.exists() else b"",
            "product": (FOLDER / PRODUCT).read_bytes(),
        }


def _fits(model: Model) -> bool:
    """Whether all weights are float16 numbers."""
    state = (value for part in (model.tokenizer, model.transformer) for value in part.state_dict().values())
    return all(torch.equal(value.half().to(value.dtype), value) for value in state if value.is_floating_point())
