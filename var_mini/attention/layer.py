"""The attention layer of VAR: projections around whatever back end attends (arXiv 2404.02905, appendix)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import TransformerConfig
from ..precision import Linear


class SelfAttention(nn.Module):
    """softmax(s q k^T) v of every head; in the L2 variant q and k are unit vectors and s is learned, so that |logit| <= s."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        C, A = config.width, config.attention_width
        self.mat_qkv = Linear(C, 3 * A, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(A))  # keys have no bias
        self.v_bias = nn.Parameter(torch.zeros(A))
        self.proj = Linear(A, C)
        if config.attn_l2_norm:
            self.scale_mul_1H11 = nn.Parameter(torch.full((1, config.heads, 1, 1), math.log(config.scale_init)))

    def forward(self, x: Tensor, attend) -> Tensor:
        """x (B, n, C) -> (B, n, C); `attend(q, k, v)` stands between the projections, with a mask or with a state behind it."""
        return self.proj(attend(*self.qkv(x)).transpose(1, 2).flatten(2))

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, n, C) -> q, k, v, each (B, H, n, d)."""
        B, n, _ = x.shape
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = self.mat_qkv(x, bias).view(B, n, 3, self.config.heads, self.config.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).float().unbind(0)  # float32 where autocast made bfloat16
        if self.config.attn_l2_norm:
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        return q, k, v

    def logit_scale(self) -> Tensor:
        """s of every head, (H,): exp(min(learned, log cap)), or the published constant where nothing is normalised."""
        if self.config.attn_l2_norm:
            return self.scale_mul_1H11.clamp(max=math.log(self.config.scale_cap)).exp().flatten()
        return self.q_bias.new_full((self.config.heads,), self.config.plain_scale)
