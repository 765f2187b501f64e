"""Augmentation that keeps a picture's meaning: small shifts, zooms and turns of hue; mirror images where they mean the same."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ..data import to_unit
from .memory import to_device

SHIFT = 0.06  # largest shift, share of the side
ZOOM = 0.10  # largest change of size
HUE = 0.18  # largest turn of the hue, radians
PLAIN = 0.2  # share of pictures left as they are
CHANGES = 5  # numbers that tell a change: zoom, shift to the left, shift upwards, hue, mirrored; 0 where nothing was done
TOLD_SINCE = 2  # the shift is told as it looks in the end; before (1, the shipped weights' training) as it was before mirroring


def augment(
    images: torch.Tensor, generator: torch.Generator, flips: torch.Tensor | None = None, strength: float = 1.0
) -> torch.Tensor:
    """The pictures that `augment_and_tell` returns."""
    return augment_and_tell(images, generator, flips, strength)[0]


def augment_and_tell(
    images: torch.Tensor, generator: torch.Generator, flips: torch.Tensor | None = None, strength: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 pictures (B, channels, S, S) on white -> float in [-1, 1], each changed at random; and how, (B, CHANGES).

    `flips`, bool (B,), says which may be mirrored (None: none). What shifts and zooms uncover becomes white.
    Grey pictures keep their tones; in colour the hue turns about the grey axis, which leaves greys alone. All changes but the
    mirror image grow with `strength`, and are told in units of their largest value at strength 1. A shift is told as it looks in
    the end, mirrored or not, so that the same number always means the same direction.
    """
    x = to_unit(images)
    u = to_device(torch.rand(len(x), 6, generator=generator), x.device)
    changed = u[:, 0] >= PLAIN
    spread = strength * (2 * u - 1) * changed[:, None]  # 0 for pictures left as they are
    zoom = 1 + ZOOM * spread[:, 1]
    mirrored = (u[:, 5] < 0.5) & changed & (flips.to(x.device) if flips is not None else torch.zeros_like(changed))
    matrix = torch.zeros(len(x), 2, 3, device=x.device)
    matrix[:, 0, 0] = (1 - 2 * mirrored.float()) / zoom
    matrix[:, 1, 1] = 1 / zoom
    matrix[:, :, 2] = 2 * SHIFT * spread[:, 2:4]  # the picture is two units wide
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    moved = 1 - F.grid_sample(1 - x, grid, mode="bicubic", align_corners=False)  # outside is 0 of 1 - x: white
    if x.shape[1] == 3:
        moved = torch.einsum("bij,bjhw->bihw", hue_rotation(HUE * spread[:, 4]), moved)
    told = torch.cat([spread[:, 1:5], mirrored.float()[:, None]], 1)
    told[:, 1] *= 1 - 2 * mirrored.float()  # the matrix moves first and mirrors then
    return torch.where(changed[:, None, None, None], moved.clamp(-1, 1), x), told


def hue_rotation(angle: torch.Tensor) -> torch.Tensor:
    """Rotations of RGB space about its grey diagonal by angles (B,) in radians: (B, 3, 3) (Rodrigues' formula)."""
    cosine, sine = angle.cos(), angle.sin()
    third, root = (1 - cosine) / 3, sine / math.sqrt(3)
    a, b, c = cosine + third, third - root, third + root
    return torch.stack([a, b, c, c, a, b, b, c, a], 1).view(-1, 3, 3)
