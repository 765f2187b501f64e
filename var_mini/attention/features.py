"""What the polynomial and the landmark method share: a state of constant size, S = sum over keys of phi(k) [v, 1]^T.

The weight of a pair is phi(q)^T W phi(k) with a fixed matrix W of the method, so the output of a query is phi(q)^T W S
with its last column as the denominator: keys are never looked at again, and cost and memory stop depending on their
number (arXiv 2302.13214, arXiv 2501.04377).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from .exact import ExactState
from .state import check_keys, check_queries, tensor_bytes

TILE_BYTES = 2 << 20  # features of a tile stay in a core's second-level cache: above and below it is measurably slower
GPU_TILE_BYTES = 256 << 20  # on a GPU launches cost more than memory traffic; not measured


class FeatureState(ABC):
    """Base of the constant-size states. A method gives `features` and `mix`; `fused_states` has GPU kernels in place of
    `take_in` and `give_out`.

    `reserve` keeps keys and values beside the state. They are used for `weights`, and for a head in which some query's
    denominator is not positive: the whole head is then computed exactly and counted in `fallbacks`. Without a reserve such
    a denominator raises ValueError. (Where `positive` rules it out but for rounding, a GPU is not made to wait for the check.)

    `unchecked` leaves denominators alone, for a recorded run that may not look at them: whoever sets it must see afterwards that
    `smallest` is above 0, and throw the outputs away where it is not.

    Keys, queries and values may be 16-bit; sums are float32 at least, and the output has the type of the queries.
    """

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int, rank: int, reserve: bool):
        scale = scale.float() if scale.dtype in (torch.float16, torch.bfloat16) else scale
        self.scale = scale
        self.rank = rank
        self.seen = False  # whether there is any key to attend to
        self.state = scale.new_zeros(batch, scale.numel(), rank, head_dim + 1)
        self.reserve = ExactState(batch, scale, head_dim, capacity) if reserve else None
        self.smallest: torch.Tensor | None = None  # stays on the device until somebody asks
        self.fallbacks = 0
        self.unchecked = False

    # -- what a method defines -------------------------------------------------------------------------------------

    positive: bool  # whether the method itself rules out denominators that are not positive
    implementation = "torch"  # or "triton": what computes it

    @abstractmethod
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """phi of x (B, H, n, d), feature by feature: (B, H, r, n)."""

    @abstractmethod
    def mix(self, state: torch.Tensor) -> torch.Tensor:
        """W times a matrix of r rows, (B, H, r, any)."""

    def take_in(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """S += phi(k) [v, 1]^T, tile by tile."""
        state = self.state
        ones = state.new_ones(*v.shape[:2], 1, 1)
        for where in self._tiles(k.shape[2]):
            values = v[:, :, where].to(state.dtype)
            values = torch.cat([values, ones.expand(-1, -1, values.shape[2], 1)], -1)
            state = state + self.features(k[:, :, where].to(state.dtype)) @ values
        self.state = state

    def give_out(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Output (B, H, n, d) and denominators (B, H, n)."""
        mixed = self.mix(self.state).transpose(-1, -2)  # (B, H, d + 1, r)
        tiles = [q[:, :, where].to(mixed.dtype) for where in self._tiles(q.shape[2])]
        sums = torch.cat([mixed @ self.features(tile) for tile in tiles], -1)  # (B, H, d + 1, n)
        denominator = sums[:, :, -1]
        return (sums[:, :, :-1] / denominator.unsqueeze(2)).transpose(-1, -2).to(q.dtype), denominator

    # -- the interface of every state ------------------------------------------------------------------------------

    def clear(self) -> None:
        self.state = torch.zeros_like(self.state)
        self.seen, self.smallest, self.fallbacks = False, None, 0
        if self.reserve is not None:
            self.reserve.clear()

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        batch, heads, *_, columns = self.state.shape
        check_keys(k, v, batch, heads, columns - 1)
        if self.reserve is not None:
            self.reserve.append(k, v)
        self.take_in(k, v)
        self.seen = True

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        batch, heads, *_, columns = self.state.shape
        check_queries(q, batch, heads, columns - 1, self.seen)
        out, denominator = self.give_out(q)
        lowest = denominator.detach().amin(-1)  # (B, H)
        self.smallest = lowest.min() if self.smallest is None else torch.minimum(self.smallest, lowest.min())
        bad = self._failed(lowest)
        if bad is not None:
            if self.reserve is None:
                raise ValueError(f"denominator = {lowest.min().item():g}: must be above 0; keep a reserve to fall back to exact")
            self.fallbacks += int(bad.sum())
            out = torch.where(bad[:, :, None, None], self.reserve.attend(q), out)
        return out

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        """q must be all queries of one `attend`, for a head falls back as a whole."""
        if self.reserve is None:
            raise ValueError("reserve = False: weights need the keys; make the state with reserve = True")
        keys = self.reserve.keys[:, :, : self.reserve.length]
        weights = self.features(q.to(keys.dtype)).transpose(-1, -2) @ self.mix(self.features(keys))
        weights = weights / weights.sum(-1, keepdim=True)
        bad = self._failed(self.give_out(q)[1].detach().amin(-1))
        return weights if bad is None else torch.where(bad[:, :, None, None], self.reserve.weights(q), weights)

    def _failed(self, lowest: torch.Tensor) -> torch.Tensor | None:
        """Heads, bool (B, H), with a denominator that is not positive (or NaN); None where there are none."""
        if self.unchecked or lowest.is_meta or (self.positive and lowest.is_cuda):
            return None
        bad = ~(lowest > 0)
        return bad if bad.any() else None

    @property
    def state_bytes(self) -> int:
        return tensor_bytes(self.state)

    @property
    def reserve_bytes(self) -> int:
        return self.reserve.state_bytes if self.reserve is not None else 0

    @property
    def smallest_denominator(self) -> float | None:
        return None if self.smallest is None or self.smallest.is_meta else self.smallest.item()

    def _tiles(self, tokens: int) -> list[slice]:
        batch, heads = self.state.shape[:2]
        size = TILE_BYTES if self.state.device.type == "cpu" else GPU_TILE_BYTES
        tile = max(size // (batch * heads * self.rank * self.state.element_size()), 16)
        return [slice(start, min(start + tile, tokens)) for start in range(0, tokens, tile)]
