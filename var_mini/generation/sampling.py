"""From logits to tokens: classifier-free guidance, temperature, top-k, top-p, and noise that belongs to one image."""

from __future__ import annotations

import torch

from .. import validate

MAX_SEED = 2**32 - 1


def guide(conditional: torch.Tensor, unconditional: torch.Tensor, weight: float) -> torch.Tensor:
    """(1 + weight) * conditional - weight * unconditional."""
    return (1 + weight) * conditional - weight * unconditional


def filter_logits(logits: torch.Tensor, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """Logits (..., V) with every code outside top-k and top-p at -inf.

    top-k keeps all values >= the k-th largest (so ties stay), with k clamped to V. top-p drops the codes of lowest
    probability whose cumulated mass is <= 1 - top_p, and never the most likely one.
    """
    V = logits.shape[-1]
    if 0 < top_k < V:
        kth = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1:
        ascending, order = logits.sort(dim=-1)
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
        drop[..., -1] = False
        logits = logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)
    return logits


def noise_generators(seeds: list[int]) -> list[torch.Generator]:
    """One source of noise per image, on the CPU: an image depends on its own seed, not on the batch or the device.

    The noise is that of torch's generator; another version or build of torch may draw other numbers from a seed.
    """
    return [torch.Generator().manual_seed(validate.integer("seed", seed, 0, MAX_SEED)) for seed in seeds]


def draw(logits: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
    """Samples one code per token: filtered logits (B, n, V) -> int64 (B, n).

    Gumbel-max: the code that maximises p / e with e exponential noise has exactly the distribution p. The noise of an
    image does not depend on p, so two settings from one seed differ only where their distributions do.
    """
    _, n, V = logits.shape
    noise = torch.stack([torch.empty(n, V).exponential_(generator=g) for g in generators])
    return (logits.softmax(-1) / noise.to(logits.device)).argmax(-1)
