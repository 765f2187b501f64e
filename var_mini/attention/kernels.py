"""Which implementation computes a low-rank state: plain torch, or fused Triton kernels on a GPU. Decided in one place.

The kernels need CUDA and Triton, take certain shapes only, and know no gradients. Whether the machine has them is found out once;
`implementation`, an argument of `new_state` and of whoever makes states, rules them out ("torch") or demands them ("triton"),
on a CPU only where Triton interprets its kernels (TRITON_INTERPRET=1).
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec

import torch

from .spec import AttentionSpec

IMPLEMENTATIONS = ("auto", "torch", "triton")


@lru_cache(maxsize=1)
def capable() -> bool:
    """Whether this machine can run the kernels."""
    return find_spec("triton") is not None and torch.cuda.is_available()


def why_not(attention: str | AttentionSpec, scale: torch.Tensor, head_dim: int, implementation: str = "auto") -> str | None:
    """Why the fused kernels will not compute a state of `poly` or `landmark`, in words; None where they will."""
    spec = AttentionSpec.parse(attention)
    if implementation == "torch":
        return "plain torch was asked for"
    if spec.method == "poly" and (spec.degree != 2 or spec.calibrated):
        return "there are kernels for landmarks and for degree 2 with Taylor's coefficients"
    if torch.is_grad_enabled():  # whether or not the scale needs them: q, k and v may
        return "the kernels know no gradients; make the state under torch.no_grad()"
    interpreted = implementation == "triton" and os.environ.get("TRITON_INTERPRET") == "1" and find_spec("triton") is not None
    if scale.device.type != "cuda" and not interpreted:
        return f"the kernels need a GPU, the tensors are on {scale.device.type}"
    if not capable() and not interpreted:
        return "the kernels need the package triton"
    from . import fused

    return fused.unsupported(spec.method, head_dim, scale.dtype, spec.landmarks)


def chosen(spec: AttentionSpec, scale: torch.Tensor, head_dim: int, implementation: str = "auto") -> bool:
    """Whether the fused kernels compute a state. Raises ValueError where "triton" was asked for and they cannot."""
    reason = why_not(spec, scale, head_dim, implementation)
    if reason is not None and implementation == "triton":
        raise ValueError(f"implementation = 'triton': {reason}")
    return reason is None


def computed_by(spec: AttentionSpec, scale: torch.Tensor, head_dim: int) -> tuple[str, str]:
    """What computes a back end where nobody needs gradients: "sdpa", "triton" or "torch"; and for "torch", why, in words."""
    if spec.method in ("exact", "pool", "budget"):
        return "sdpa", ""
    if spec.method == "local":
        return "torch", "there are kernels for landmarks and for degree 2 with Taylor's coefficients"
    with torch.no_grad():
        reason = why_not(spec, scale, head_dim)
    return ("triton", "") if reason is None else ("torch", reason)
