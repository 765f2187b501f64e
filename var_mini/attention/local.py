"""Attention to the k nearest tokens of the same map: the locality of MVAR (arXiv 2505.12742), as a state.

The input of a scale is the up-interpolated map of the scale before, so that a neighbourhood in this map stands for one of the
coarser map. Earlier scales are not kept: no cache, N k pairs in place of N^2. MVAR trains with this attention; a model trained
with all keys loses what lies outside (`bench practice` measures how much, with and without further training).
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

import torch

from .state import check_keys, check_queries, tensor_bytes


@lru_cache(maxsize=64)
def neighbourhood(side: int, neighbours: int) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[bool, ...], ...]]:
    """For every token of a side x side map the places of the w x w window around it, w^2 = neighbours, and which are inside."""
    reach = isqrt(neighbours) // 2
    steps = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    places, inside = [], []
    for y in range(side):
        for x in range(side):
            cells = [(y + dy, x + dx) for dy, dx in steps]
            fits = tuple(0 <= i < side and 0 <= j < side for i, j in cells)
            inside.append(fits)
            places.append(tuple(i * side + j if ok else 0 for (i, j), ok in zip(cells, fits)))
    return tuple(places), tuple(inside)


def local_pairs(side: int, neighbours: int) -> int:
    """Query-key pairs of one map: windows are cut at the border, and rows and columns are cut alike."""
    reach = isqrt(neighbours) // 2
    along = sum(min(y + reach, side - 1) - max(y - reach, 0) + 1 for y in range(side))
    return along * along


class LocalState:
    """Every scale must come in one `extend`, and its queries, all of them and in order, in `attend`."""

    fallbacks = 0
    reserve_bytes = 0
    smallest_denominator = None

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int, neighbours: int = 9):
        self.scale, self.neighbours = scale.view(1, -1, 1, 1), neighbours
        self.keys = scale.new_empty(batch, scale.numel(), 0, head_dim)
        self.values = self.keys
        self.length = 0  # tokens so far, kept or not

    def clear(self) -> None:
        self.keys = self.values = self.keys[:, :, :0]
        self.length = 0

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        batch, heads, _, head_dim = self.keys.shape
        check_keys(k, v, batch, heads, head_dim)
        tokens = k.shape[2]
        side = isqrt(tokens)
        if side * side != tokens:
            raise ValueError(f"k has {tokens} tokens: neighbours need a square token map, one whole scale at a time")
        self.keys, self.values = k.to(self.keys.dtype), v.to(self.keys.dtype)
        self.length += tokens
        places, inside = neighbourhood(side, self.neighbours)
        self.places = torch.tensor(places, device=k.device)  # (n, k)
        self.outside = ~torch.tensor(inside, device=k.device)

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        weights = self._window_weights(q)  # (B, H, n, k)
        return (weights.unsqueeze(-2) @ self.values[:, :, self.places]).squeeze(-2).to(q.dtype)

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        near = self._window_weights(q)
        n = near.shape[2]
        all_keys = near.new_zeros(*near.shape[:3], self.length)
        places = (self.places + self.length - n).expand(*near.shape)
        return all_keys.scatter_add(-1, places, near)  # a place outside has weight 0, wherever it points

    def _window_weights(self, q: torch.Tensor) -> torch.Tensor:
        batch, heads, keys, head_dim = self.keys.shape
        check_queries(q, batch, heads, head_dim, keys > 0)
        if q.shape[2] != keys:
            raise ValueError(f"q has {q.shape[2]} tokens: must have the {keys} of the scale, for each meets its neighbours")
        near = self.keys[:, :, self.places]  # (B, H, n, k, d)
        logits = (near @ (q * self.scale).to(near.dtype).unsqueeze(-1)).squeeze(-1)
        return logits.masked_fill(self.outside, float("-inf")).softmax(-1)

    @property
    def rank(self) -> int:
        return self.keys.shape[2]

    @property
    def state_bytes(self) -> int:
        return tensor_bytes(self.keys, self.values)
