"""From logits to tokens: classifier-free guidance, temperature, top-k, top-p, and noise that belongs to one image."""

from __future__ import annotations

import numpy as np
import torch

MAX_SEED = 2**32 - 1


def guide(conditional: torch.Tensor, unconditional: torch.Tensor, weight: float) -> torch.Tensor:
    """(1 + weight) * conditional - weight * unconditional."""
    return (1 + weight) * conditional - weight * unconditional


def filter_logits(logits: torch.Tensor, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """Logits (..., V) with every code outside top-k and top-p at -inf.

    top-k keeps all values >= the k-th largest (so ties stay), with k clamped to V. top-p drops the codes of lowest
    probability whose cumulated mass is <= 1 - top_p, and never the most likely one; codes as likely as the last one kept stay.
    """
    V = logits.shape[-1]
    if 0 < top_k < V:
        kth = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1:
        ascending = _ascending(logits)
        dropped = (ascending.softmax(-1).cumsum(-1) <= 1 - top_p).sum(-1, keepdim=True).clamp(max=V - 1)
        logits = logits.masked_fill(logits < ascending.gather(-1, dropped), -torch.inf)
    return logits


def _ascending(values: torch.Tensor) -> torch.Tensor:
    """The last dimension sorted. On a CPU by numpy, whose vector instructions make it many times faster."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))
    return values.sort(dim=-1).values


def noise_generators(seeds: list[int]) -> list[np.random.RandomState]:
    """One source of noise per image: an image depends on its own seed, not on the batch, the device or the build of torch.

    Seeds are whole numbers from 0 to MAX_SEED. A source is the Mersenne Twister mt19937, seeded as the C++ standard says; numpy
    promises never to change this one.
    """
    return [np.random.RandomState(seed) for seed in seeds]


def draw(logits: torch.Tensor, generators: list[np.random.RandomState]) -> torch.Tensor:
    """Samples one code per token: filtered logits (B, n, V) -> int64 (B, n).

    Gumbel-max: the code that maximises p / e with e exponential noise has exactly the distribution p. The noise of an
    image does not depend on p, so two settings from one seed differ only where their distributions do.
    """
    return pick(logits, exponential(generators, *logits.shape[1:]).to(logits.device))


def exponential(generators: list[np.random.RandomState], tokens: int, codes: int) -> torch.Tensor:
    """The next noise of each image, float32 (B, n, V) on the CPU: -log(1 - u) of uniform u.

    A u is 53 bits of two 32-bit words, the high one first. This is what `torch.Tensor.exponential_` computes on a CPU in the
    version tested here, written out, so that other builds and the engine in JavaScript (`ui/engines/noise.js`) draw the same.
    """
    noise = np.empty((len(generators), tokens, codes), np.float32)
    for out, generator in zip(noise, generators):
        high, low = np.moveaxis(generator.randint(0, 2**32, (tokens, codes, 2), dtype=np.uint32), -1, 0)
        minus_u = (high & (2**21 - 1)) * 2.0**32  # float64, which holds all 53 bits
        minus_u += low
        minus_u *= -(2.0**-53)
        np.negative(np.log1p(minus_u, out=minus_u), out=out, casting="same_kind")
    return torch.from_numpy(noise)


def pick(logits: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The codes that maximise p / e, int64 (B, n)."""
    return (logits.softmax(-1) / noise).argmax(-1)
