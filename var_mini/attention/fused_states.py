"""The two low-rank states with fused GPU kernels in place of `take_in` and `give_out`; imported where Triton is there."""

from __future__ import annotations

import torch

from . import fused
from .features import FeatureState
from .landmark import LandmarkState
from .polynomial import PolyState


class FusedState(FeatureState):
    """What both share: they refuse gradients, which the kernels would lose without a word."""

    implementation = "triton"

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        self._refuse_gradients(k, v)
        super().extend(k, v)

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        self._refuse_gradients(q)
        return super().attend(q)

    @staticmethod
    def _refuse_gradients(*inputs: torch.Tensor) -> None:
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            raise ValueError("this state uses fused kernels, which know no gradients: make it with gradients enabled")


class FusedPolyState(FusedState, PolyState):
    """Degree 2 with Taylor's coefficients; the state is (B, H, d + 1, d + 1, d + 1)."""

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, *others, **options):
        super().__init__(batch, scale, head_dim, *others, **options)
        self.state = fused.poly2_state(batch, len(scale), head_dim, scale.device)

    def take_in(self, k: torch.Tensor, v: torch.Tensor) -> None:
        fused.poly2_extend(self.state, k, v, self.scale)

    def give_out(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return fused.poly2_attend(self.state, q, self.scale)


class FusedLandmarkState(FusedState, LandmarkState):
    def take_in(self, k: torch.Tensor, v: torch.Tensor) -> None:
        fused.landmark_extend(self.state, k, v, self.scale, self.landmarks)

    def give_out(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return fused.landmark_attend(self.mix(self.state), q, self.scale, self.landmarks)
