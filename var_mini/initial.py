"""The weights that a transformer starts to learn from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def initialise(model: Any) -> None:
    """Fills a new `VAR` (of type Any, for transformer.py imports this file).

    As in the paper, residual branches (1 / sqrt(2 depth)) and head begin small; unlike there, gates begin at about a half.
    """
    C, depth = model.config.width, model.config.depth
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    tables = [model.pos_start, model.pos_1LC, model.class_emb.weight, model.lvl_embed.weight]
    for table in tables + ([model.style_emb.weight] if model.config.num_styles else []):
        nn.init.trunc_normal_(table, std=math.sqrt(1 / C / 3))
    model.head.weight.mul_(0.02)
    model.head_nm.ada_lin[1].weight.mul_(0.5)
    for block in model.blocks:
        block.attn.proj.weight.div_(math.sqrt(2 * depth))
        block.ffn.fc2.weight.div_(math.sqrt(2 * depth))
        if model.config.shared_adaln:
            block.ada_gss[:, :, 2:].mul_(0.5)
            block.ada_gss[:, :, :2].mul_(0.1).add_(0.5)  # gates start open enough to learn quickly
        else:
            block.ada_lin[1].weight[2 * C :].mul_(0.5)
            block.ada_lin[1].weight[: 2 * C].mul_(0.1)
            block.ada_lin[1].bias[: 2 * C].fill_(0.5)
