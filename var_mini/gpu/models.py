"""The models that the parts measure: the shipped ones, or a tiny one in a dry run."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from .. import checkpoints
from ..analysis.backends import BACKENDS
from ..analysis.parity import fill_by_rule
from ..config import ModelConfig, Sampling, TokenizerConfig, TransformerConfig
from ..model import Model
from ..transformer import VAR

DRY_BACKENDS = ("exact", "poly-2", "landmark-16", "pool-2")
TOKENIZER = TokenizerConfig((1, 2), 1, 24, 4, 8, (1, 2), 1, 2, attention=False, norm_groups=4)
TRANSFORMER = TransformerConfig(depth=1, width=16, heads=1, head_dim=8, num_classes=3)  # the interpreter is slow


def shipped(dry: bool):
    """Name -> function of a device that loads the model."""
    return {"tiny": tiny} if dry else {name: partial(checkpoints.load, name) for name in checkpoints.available()}


def backends(transformer: VAR, dry: bool) -> list[str]:
    """Those that this model can use."""
    return [name for name in (DRY_BACKENDS if dry else BACKENDS) if _usable(transformer, name)]


def _usable(transformer: VAR, name: str) -> bool:
    try:
        transformer.resolve(name)
    except ValueError:
        return False
    return True


def landmarks(config: TransformerConfig, m: int) -> torch.Tensor:
    """Random unit vectors (depth, H, m, d): times do not depend on where they lie."""
    generator = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(config.depth, config.heads, m, config.head_dim, generator=generator), dim=-1)


def tiny(device: torch.device | str = "cpu") -> Model:
    """Untrained, with weights that follow from a formula, so that every branch matters."""
    model = Model.build(ModelConfig("tiny", TOKENIZER, TRANSFORMER, sampling=Sampling(guidance=2.0)))
    fill_by_rule(model.tokenizer)
    fill_by_rule(model.transformer)
    model.transformer.set_landmarks(landmarks(TRANSFORMER, 16))
    return model.eval().to(device)


def published_shape(dry: bool, device: torch.device) -> Model:
    """VAR-d16 with random weights, made where it is used."""
    if dry:
        return tiny(device)
    with device:
        return Model.build(checkpoints.official_config("var_d16")).eval()
