"""The interface of a running attention, and what every state checks."""

from __future__ import annotations

import math
from typing import Protocol

import torch


class AttentionState(Protocol):
    """Keys and values seen so far, in whatever form a method keeps them.

    q, k, v have shape (B, H, n, head_dim). The logit of a pair is scale[h] * (q . k); where q and k are unit
    vectors it lies in [-scale[h], scale[h]].
    """

    fallbacks: int  # (image, head) pairs so far whose output was computed exactly because a denominator was not positive

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """Takes in the keys and values of one more scale. Raises ValueError where they are not finite."""
        ...

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        """Attention output (B, H, n, head_dim) of queries that see everything taken in so far."""
        ...

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        """The attention weights behind `attend`, (B, H, n, tokens so far), rows summing to 1: for showing, not for speed."""
        ...

    @property
    def rank(self) -> int:
        """Rows of the state: features of a low-rank method, keys of a cache."""
        ...

    @property
    def state_bytes(self) -> int:
        """Bytes that the method needs for what it has taken in so far, without the reserve."""
        ...

    @property
    def reserve_bytes(self) -> int:
        """Bytes of keys and values kept only for the case that a denominator is not positive, or for `weights`."""
        ...

    @property
    def smallest_denominator(self) -> float | None:
        """The smallest sum of weights of any query so far; None where softmax keeps it inside the kernel."""
        ...


def check_finite(name: str, x: torch.Tensor) -> None:
    """Raises ValueError where x holds NaN or infinity, found by one sum.

    Only on the CPU: on a GPU the host would have to wait for the answer; there `generate` checks each scale's logits.
    """
    if x.device.type == "cpu" and not math.isfinite(x.detach().sum(dtype=torch.float32)):
        raise ValueError(f"{name} has values that are not finite: every entry must be a finite number")


def tensor_bytes(*tensors: torch.Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
