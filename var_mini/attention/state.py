"""The interface of a running attention, and the choice of a back end by name."""

from __future__ import annotations

from typing import Protocol

import torch

from .. import validate
from .exact import ExactState, masked_exact
from .polynomial import masked_polynomial


class AttentionState(Protocol):
    """Keys and values seen so far, in whatever form a method keeps them.

    q, k, v have shape (B, H, n, head_dim). The logit of a pair is scale[h] * (q . k); where q and k are unit
    vectors it lies in [-scale[h], scale[h]].
    """

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """Takes in the keys and values of one more scale."""
        ...

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        """Attention output (B, H, n, head_dim) of queries that see everything taken in so far."""
        ...

    @property
    def state_bytes(self) -> int:
        """Bytes that the state needs for what it has taken in so far."""
        ...


STATES = {"exact": ExactState}
MASKED = {"exact": masked_exact, "poly": masked_polynomial}


def new_state(name: str, batch: int, scale: torch.Tensor, head_dim: int, capacity: int) -> AttentionState:
    """An empty state of the back end `name` for `batch` sequences of at most `capacity` tokens.

    `scale` (H,) gives the logit scale of each head, and the device and dtype of the state.
    """
    return STATES[validate.one_of("attention", name, STATES)](batch, scale, head_dim, capacity)


def masked(name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Teacher-forced attention over all tokens at once: (B, H, L, head_dim) with the bool mask (L, L) of a pyramid.

    Equals the loop of `extend` and `attend` over the scales.
    """
    return MASKED[validate.one_of("attention", name, MASKED)](q, k, v, scale, mask)
