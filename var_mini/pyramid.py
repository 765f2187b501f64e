"""ScalePyramid: all geometry of a next-scale model in one immutable object.

VAR (arXiv 2404.02905, section 3) writes an image as K square token maps of growing side, read coarse to
fine as one sequence of L tokens. Every offset, level and mask that follows from `patch_nums` is computed
here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from . import validate

MAX_SIDE = 256  # far above the 64 of the published 1024 px model; bounds what untrusted input can ask for
MAX_SCALES = 64


@dataclass(frozen=True)
class ScalePyramid:
    """The scales of one model, from `patch_nums`, the sides of its token maps from coarse to fine.

    Raises ValueError unless `patch_nums` holds 1 to 64 strictly increasing whole numbers from 1 to 256.
    """

    patch_nums: tuple[int, ...]

    def __post_init__(self) -> None:
        given = self.patch_nums
        if not isinstance(given, (tuple, list)) or not 1 <= len(given) <= MAX_SCALES:
            raise ValueError(f"patch_nums = {validate.shown(given)}: must hold 1 to {MAX_SCALES} sides")
        sides = tuple(validate.integer("patch_nums", side, 1, MAX_SIDE) for side in given)
        if any(b <= a for a, b in pairwise(sides)):
            raise ValueError(f"patch_nums = {validate.shown(given)}: must be strictly increasing")
        object.__setattr__(self, "patch_nums", sides)

    @property
    def num_scales(self) -> int:
        return len(self.patch_nums)

    @property
    def side(self) -> int:
        """Side of the last (finest) token map, which is also the side of f_hat."""
        return self.patch_nums[-1]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Tokens of each scale, side squared."""
        return tuple(side * side for side in self.patch_nums)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each scale lies in the sequence of all tokens."""
        ends = np.cumsum(self.counts).tolist()
        return tuple(slice(end - count, end) for end, count in zip(ends, self.counts))

    @property
    def tokens(self) -> int:
        """L, the length of the whole sequence."""
        return self.slices[-1].stop

    def levels(self, device: torch.device | str | None = None) -> torch.Tensor:
        """Scale index of every token, int64 of shape (L,). Made on the device: the host does not wait for a copy."""
        return torch.cat([torch.full((count,), k, device=device) for k, count in enumerate(self.counts)])

    def block_causal_mask(self, device: torch.device | str | None = None) -> torch.Tensor:
        """The block-wise causal mask, bool (L, L): query token i may look at key token j iff level(j) <= level(i).

        Within a scale every token sees every other one: they are predicted in one parallel step.
        """
        level = self.levels(device)
        return level[:, None] >= level[None, :]

    def split(self, sequence: torch.Tensor, dim: int = 1) -> tuple[torch.Tensor, ...]:
        """Cuts a tensor whose dimension `dim` holds all tokens, or those of the coarsest scales, into one view per scale."""
        return sequence.split(self.counts[: self.scales_in(sequence.shape[dim])], dim=dim)

    def scales_in(self, tokens: int) -> int:
        """How many coarsest scales have so many tokens together. Raises ValueError where a scale would be cut."""
        ends = [s.stop for s in self.slices]
        if tokens not in ends:
            raise ValueError(f"sequence has {tokens} tokens: must be {self.tokens}, or {ends[:-1]} for its coarsest scales")
        return ends.index(tokens) + 1

    def progress(self, scale: int) -> float:
        """k / (K - 1), the place of scale k in the pyramid from 0 to 1; 0 for a pyramid of one scale.

        Guidance grows with it, and it chooses the phi of a scale.
        """
        return scale / (self.num_scales - 1) if self.num_scales > 1 else 0.0

    def attention_pairs(self, cached: bool = True) -> int:
        """Query-key pairs of one image per head and layer.

        With a KV cache each scale's queries meet all keys so far once; without one, every step computes
        the whole prefix anew.
        """
        ends = [s.stop for s in self.slices]
        return sum((count if cached else end) * end for count, end in zip(self.counts, ends))
