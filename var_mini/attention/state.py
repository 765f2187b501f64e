"""The interface of a running attention, and what every state checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch


class AttentionState(Protocol):
    """Keys and values seen so far, in whatever form a method keeps them.

    q, k, v have shape (B, H, n, head_dim). The logit of a pair is scale[h] * (q . k); where q and k are unit
    vectors it lies in [-scale[h], scale[h]].
    """

    fallbacks: int  # (image, head) pairs so far whose output was computed exactly because a denominator was not positive

    def clear(self) -> None:
        """Forgets all keys, for another run of the same batch size."""
        ...

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


Observer = Callable[[int, AttentionState, torch.Tensor, torch.Tensor, torch.Tensor], object]  # layer, state, q, k, v


def attend_through(layer: int, state: AttentionState, observer: Observer | None, q, k, v) -> torch.Tensor:
    """Attention of one layer through its state, (B, H, n, head_dim). The observer is told afterwards, and changes nothing."""
    state.extend(k, v)
    out = state.attend(q)
    if observer is not None:
        observer(layer, state, q, k, v)
    return out


def check_keys(k: torch.Tensor, v: torch.Tensor, batch: int, heads: int, head_dim: int) -> None:
    """Raises ValueError unless k and v are finite and of shape (batch, heads, n >= 1, head_dim), n the same for both."""
    wanted = (batch, heads, max(k.shape[2], 1) if k.ndim == 4 else 1, head_dim)
    for name, x in (("k", k), ("v", v)):
        _check(name, x, wanted)


def check_queries(q: torch.Tensor, batch: int, heads: int, head_dim: int, seen: bool) -> None:
    """Raises ValueError unless q is finite and of shape (batch, heads, n >= 1, head_dim), and there is a key to attend to."""
    _check("q", q, (batch, heads, max(q.shape[2], 1) if q.ndim == 4 else 1, head_dim))
    if not seen:
        raise ValueError("attend before extend: the state has taken in 0 keys, must be at least 1")


def _check(name: str, x: torch.Tensor, shape: tuple[int, ...]) -> None:
    """Finiteness is found by one sum, and only on the CPU: on a GPU the host would have to wait for the answer; there
    `generate` checks each scale's logits.
    """
    if tuple(x.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: must be {shape}")
    if x.device.type != "cpu" or math.isfinite(x.detach().sum(dtype=torch.float32)):
        return
    if not torch.isfinite(x).all():  # or the sum alone is too large
        raise ValueError(f"{name} has values that are not finite: every entry must be a finite number")


def tensor_bytes(*tensors: torch.Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
