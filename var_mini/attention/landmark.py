"""Nystrom attention with fixed landmarks: the exponential kernel seen through m centres of the model's own q and k.

K(x, y) = exp(s (x . y - 1)) is approximated by phi(x)^T K_LL^-1 phi(y) with phi(x) = K(L, x) and K_LL = K(L, L) for the m
landmarks L of a head (Nystrom's method; Nystromformer, arXiv 2102.03902, takes segment means of the sequence instead). It is
exact at the landmarks and good near them, which is where calibrated centres lie. Weights may be negative in principle.
"""

from __future__ import annotations

import torch

from .features import FeatureState

RIDGE = 1e-5  # K_LL of close landmarks is singular in float32 without it


class LandmarkState(FeatureState):
    """m features. `landmarks` (H, m, d) come from calibration (`training.landmarks`) and are unit vectors."""

    positive = False

    def __init__(
        self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int, landmarks: torch.Tensor, reserve: bool = True
    ):
        super().__init__(batch, scale, head_dim, capacity, landmarks.shape[1], reserve)
        scale, landmarks = self.scale, landmarks.to(self.scale.dtype)
        self.landmarks = landmarks
        self.directions = landmarks * scale[:, None, None]  # s L, so that a feature costs one product, one shift, one exp
        # in float32 the factorisation of many close landmarks would fail in spite of the ridge; Metal knows no float64
        exact, s = (x.to("cpu" if x.device.type == "mps" else x.device).double() for x in (landmarks, scale))
        gram = torch.exp((exact @ exact.transpose(-1, -2) - 1) * s[:, None, None])
        eye = torch.eye(self.rank, dtype=gram.dtype, device=gram.device)
        self.factor = torch.linalg.cholesky(gram + RIDGE * eye).to(scale)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        shifted = torch.matmul(self.directions, x.transpose(-1, -2)) - self.scale[:, None, None]
        return shifted.exp() if shifted.requires_grad else shifted.exp_()

    def mix(self, state: torch.Tensor) -> torch.Tensor:
        return solved_by_head(state, self.factor) if state.is_cuda else torch.cholesky_solve(state, self.factor)


def solved_by_head(state: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """cholesky_solve of (B, H, m, n) by the factors (H, m, m): a GPU launches each matrix, so those of a head become one."""
    B, H, m, n = state.shape
    columns = state.permute(1, 2, 0, 3).reshape(H, m, B * n)
    return torch.cholesky_solve(columns, factor).view(H, m, B, n).permute(2, 0, 1, 3)
