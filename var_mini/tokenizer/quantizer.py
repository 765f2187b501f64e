"""Multi-scale residual quantization: VAR, arXiv 2404.02905, section 3.2, algorithms 1 and 2.

A feature map f is written as K token maps. Each scale k quantizes what the coarser scales left over:

    z_k  = area-downsample(f - f_hat, side_k)      what is still missing, seen at this side
    id_k = argmin_v |z_k - code_v|^2               the token map
    h_k  = phi_k(bicubic-upsample(code[id_k]))     what this scale adds, at full side
    f_hat += h_k

The transformer's input for scale k+1 is area-downsample(f_hat, side_{k+1}): the accumulated picture so far, not
the previous token map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import validate
from ..config import TokenizerConfig
from ..pyramid import ScalePyramid

NEAREST_ROWS = 8192  # vectors compared with the codebook at a time, which bounds the table of distances


@dataclass
class Quantized:
    """The result of quantizing f of shape (B, Cvae, side, side)."""

    token_ids: list[torch.Tensor]  # per scale, int64 (B, n_k)
    f_hat: list[torch.Tensor]  # per scale, the sum so far, (B, Cvae, side, side)


def phi_index(pyramid: ScalePyramid, phi_count: int) -> list[int]:
    """Which of the shared convolutions each scale uses: argmin_i |tick_i - k / (K - 1)|.

    The ticks are evenly spaced in (0, 1). Ties are decided by float64 rounding exactly as numpy does it, and
    published weights decode wrongly under any other rule.
    """
    margin = 1 / 3 / phi_count if phi_count == 4 else 1 / 2 / phi_count
    ticks = np.linspace(margin, 1 - margin, phi_count)
    return [int(np.argmin(np.abs(ticks - pyramid.progress(k)))) for k in range(pyramid.num_scales)]


class Phi(nn.Conv2d):
    """h -> (1 - ratio) h + ratio conv3x3(h): smooths an upsampled code map."""

    bias: nn.Parameter  # which a convolution need not have

    def __init__(self, channels: int, ratio: float):
        super().__init__(channels, channels, 3, padding=1)
        self.ratio = ratio
        nn.init.dirac_(self.weight)  # training starts with phi = identity
        nn.init.zeros_(self.bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h * (1 - self.ratio) + super().forward(h) * self.ratio


def _argmin(rows: torch.Tensor) -> torch.Tensor:
    """Column of the least entry of each row, the first of equal ones; by numpy on a CPU, where it takes a quarter of the time."""
    return torch.from_numpy(rows.numpy().argmin(1)) if rows.device.type == "cpu" else rows.argmin(1)


class SharedPhi(nn.Module):
    def __init__(self, channels: int, ratio: float, count: int):
        super().__init__()
        self.qresi_ls = nn.ModuleList(Phi(channels, ratio) for _ in range(count))


class MultiScaleQuantizer(nn.Module):
    """One codebook for all scales, and the convolutions phi."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.pyramid = config.pyramid
        self.beta = config.beta
        self.embedding = nn.Embedding(config.vocab_size, config.z_channels)
        self.quant_resi = SharedPhi(config.z_channels, config.phi_ratio, config.phi_count)
        self.phi_of_scale = phi_index(self.pyramid, config.phi_count)

    # -- one scale ---------------------------------------------------------------------------------------------

    def downsample(self, f: torch.Tensor, scale: int) -> torch.Tensor:
        """(B, Cvae, side, side) -> (B, Cvae, side_k, side_k) by area averaging; the identity at the last scale."""
        side = self.pyramid.patch_nums[scale]
        if side == f.shape[-1]:
            return f
        where = "cpu" if f.device.type == "mps" else f.device  # Metal pools only by whole factors (pytorch issue 96056)
        return F.interpolate(f.to(where), size=(side, side), mode="area").to(f.device)

    def nearest(self, z: torch.Tensor) -> torch.Tensor:
        """Index of the nearest code by squared distance: (N, Cvae) -> int64 (N,)."""
        codes = self.embedding.weight
        lengths = codes.square().sum(1)
        found = []
        for part in z.split(NEAREST_ROWS):
            squared = part.square().sum(1, keepdim=True) + lengths
            found.append(_argmin(torch.addmm(squared, part, codes.T, alpha=-2).detach()))
        return torch.cat(found)

    def contribution(self, token_ids: torch.Tensor, scale: int) -> torch.Tensor:
        """What the token map of scale k adds to f_hat: int64 (B, n_k) -> (B, Cvae, side, side)."""
        side, last = self.pyramid.patch_nums[scale], self.pyramid.side
        h = self.embedding(token_ids).transpose(1, 2).unflatten(2, (side, side))  # (B, Cvae, side_k, side_k)
        if scale != self.pyramid.num_scales - 1:
            h = F.interpolate(h, size=(last, last), mode="bicubic")
        return self.quant_resi.qresi_ls[self.phi_of_scale[scale]](h.contiguous())

    # -- all scales --------------------------------------------------------------------------------------------

    def quantize(self, f: torch.Tensor) -> Quantized:
        """Algorithm 1: f (B, Cvae, side, side) -> its token maps and the f_hat after each scale."""
        f_rest, f_hat = f.detach(), torch.zeros_like(f)
        result = Quantized([], [])
        for k in range(self.pyramid.num_scales):
            z = self.downsample(f_rest, k)  # (B, Cvae, side_k, side_k)
            ids = self.nearest(z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])).reshape(z.shape[0], -1)
            h = self.contribution(ids, k)
            f_hat, f_rest = f_hat + h, f_rest - h.detach()
            result.token_ids.append(ids)
            result.f_hat.append(f_hat)
        return result

    def accumulate(self, token_ids: list[torch.Tensor]) -> list[torch.Tensor]:
        """Algorithm 2: f_hat after each scale, from the token maps alone; each (B, Cvae, side, side)."""
        f_hats, f_hat = [], 0
        for k, ids in enumerate(token_ids):
            f_hat = f_hat + self.contribution(ids, k)
            f_hats.append(f_hat)
        return f_hats

    def transformer_input(self, f_hat: torch.Tensor, scale: int) -> torch.Tensor:
        """The transformer's input for scale k, from the f_hat of all coarser scales: (B, n_k, Cvae)."""
        return self.downsample(f_hat, scale).flatten(2).transpose(1, 2)

    def teacher_forcing_input(self, f_hats: list[torch.Tensor]) -> torch.Tensor:
        """Input of scales 1 .. K-1 when the true token maps are known: (B, L - n_0, Cvae); K may be less than all scales."""
        inputs = [self.transformer_input(f_hat, k + 1) for k, f_hat in enumerate(f_hats[:-1])]
        if not inputs:
            return self.embedding.weight.new_zeros(f_hats[0].shape[0], 0, self.embedding.embedding_dim)
        return torch.cat(inputs, dim=1)

    def inputs_from_ids(self, ids: torch.Tensor) -> torch.Tensor:
        """The same from the ids (B, L) of all scales, or of the coarsest."""
        return self.teacher_forcing_input(self.accumulate(list(self.pyramid.split(ids))))

    def check_ids(self, ids: torch.Tensor | list[torch.Tensor], name: str = "ids") -> list[torch.Tensor]:
        """One image's token ids, (L,) or (n_k,) per scale -> int64 (n_k,) per scale.

        Raises ValueError naming `name` where shapes do not fit, numbers are no codes, or their type is not one of whole numbers.
        """
        codes = self.embedding.num_embeddings
        whole = isinstance(ids, torch.Tensor)
        for part in [ids] if whole else ids:
            if part.is_floating_point() or part.is_complex() or part.dtype == torch.bool:
                raise ValueError(f"{name} have type {part.dtype}: must be whole numbers, such as int64, from 0 to {codes - 1}")
        shapes = tuple(ids.shape) if whole else [tuple(part.shape) for part in ids]
        wanted = (self.pyramid.tokens,) if whole else [(count,) for count in self.pyramid.counts]
        if shapes != wanted or any(bool(((part < 0) | (part >= codes)).any()) for part in ids):
            raise ValueError(f"{name} have shape {validate.shown(shapes)}: must be {wanted}, codes from 0 to {codes - 1}")
        return [part.long() for part in (ids.split(self.pyramid.counts) if whole else ids)]

    def loss(self, f: torch.Tensor, f_hats: list[torch.Tensor]) -> torch.Tensor:
        """Mean over scales of beta |stop(f_hat_k) - f|^2 + |f_hat_k - stop(f)|^2."""
        total = f.new_zeros(())
        for f_hat in f_hats:
            total = total + self.beta * F.mse_loss(f_hat.detach(), f) + F.mse_loss(f_hat, f.detach())
        return total / len(f_hats)
