"""The convolutional encoder and decoder around the quantizer.

The family is the VQGAN of latent diffusion, as the published VAR tokenizer uses it; parameter names are those of
the published weights, so that they load without a translation table. Two options make it cheap enough for a laptop:
a space-to-depth stem in place of the first resolutions, and no attention blocks.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ..config import TokenizerConfig

NORM_EPS = 1e-6


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=NORM_EPS)


class ResBlock(nn.Module):
    """(B, in, h, w) -> (B, out, h, w): two normalised 3x3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, groups: int):
        super().__init__()
        self.norm1 = _norm(channels_in, groups)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = _norm(channels_out, groups)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = channels_in == channels_out
        self.nin_shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class SpatialAttention(nn.Module):
    """Single-head attention over the cells of a feature map, logits scaled by C^-0.5."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = _norm(channels, groups)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, C, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(B, 3, 1, C, h * w).transpose(-1, -2).unbind(1)  # (B, 1, hw, C)
        out = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(out.transpose(-1, -2).reshape(B, C, h, w))


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """One resolution: residual blocks, each followed by attention where the level has it, then a resampling."""

    downsample: nn.Module  # of all levels of the encoder but the last
    upsample: nn.Module  # of all levels of the decoder but the finest

    def __init__(self, channels_in: int, channels_out: int, blocks: int, groups: int, attention: bool):
        super().__init__()
        widths = [channels_in] + [channels_out] * blocks
        self.block = nn.ModuleList(ResBlock(a, b, groups) for a, b in pairwise(widths))
        self.attn = nn.ModuleList(SpatialAttention(channels_out, groups) for _ in range(blocks if attention else 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        if hasattr(self, "upsample"):
            x = self.upsample(x)
        return x


class Middle(nn.Module):
    def __init__(self, channels: int, groups: int, attention: bool):
        super().__init__()
        self.block_1 = ResBlock(channels, channels, groups)
        self.attn_1 = SpatialAttention(channels, groups) if attention else nn.Identity()
        self.block_2 = ResBlock(channels, channels, groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """(B, image_channels, S, S) in [-1, 1] -> (B, z_channels, side, side)."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        widths = [config.channels * m for m in config.channel_mult]
        last = len(widths) - 1
        self.stem = config.stem
        self.conv_in = nn.Conv2d(config.image_channels * config.stem**2, config.channels, 3, padding=1)
        self.down = nn.ModuleList()
        for i, (a, b) in enumerate(zip([config.channels] + widths, widths)):
            level = Level(a, b, config.res_blocks, config.norm_groups, config.attention and i == last)
            if i != last:
                level.downsample = Downsample(b)
            self.down.append(level)
        self.mid = Middle(widths[-1], config.norm_groups, config.attention)
        self.norm_out = _norm(widths[-1], config.norm_groups)
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        h = self.conv_in(F.pixel_unshuffle(image, self.stem))
        for level in self.down:
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
    """(B, z_channels, side, side) -> (B, image_channels, S, S), not clamped."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        widths = [config.channels * m for m in config.channel_mult]
        last = len(widths) - 1
        self.stem = config.stem
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], config.norm_groups, config.attention)
        self.up = nn.ModuleList()  # up[0] is the finest level, as in the published weights
        for i, width in enumerate(widths):
            below = widths[min(i + 1, last)]
            level = Level(below, width, config.res_blocks + 1, config.norm_groups, config.attention and i == last)
            if i != 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = _norm(config.channels * config.channel_mult[0], config.norm_groups)
        self.conv_out = nn.Conv2d(widths[0], config.image_channels * config.stem**2, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h))), self.stem)
