"""Which implementation computes a low-rank state: plain torch, or fused Triton kernels on a GPU. Decided in one place.

The kernels need CUDA and Triton, take certain shapes only, and know no gradients. Whether the machine has them is found
out once; `VAR_MINI_KERNELS=torch` in the environment, or `override` in a test, rules them out or in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType

import torch

from .. import validate
from .spec import AttentionSpec

_override: str | None = None


@lru_cache(maxsize=1)
def capable() -> bool:
    """Whether this machine can run the kernels."""
    return find_spec("triton") is not None and torch.cuda.is_available()


def choice() -> str:
    """`auto`, `torch` or `triton`."""
    given = _override or os.environ.get("VAR_MINI_KERNELS") or "auto"
    return validate.one_of("VAR_MINI_KERNELS", given, ("auto", "torch", "triton"))


@contextlib.contextmanager
def override(name: str) -> Iterator[None]:
    """Chooses `torch` or `triton` inside a with block, whatever the machine and the tensors are."""
    global _override
    before, _override = _override, validate.one_of("kernels", name, ("torch", "triton"))
    try:
        yield
    finally:
        _override = before


def why_not(method: str, scale: torch.Tensor, head_dim: int, rank: int = 64) -> str | None:
    """Why the fused kernels will not compute this state, in words; None where they will."""
    chosen = choice()
    if chosen == "torch":
        return "plain torch was asked for"
    if torch.is_grad_enabled():  # whether or not the scale needs them: q, k and v may
        return "the kernels know no gradients; make the state under torch.no_grad()"
    if chosen == "auto" and scale.device.type != "cuda":
        return f"the kernels need a GPU, the tensors are on {scale.device.type}"
    if chosen == "auto" and not capable():
        return "the kernels need the package triton"
    from . import fused

    return fused.unsupported(method, head_dim, scale.dtype, rank)


def computed_by(spec: AttentionSpec, scale: torch.Tensor, head_dim: int) -> tuple[str, str]:
    """What computes a back end where nobody needs gradients: "sdpa", "triton" or "torch"; and for "torch", why, in words."""
    if spec.method in ("exact", "pool", "budget"):
        return "sdpa", ""
    if spec.method == "local" or (spec.method == "poly" and (spec.degree != 2 or spec.calibrated)):
        return "torch", "there are kernels for landmarks and for degree 2 with Taylor's coefficients"
    with torch.no_grad():
        reason = why_not(spec.method, scale, head_dim, spec.landmarks)
    return ("triton", "") if reason is None else ("torch", reason)


def fused(method: str, scale: torch.Tensor, head_dim: int, rank: int = 64) -> ModuleType | None:
    """The module of fused kernels where they can compute this state, else None."""
    if why_not(method, scale, head_dim, rank) is not None:
        return None
    from . import fused as module

    return module
