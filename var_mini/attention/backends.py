"""From the name of a back end to its state or its masked pass."""

from __future__ import annotations

import torch

from .. import validate
from . import kernels
from .budget import BudgetState
from .exact import ExactState, masked_exact
from .landmark import LandmarkState
from .local import LocalState
from .polynomial import PolyState, masked_polynomial
from .pool import PoolState
from .spec import AttentionSpec
from .state import AttentionState


def new_state(
    attention: str | AttentionSpec,
    batch: int,
    scale: torch.Tensor,
    head_dim: int,
    capacity: int,
    landmarks: torch.Tensor | None = None,
    coefficients: torch.Tensor | None = None,
    reserve: bool | None = None,
    implementation: str = "auto",
) -> AttentionState:
    """An empty state of one layer for `batch` sequences of at most `capacity` tokens.

    attention     a name such as `poly-2`, or a spec; not `auto`, which `VAR.resolve` turns into another one
    scale         (H,), the logit scale of each head; gives the device and dtype of the state, too
    landmarks     (H, m, head_dim), for `landmark`
    coefficients  (H, degree + 1), for calibrated `poly`
    reserve       whether low-rank states keep keys and values as well; by default where denominators could fail
    implementation  "torch" or "triton" for a low-rank state; "auto" takes the fused kernels where they can compute it
    Raises ValueError where a parameter is out of range or what the method needs is missing.
    """
    spec = AttentionSpec.parse(attention)
    validate.one_of("implementation", implementation, kernels.IMPLEMENTATIONS)
    if spec.method == "auto":
        raise ValueError("attention = 'auto': a state needs a definite back end; VAR.resolve chooses one")
    spec.rank(head_dim)  # refuses a rank that is too large
    shape = batch, scale, head_dim, capacity
    if spec.method == "exact":
        return ExactState(*shape)
    if spec.method == "pool":
        return PoolState(*shape, spec.factor)
    if spec.method == "local":
        return LocalState(*shape, spec.neighbours)
    if spec.method == "budget":
        return BudgetState(*shape, spec.budget)
    if spec.method == "poly":
        fitted = _fitted(spec, coefficients, len(scale))
        reserve = spec.calibrated if reserve is None else reserve
        return _poly(spec, scale, head_dim, implementation)(*shape, spec.degree, fitted, reserve)
    wanted = (len(scale), spec.landmarks, head_dim)
    if landmarks is None or tuple(landmarks.shape) != wanted:
        given = None if landmarks is None else tuple(landmarks.shape)
        raise ValueError(f"landmarks have shape {given}: must be {wanted}")
    return _landmark(spec, scale, head_dim, implementation)(*shape, landmarks, True if reserve is None else reserve)


def _fitted(spec: AttentionSpec, coefficients: torch.Tensor | None, heads: int) -> torch.Tensor | None:
    """The coefficients that `poly` computes with, None for Taylor's. Raises ValueError where calibrated ones are missing."""
    if not spec.calibrated:
        return None
    if coefficients is None or tuple(coefficients.shape) != (heads, spec.degree + 1):
        given = None if coefficients is None else tuple(coefficients.shape)
        raise ValueError(f"coefficients have shape {given}: must be ({heads}, {spec.degree + 1})")
    return coefficients


def _poly(spec: AttentionSpec, scale: torch.Tensor, head_dim: int, implementation: str) -> type[PolyState]:
    """The class of a `poly` state."""
    if not kernels.chosen(spec, scale, head_dim, implementation):
        return PolyState
    from .fused_states import FusedPolyState

    return FusedPolyState


def _landmark(spec: AttentionSpec, scale: torch.Tensor, head_dim: int, implementation: str) -> type[LandmarkState]:
    """The class of a `landmark` state."""
    if not kernels.chosen(spec, scale, head_dim, implementation):
        return LandmarkState
    from .fused_states import FusedLandmarkState

    return FusedLandmarkState


def has_masked_pass(attention: str | AttentionSpec) -> bool:
    """Whether `masked` computes this back end: those whose weight of a pair depends on the pair alone, cheaply."""
    return AttentionSpec.parse(attention).method in ("exact", "poly")


def masked(
    attention: str | AttentionSpec,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: torch.Tensor,
    mask: torch.Tensor,
    coefficients: torch.Tensor | None = None,
) -> torch.Tensor:
    """Teacher-forced attention over all tokens at once: (B, H, L, head_dim) with the bool mask (L, L) of a pyramid.

    Equals the loop of `extend` and `attend` over the scales. Raises ValueError where the back end has no masked pass, or
    `coefficients` (H, degree + 1), for calibrated `poly`, are missing.
    """
    spec = AttentionSpec.parse(attention)
    with torch.autocast("cpu", enabled=False):  # there SDPA is several times slower backwards in bfloat16 than in float32
        if spec.method == "exact":
            return masked_exact(q, k, v, scale, mask)
        if spec.method == "poly":
            return masked_polynomial(q, k, v, scale, mask, spec.degree, _fitted(spec, coefficients, len(scale)))
    raise ValueError(f"attention = {str(spec)!r}: has no masked pass; use VAR.forward_by_scale")
