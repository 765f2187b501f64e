"""A trace as the JSON that the explorer draws: one picture of it for the page, the notebooks and the exports."""

from __future__ import annotations

import base64

import torch

from ..config import ModelConfig
from ..generation import ScaleStep, Trace
from .images import code_colours, to_uint8

DIGITS = 4


def payload(trace: Trace, config: ModelConfig, codebook: torch.Tensor | None = None, colours=None, image_index: int = 0) -> dict:
    """JSON values of one image of a run: its settings, ids, colours, probabilities, candidates and images of every scale so far.

    `codebook` gives the code colours, unless `colours`, uint8 (V, 3) from `code_colours`, are on hand. A trace without
    probabilities (a tokenized picture) leaves these entries out.
    """
    if colours is None:
        if codebook is None:
            raise ValueError("codebook = None: must be given where the colours of codes are not")
        colours = code_colours(codebook)
    t = config.tokenizer
    label = trace.settings.get("label", 0)
    label = label[image_index] if isinstance(label, list) else label
    return {
        "model": config.name,
        "subject": trace.settings.get("subject") or config.class_name(label),
        "settings": {name: value[image_index] if isinstance(value, list) else value for name, value in trace.settings.items()},
        "sides": list(config.pyramid.patch_nums),
        "size": t.image_size,
        "codes": t.vocab_size,
        "layers": config.transformer.depth,
        "heads": config.transformer.heads,
        "tokens": config.pyramid.tokens,
        "scales": [_scale(step, colours, image_index) for step in trace.steps],
    }


def _scale(step: ScaleStep, colours, i: int) -> dict:
    ids = step.token_ids[i]
    result = {
        "side": step.side,
        "ids": ids.tolist(),
        "colours": _bytes(colours[ids.numpy()]),
        "seconds": [round(s, 6) for s in (step.seconds_attention, step.seconds_transformer, step.seconds_decoder)],
        "state": step.state_bytes,
        "backend": step.backend,
    }
    if step.image is not None:
        result["image"] = _bytes(to_uint8(step.image[i]))
    if step.entropy is not None:
        result["entropy"] = _rounded(step.entropy[i])
    if step.probability is not None:
        result["probability"] = _rounded(step.probability[i])
    if step.top_ids is not None and step.top_probability is not None:
        result["top"] = step.top_ids[i].tolist()
        result["top_probability"] = _rounded(step.top_probability[i])
        result["top_colours"] = _bytes(colours[step.top_ids[i].numpy()])
    return result


def weights_payload(weights: torch.Tensor) -> dict:
    """Attention weights as shape and 16-bit shares in base64 (65535 is 1). Those below 0 and above 1 are cut, and `cut` counts
    them for each layer and head.
    """
    shares = (weights.clamp(0, 1) * 65535).round().numpy().astype("<u2")
    outside = (weights < -0.5 / 65535) | (weights > 1 + 0.5 / 65535)
    return {"shape": list(weights.shape), "weights": _bytes(shares), "cut": outside.flatten(2).sum(-1).tolist()}


def _bytes(array) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _rounded(values: torch.Tensor) -> list:
    """Nested lists with four digits behind the point: fewer bytes, and enough to read."""
    return torch.round(values.double(), decimals=DIGITS).tolist()
