"""The degree-2 polynomial kernel in place of the exponential, as training sees it.

With bounded logits t, exp(t) ~ 1 + t + t^2/2 (arXiv 2302.13214, arXiv 2501.04377). The kernel is positive for every
t, since it equals ((1 + t)^2 + 1) / 2, so the weights are positive and their sum never vanishes.
"""

from __future__ import annotations

import torch


def masked_polynomial(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention with weights proportional to 1 + t + t^2/2 over the allowed keys, (B, H, L, head_dim).

    Written with the explicit L x L matrix, which is the cheap way at the short L of training.
    """
    t = (q * scale.view(1, -1, 1, 1)) @ k.transpose(-1, -2)  # (B, H, L, L)
    weights = torch.addcmul(torch.ones_like(t), t + 1, t + 1).mul(0.5) * mask
    return (weights @ v) / weights.sum(-1, keepdim=True)
