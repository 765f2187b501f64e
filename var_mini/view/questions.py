"""What a front end asks about a finished run, answered as JSON values: by the page's server and by a notebook's kernel alike.

Numbers are float32 in base64, pixels RGB bytes in base64. All raise ValueError on anything out of range.
"""

from __future__ import annotations

import base64

import torch

from .. import validate
from ..analysis.inspection import attention_blocks, attention_sum
from ..attention import AttentionSpec
from ..config import ModelConfig
from ..model import Model
from .images import to_uint8
from .payload import weights_payload


def attention(model: Model, ids: torch.Tensor, label: int, place, spec: str | AttentionSpec, style: int | None = None) -> dict:
    """One token in one layer and head; `place` gives "scale", "token", "layer" and "head".

    `scale` s, `weights`, and of exact attention `logits` s q.k, `values` (n times dim) and `output`.
    """
    scale, token, layer, head = (place.get(name) for name in ("scale", "token", "layer", "head"))
    found = attention_sum(model, ids, label, scale, token, layer, head, spec, style)
    numbers = {name: _floats(value) for name, value in vars(found).items() if name != "scale"}
    return {"dim": model.config.transformer.head_dim, "scale": found.scale, **numbers}


def blocks(model: Model, ids: torch.Tensor, label: int, spec: str | AttentionSpec, style: int | None = None) -> dict:
    """Attention from scale to scale, as `weights_payload` writes it."""
    return weights_payload(attention_blocks(model, ids, label, spec, style))


@torch.inference_mode()
def code(model: Model, number: object) -> dict:
    """What a code means: its `vector`, and one cell, `side` pixels wide, of a map full of it.

    The cell is the one in the middle of the picture that the last scale's map draws when every token of it is this code.
    """
    number = validate.integer("code", number, 0, model.config.tokenizer.vocab_size - 1)
    pyramid, size, quantizer = model.config.pyramid, model.config.tokenizer.image_size, model.tokenizer.quantize
    ids = torch.full((1, pyramid.counts[-1]), number, device=model.device)
    image = (model.tokenizer.decode(quantizer.contribution(ids, pyramid.num_scales - 1))[0].cpu() + 1) / 2
    side = size // pyramid.side
    begin = pyramid.side // 2 * side
    patch = to_uint8(image[:, begin : begin + side, begin : begin + side])
    return {"vector": _floats(quantizer.embedding.weight[number].float().cpu()), "side": side, "patch": _base64(patch)}


def checked_ids(config: ModelConfig, ids: object) -> list[torch.Tensor]:
    """Token maps from a browser, a list of codes per scale -> int64 (n_k,) each. Raises ValueError where they do not fit."""
    counts, codes = config.pyramid.counts, config.tokenizer.vocab_size
    if not isinstance(ids, list) or [len(part) if isinstance(part, list) else None for part in ids] != list(counts):
        raise ValueError(f"ids = {validate.shown(ids)}: must be {len(counts)} lists of {', '.join(map(str, counts))} codes")
    return [torch.tensor([validate.integer("code", code, 0, codes - 1) for code in part]) for part in ids]


def _floats(values: torch.Tensor | None) -> str | None:
    return None if values is None else _base64(values.numpy().astype("<f4"))


def _base64(array) -> str:
    return base64.b64encode(array.tobytes()).decode()
