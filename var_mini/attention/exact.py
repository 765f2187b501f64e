"""Exact softmax attention: the KV cache, and the masked pass of training."""

from __future__ import annotations

import torch
import torch.nn.functional as F


class ExactState:
    """The KV cache, preallocated for `capacity` tokens: memory grows with every token, N * 2 * head_dim per head."""

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int):
        self.scale = scale.view(1, -1, 1, 1)
        shape = (batch, scale.numel(), capacity, head_dim)
        self.keys = torch.empty(shape, dtype=scale.dtype, device=scale.device)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        end = self.length + k.shape[2]
        if end > self.keys.shape[2]:
            capacity = self.keys.shape[2]
            raise ValueError(f"k has {k.shape[2]} tokens: {capacity - self.length} of {capacity} places are left")
        self.keys[:, :, self.length : end] = k
        self.values[:, :, self.length : end] = v
        self.length = end

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        keys, values = self.keys[:, :, : self.length], self.values[:, :, : self.length]
        return F.scaled_dot_product_attention(q * self.scale, keys, values, scale=1.0)  # 4-D: the fast path on CPU

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        """The attention matrix itself, (B, H, n, tokens so far): for showing, not for speed."""
        return ((q * self.scale) @ self.keys[:, :, : self.length].transpose(-1, -2)).softmax(-1)

    @property
    def state_bytes(self) -> int:
        batch, heads, _, head_dim = self.keys.shape
        return 2 * batch * heads * self.length * head_dim * self.keys.element_size()


def masked_exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the allowed keys, (B, H, L, head_dim)."""
    return F.scaled_dot_product_attention(q * scale.view(1, -1, 1, 1), k, v, attn_mask=mask, scale=1.0)
