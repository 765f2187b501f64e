"""A cache that holds at most B keys of each head: the token budget of HACK (arXiv 2504.09261), in its simplest form.

At every scale a few probing queries say which keys matter to a head: those B with the largest sum of their attention weights
stay, for the queries of this scale and for all later ones; the others are dropped for good. At most N B pairs, and those of the
probes. Nothing is trained. (HACK also tells kinds of heads apart, beforehand, and treats them differently; this does not.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .state import check_keys, check_queries, tensor_bytes

PROBES = 4


def budget_pairs(counts: tuple[int, ...], budget: int) -> int:
    """Query-key pairs of one head over all scales, those of the probes included."""
    pairs, kept = 0, 0
    for count in counts:
        kept += count
        if kept > budget:
            pairs += min(PROBES, count) * kept
            kept = budget
        pairs += count * kept
    return pairs


class BudgetState:
    """The first `attend` (or `weights`) after an `extend` chooses the keys, with its queries."""

    fallbacks = 0
    reserve_bytes = 0
    smallest_denominator = None

    def __init__(self, batch: int, scale: torch.Tensor, head_dim: int, capacity: int, budget: int = 32):
        self.scale, self.budget = scale.view(1, -1, 1, 1), budget
        self.keys = scale.new_empty(batch, scale.numel(), 0, head_dim)
        self.values = self.keys
        self.places = torch.zeros(batch, scale.numel(), 0, dtype=torch.long, device=scale.device)  # of the kept keys, in all
        self.length = 0

    def clear(self) -> None:
        self.keys, self.values, self.places = (x[:, :, :0] for x in (self.keys, self.values, self.places))
        self.length = 0

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        batch, heads, _, head_dim = self.keys.shape
        check_keys(k, v, batch, heads, head_dim)
        self.keys = torch.cat([self.keys, k.to(self.keys.dtype)], 2)
        self.values = torch.cat([self.values, v.to(self.keys.dtype)], 2)
        fresh = torch.arange(self.length, self.length + k.shape[2], device=k.device)
        self.places = torch.cat([self.places, fresh.expand(batch, heads, -1)], 2)
        self.length += k.shape[2]

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        queries = self._choose(q)
        return F.scaled_dot_product_attention(queries, self.keys, self.values, scale=1.0).to(q.dtype)

    def weights(self, q: torch.Tensor) -> torch.Tensor:
        kept = (self._choose(q) @ self.keys.transpose(-1, -2)).softmax(-1)  # (B, H, n, B)
        everything = kept.new_zeros(*kept.shape[:3], self.length)
        return everything.scatter(-1, self.places.unsqueeze(2).expand_as(kept), kept)

    def _choose(self, q: torch.Tensor) -> torch.Tensor:
        """Keeps what the probes look at most, where there are more keys than the budget; returns the scaled queries."""
        batch, heads, keys, head_dim = self.keys.shape
        check_queries(q, batch, heads, head_dim, keys > 0)
        queries = (q * self.scale).to(self.keys.dtype)
        if keys > self.budget:
            n = q.shape[2]
            probes = torch.linspace(0, n - 1, min(PROBES, n), device=q.device).round().long()  # evenly over the map
            with torch.no_grad():
                mass = (queries[:, :, probes] @ self.keys.transpose(-1, -2)).softmax(-1).sum(2)  # (B, H, keys)
            kept = mass.topk(self.budget, dim=-1).indices.sort(-1).values
            self.places = self.places.gather(2, kept)
            kept = kept.unsqueeze(-1).expand(-1, -1, -1, head_dim)
            self.keys, self.values = self.keys.gather(2, kept), self.values.gather(2, kept)
        return queries

    @property
    def rank(self) -> int:
        return self.keys.shape[2]

    @property
    def state_bytes(self) -> int:
        return tensor_bytes(self.keys, self.values)  # the places serve `weights` alone
