"""Exact softmax attention: the KV cache, and the masked pass of training."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .state import check_keys, check_queries


class ExactState:
    """The KV cache, preallocated for `capacity` tokens: memory grows with every token, N * 2 * head_dim per head."""

    fallbacks = 0
    reserve_bytes = 0
    smallest_denominator = None

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int):
        self.scale, self.capacity = scale.view(1, -1, 1, 1), capacity
        self.keys = torch.empty((batch, scale.numel(), capacity, head_dim), dtype=scale.dtype, device=scale.device)
        self.values = torch.empty_like(self.keys)
        self.length = 0
        self.joined = False  # whether keys and values were put together for gradients, instead of written into their places

    def clear(self) -> None:
        if self.joined:
            batch, heads, _, head_dim = self.keys.shape
            self.keys = self.scale.new_empty(batch, heads, self.capacity, head_dim)
            self.values = torch.empty_like(self.keys)
        self.length, self.joined = 0, False

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        batch, heads, _, head_dim = self.keys.shape
        check_keys(k, v, batch, heads, head_dim)
        self.append(k, v)

    def append(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """`extend` for a state that has looked at k and v already, and keeps this one in reserve."""
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"k has {k.shape[2]} tokens: {self.capacity - self.length} of {self.capacity} places are left")
        tracked = torch.is_grad_enabled() and (k.requires_grad or v.requires_grad)
        if tracked or self.joined:  # writing in place would break the gradient
            k, v = (k, v) if tracked else (k.detach(), v.detach())
            with torch.enable_grad():  # those before may need gradients, whoever comes now
                self.keys = torch.cat([self.keys[:, :, : self.length], k], 2)
                self.values = torch.cat([self.values[:, :, : self.length], v], 2)
            self.joined = True
        else:
            self.keys[:, :, self.length : end] = k
            self.values[:, :, self.length : end] = v
        self.length = end

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        batch, heads, _, head_dim = self.keys.shape
        check_queries(q, batch, heads, head_dim, self.length > 0)
        keys, values = self.keys[:, :, : self.length], self.values[:, :, : self.length]
        queries = (q * self.scale).to(keys.dtype)
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.0).to(q.dtype)  # 4-D: the fast path on CPU

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        return ((q * self.scale) @ self.keys[:, :, : self.length].transpose(-1, -2)).softmax(-1)

    @property
    def rank(self) -> int:
        return self.length

    @property
    def state_bytes(self) -> int:
        batch, heads, _, head_dim = self.keys.shape
        return 2 * batch * heads * self.length * head_dim * self.keys.element_size()


def masked_exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the allowed keys, (B, H, L, head_dim)."""
    return F.scaled_dot_product_attention(q * scale.view(1, -1, 1, 1), k, v, attn_mask=mask, scale=1.0)
