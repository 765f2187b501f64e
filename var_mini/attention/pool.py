"""Attention to averages: the keys and values of every fine scale, pooled over cells of f x f tokens.

A cell of c tokens with mean key weighs c * exp(s q . mean), so log c is added to its logit. Cost and memory fall by f^2 but
keep their order in n. Scales of side 4 and less stay as they are.
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F

from .state import check_keys, check_queries, tensor_bytes

EXACT_SIDE = 4


class PoolState:
    """Every scale must come in one `extend`, so that its square shape is known."""

    fallbacks = 0
    reserve_bytes = 0
    smallest_denominator = None

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int, factor: int = 2):
        self.scale, self.factor = scale.view(1, -1, 1, 1), factor
        self.keys = scale.new_empty(batch, scale.numel(), 0, head_dim)
        self.values = self.keys
        self.bias = scale.new_empty(0)  # log of the tokens behind each key
        self.counts: list[int] = []  # tokens of each scale

    def clear(self) -> None:
        self.keys, self.values, self.bias, self.counts = self.keys[:, :, :0], self.values[:, :, :0], self.bias[:0], []

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        batch, heads, _, head_dim = self.keys.shape
        check_keys(k, v, batch, heads, head_dim)
        k, v = k.to(self.keys.dtype), v.to(self.keys.dtype)
        tokens = k.shape[2]
        side = isqrt(tokens)
        if side * side != tokens:
            raise ValueError(f"k has {tokens} tokens: pooling needs a square token map, one whole scale at a time")
        bias = self.bias.new_zeros(tokens)
        if side > EXACT_SIDE:
            k, v = self._pooled(k, side), self._pooled(v, side)
            cells = F.avg_pool2d(self.bias.new_ones(1, 1, side, side), self.factor, ceil_mode=True, divisor_override=1)
            bias = cells.flatten().log()
        self.counts.append(tokens)
        self.keys, self.values = torch.cat([self.keys, k], 2), torch.cat([self.values, v], 2)
        self.bias = torch.cat([self.bias, bias])

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        batch, heads, keys, head_dim = self.keys.shape
        check_queries(q, batch, heads, head_dim, keys > 0)
        mask = self.bias.view(1, 1, 1, -1).expand(1, 1, q.shape[2], -1)
        queries = (q * self.scale).to(self.keys.dtype)
        return F.scaled_dot_product_attention(queries, self.keys, self.values, attn_mask=mask, scale=1.0).to(q.dtype)

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        pooled = ((q * self.scale) @ self.keys.transpose(-1, -2) + self.bias).softmax(-1)
        columns, start = [], 0
        for tokens in self.counts:  # each cell shares its weight among its tokens
            side = isqrt(tokens)
            cells = -(-side // self.factor) if side > EXACT_SIDE else side
            part = pooled[..., start : start + cells * cells]
            start += cells * cells
            if cells < side:
                part = part / self.bias[start - cells * cells : start].exp()
                grid = part.unflatten(-1, (cells, cells))
                grid = grid.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
                part = grid[..., :side, :side].flatten(-2)
            columns.append(part)
        return torch.cat(columns, -1)

    def _pooled(self, x: torch.Tensor, side: int) -> torch.Tensor:
        batch, heads, _, d = x.shape
        maps = x.transpose(-1, -2).reshape(batch * heads, d, side, side)
        pooled = F.avg_pool2d(maps, self.factor, ceil_mode=True, count_include_pad=False)  # border cells may be smaller
        return pooled.view(batch, heads, d, -1).transpose(-1, -2)

    @property
    def rank(self) -> int:
        return self.keys.shape[2]

    @property
    def state_bytes(self) -> int:
        return tensor_bytes(self.keys, self.values, self.bias)
