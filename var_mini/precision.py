"""Devices, and 16-bit weights: which parts of a model have them, and what stays float32.

The linear layers of the transformer and the convolutions of encoder and decoder, nearly all of the weights and of the work, may
be bfloat16 or float16. They take and return float32, so all that is added up over layers or scales is never rounded to 16 bits:
the residual stream, f_hat, the attention states, the logits. Embeddings, norms and the codebook stay float32, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from . import validate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

LAYOUT = torch.channels_last  # of 16-bit convolutions: on a processor with AMX several times faster than channels first


def dtype_of(dtype: torch.dtype | str) -> torch.dtype:
    """A torch type, given itself or its name. Raises ValueError where models cannot have weights of it."""
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype
    return DTYPES[validate.one_of("dtype", name, DTYPES)]


def fingerprint(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Of named weights in float16, as most checkpoints store them: the same for a model and for what is read back of it."""
    sha = hashlib.sha256()
    for name, weight in weights:
        bits = weight.detach().cpu().half() + 0.0  # averaging turns -0 into 0, which is the same weight
        sha.update(name.encode() + bits.contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def device_of(device: torch.device | str) -> torch.device | str:
    """A device given itself, or its name if this torch can compute on it; for `auto` the GPU where there is one.

    Raises ValueError for a name of none.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    known = ["cpu", "meta", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    known += ["cuda"] if torch.cuda.is_available() else []
    known += ["mps"] if torch.backends.mps.is_available() else []
    if device not in known:
        listed = ", ".join([*(name for name in known if name != "meta"), "auto"])
        raise ValueError(f"device = {device!r}: must be one of {listed} on this machine")
    return device


class Linear(nn.Linear):
    """A linear layer that multiplies in the type of its weights, whatever comes in, and returns the type that came in."""

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """`bias` stands in for the layer's own."""
        bias, dtype = self.bias if bias is None else bias, self.weight.dtype
        if dtype == torch.float32:  # under autocast x may be 16-bit, and so is the result
            return F.linear(x, self.weight, bias)
        return F.linear(x.to(dtype), self.weight, None if bias is None else bias.to(dtype)).to(x.dtype)


def compute(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """part(x) for pictures or feature maps x (B, C, h, w) in the type of the part's weights, returned in the type of x."""
    dtype = next(part.parameters()).dtype
    if dtype == torch.float32:
        return part(x)
    return part(x.to(dtype, memory_format=LAYOUT)).to(x.dtype, memory_format=torch.contiguous_format)


def convert(model: nn.Module, dtype: torch.dtype) -> None:
    """Gives the weights that may be 16-bit the type `dtype`; those of a part called encoder or decoder as a whole."""
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            module.to(dtype)
        elif name in ("encoder", "decoder"):
            layout = torch.contiguous_format if dtype == torch.float32 else LAYOUT
            module.to(dtype=dtype, memory_format=layout)  # pyright: ignore[reportCallIssue]  # stubs lack both together
