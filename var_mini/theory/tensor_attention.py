"""Three tokens at once: after arXiv 2310.04064 (Alman, Song), attention whose logit is a product of a query and two keys.

Q, K1, K2, V1, V2 are n x d. Row (j, k) of K is K1_j * K2_k, entry by entry, and of V is V1_j * V2_k, so that

    out_i = sum over j, k of exp(Q_i . (K1_j * K2_k) / d) (V1_j * V2_k)  /  the same sum without V

and every output looks at n^2 pairs: n^3 terms. The paper proves for d = O(log n) that with entries o((log n)^(1/3)) the n x d
output takes n^(1 + o(1)) time, to an additive error of 1 / poly(n), and that for every delta > 0 there is a C such that with
entries up to C (log n)^(1/3) no n^(3 - delta) algorithm exists unless SETH fails. What is here runs at sizes where neither side
of that threshold can be seen; we measure slopes and errors. (The factor 1/d, the definition of the entries and the condition on
d are from memory of the paper.)
"""

from __future__ import annotations

import math
from functools import reduce
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import validate
from ..attention.polynomial import monomials, taylor_weights
from .measure import growth, refuse_beyond

MAX_DEGREE = 8

# -- the three ways to compute it -----------------------------------------------------------------------------------


def explicit(q, k1, k2, v1, v2) -> torch.Tensor:
    """With K and V as n^2 x d matrices and all n x n^2 weights at once: (n, d). Refused where that does not fit."""
    _sizes(q, k1, k2, v1, v2)
    return explicit_of_order(q, [k1, k2], [v1, v2])


def explicit_of_order(q: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]) -> torch.Tensor:
    """The same for any number of keys at once: one is ordinary attention with logits q . k / d. All tensors (n, d)."""
    n, d = q.shape
    refuse_beyond("the matrix of weights", (n, n ** len(keys)), q.element_size())
    K, V = (reduce(lambda rows, x: (rows[:, None] * x[None]).flatten(0, 1), parts) for parts in (keys, values))
    return (q @ K.T / d).softmax(-1) @ V


def sliced(q, k1, k2, v1, v2) -> torch.Tensor:
    """The same n^3 terms, one query at a time, in n^2 memory: (n, d)."""
    n, d = _sizes(q, k1, k2, v1, v2)
    refuse_beyond("the weights of one query", (n, n), q.element_size())
    rows = []
    for query in q:
        t = (k1 * (query / d)) @ k2.T  # (n, n)
        weights = (t - t.max()).exp()
        rows.append((v1 * (weights @ v2)).sum(0) / weights.sum())
    return torch.stack(rows)


def features(q, k1, k2, v1, v2, degree: int = 4) -> torch.Tensor:
    """exp replaced by its Taylor polynomial of degree g: O(n C(d + g, g) d) for the n x d output.

    (Q_i . (K1_j * K2_k))^m is a sum over monomials of q^a k1^a k2^a, and each of its factors belongs to one token only, so the
    sums over j and over k are taken apart: sum_a w_a phi_a(q) [phi_a(K1)^T V1] * [phi_a(K2)^T V2].
    """
    _sizes(q, k1, k2, v1, v2)
    return features_of_order(q, [k1, k2], [v1, v2], degree)


def features_of_order(q: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor], degree: int) -> torch.Tensor:
    """The same for any number of keys at once: one sum over the tokens per key, and their product."""
    n, d = q.shape
    degree = validate.integer("degree", degree, 1, MAX_DEGREE)
    refuse_beyond("the table of features", (n, math.comb(d + degree, degree)), q.element_size())
    phi_q, *phis = (monomials(x.T.contiguous(), degree) for x in (q, *keys))  # (r, n) each
    weight = taylor_weights(d, degree, 1 / d).to(q.dtype)
    numerator = math.prod(phi @ v for phi, v in zip(phis, values)) * weight[:, None]  # (r, d)
    denominator = math.prod(phi.sum(1) for phi in phis) * weight  # (r,)
    return (phi_q.T @ numerator) / (phi_q.T @ denominator)[:, None]


def _sizes(q, *others) -> tuple[int, int]:
    if not isinstance(q, torch.Tensor) or q.ndim != 2 or not q.is_floating_point():
        raise ValueError(f"q = {validate.shown(q)}: must be a floating-point tensor (n, d)")
    for name, x in zip(("k1", "k2", "v1", "v2"), others):
        if not isinstance(x, torch.Tensor) or x.shape != q.shape or x.dtype != q.dtype:
            given = f"has shape {tuple(x.shape)} and {x.dtype}" if isinstance(x, torch.Tensor) else f"= {validate.shown(x)}"
            raise ValueError(f"{name} {given}: must be a tensor like q, of shape {tuple(q.shape)} and {q.dtype}")
    n, d = q.shape
    return n, d


def random_inputs(n: int, d: int, bound: float, seed: int = 0) -> list[torch.Tensor]:
    """q, k1, k2 uniform in [-bound, bound] and v1, v2 in [-1, 1], float64 (n, d)."""
    validate.integer("n", n, 1, 1 << 20)
    validate.integer("d", d, 1, 64)
    validate.number("bound", bound, 0, 100, low_open=True)
    generator = torch.Generator().manual_seed(seed)
    scales = (bound, bound, bound, 1.0, 1.0)
    return [(torch.rand(n, d, generator=generator, dtype=torch.float64) * 2 - 1) * s for s in scales]


# -- Match3: what one such head can say ------------------------------------------------------------------------------


def match3(x: np.ndarray, modulus: int) -> np.ndarray:
    """Whether each x_i has j, k (any, also itself) with x_i + x_j + x_k = 0 mod M: bool like x (..., n)."""
    modulus = validate.integer("modulus", modulus, 3, 1 << 20)
    x = np.asarray(x)
    refuse_beyond("the table of sums", (*x.shape, x.shape[-1], x.shape[-1]), 8)
    sums = x[..., :, None, None] + x[..., None, :, None] + x[..., None, None, :]
    return (sums % modulus == 0).any((-2, -1))


def sharp_beta(n: int, modulus: int) -> float:
    """2 ln n / (1 - cos(2 pi / M)): from there the exact matches outweigh all n^2 others together.

    About M^2 ln n / pi^2. Spread evenly over query and keys (see `constructed_match3`) that takes entries which grow as (log
    n)^(1/3) even at fixed M, the order at which the paper's fast algorithm ends. It does not make this detector hard: the lower
    bound asks for d of order log n as well, and with d = 4 polynomials of degree O(log n) have polylog(n) features.
    """
    validate.integer("n", n, 2, 1 << 20)
    validate.integer("modulus", modulus, 3, 1 << 20)
    return 2 * math.log(n) / (1 - math.cos(2 * math.pi / modulus))


def largest_entry(beta: float) -> float:
    """(4 beta)^(1/3): entries of query and keys that carry logits up to beta, against the 1/d of a head with d = 4."""
    return (4 * validate.number("beta", beta, 0, 1e9, low_open=True)) ** (1 / 3)


def constructed_match3(x: np.ndarray, modulus: int, beta: float) -> np.ndarray:
    """Match3 by one head with d = 4 and no training: bool (n,).

    cos(a + b + c) is a sum of four products of one factor each of a, b and c. With the angles 2 pi x / M the logit is
    beta cos(a_i + b_j + c_k), largest where the sum is 0 mod M; the head's output, read out with the query, is the mean
    cosine under these weights, and it is compared with the middle between 1 and the second largest cosine.
    """
    angle = torch.from_numpy(2 * np.pi * np.asarray(x, float) / validate.integer("modulus", modulus, 3, 1 << 20))
    c, s = angle.cos(), angle.sin()
    q, k1, k2 = (torch.stack(parts, 1) for parts in ((c, -c, -s, -s), (c, s, c, s), (c, s, s, c)))
    entry = largest_entry(beta)
    out = sliced(entry * q, entry * k1, entry * k2, k1, k2)
    mean_cosine = (q * out).sum(1)
    return (mean_cosine >= 1 - (1 - math.cos(2 * math.pi / modulus)) / 2).numpy()


def construction_accuracy(n: int, modulus: int, share: float, trials: int = 100, seed: int = 0) -> dict:
    """Accuracy of the construction at `share` of the sharp beta, and of always saying the more frequent answer."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, modulus, (trials, n))
    wanted = match3(x, modulus)
    beta = share * sharp_beta(n, modulus)
    got = np.stack([constructed_match3(row, modulus, beta) for row in x])
    positive = float(wanted.mean())
    return {
        "n": n,
        "modulus": modulus,
        "beta_share": share,
        "entries": largest_entry(beta),
        "accuracy": float((got == wanted).mean()),
        "majority": max(positive, 1 - positive),
    }


class _Head(nn.Module):
    """One head over harmonics of x, pairwise or with three at once, and a small network that reads it out."""

    def __init__(self, three: bool, harmonics: int = 4, width: int = 16):
        super().__init__()
        self.three, self.harmonics = three, harmonics
        self.project = nn.ModuleList(nn.Linear(2 * harmonics, width) for _ in range(5 if three else 3))
        self.read = nn.Sequential(nn.Linear(width + 2 * harmonics, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x: torch.Tensor, modulus: int) -> torch.Tensor:
        """x int (B, n) -> logits (B, n)."""
        angle = x.unsqueeze(-1) * (torch.arange(1, self.harmonics + 1) * 2 * math.pi / modulus)
        given = torch.cat([angle.cos(), angle.sin()], -1)  # (B, n, 2 harmonics)
        parts = [project(given) for project in self.project]
        if self.three:
            q, k1, k2, v1, v2 = parts
            weights = torch.einsum("bid,bjd,bkd->bijk", q, k1, k2).flatten(2).softmax(-1).unflatten(2, x.shape[1:] * 2)
            out = torch.einsum("bijk,bjd,bkd->bid", weights, v1, v2)
        else:
            q, k, v = parts
            out = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.read(torch.cat([out, given], -1)).squeeze(-1)


def learned_match3(three: bool, n: int = 8, modulus: int = 31, steps: int = 2500, batch: int = 128, seed: int = 0) -> float:
    """Accuracy of one trained head on new sequences. Failing to learn proves nothing about what a head can represent."""
    validate.integer("steps", steps, 1, 100_000)
    refuse_beyond("the weights of a batch", (batch, n, n, n), 4)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = _Head(three)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps) + 1e-5
        x = rng.integers(0, modulus, (batch, n))
        wanted = torch.from_numpy(match3(x, modulus)).float()
        loss = F.binary_cross_entropy_with_logits(model(torch.from_numpy(x), modulus), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = rng.integers(0, modulus, (2000, n))
    with torch.no_grad():
        said = model(torch.from_numpy(x), modulus) > 0
    return float((said.numpy() == match3(x, modulus)).mean())


def experiment() -> dict:
    """Error by entries and degree, slopes of both ways, Match3 built and learned."""
    errors = []
    for bound in (1.0, 2.0, 3.0):
        given = random_inputs(48, 4, bound)
        wanted = explicit(*given)
        for degree in (2, 4, 6, 8):
            worst = (features(*given, degree=degree) - wanted).abs().max().item()
            errors.append({"bound": bound, "degree": degree, "max_error": worst})
    given = random_inputs(48, 4, 1.0)
    slow, fast = [64, 128, 256, 512], [4096, 8192, 16384, 32768, 65536]
    runs = {n: random_inputs(n, 4, 1.0) for n in slow + fast}
    built = [
        construction_accuracy(n, modulus, share)
        for (n, modulus), share in product(((8, 31), (12, 61), (24, 211)), (1.0, 0.25, 0.1))
    ]
    rng = np.random.default_rng(1)
    positive = float(match3(rng.integers(0, 31, (2000, 8)), 31).mean())
    return {
        "slices_against_kronecker": (sliced(*given) - explicit(*given)).abs().max().item(),
        "errors": errors,
        "exact": growth(slow, [lambda n=n: sliced(*runs[n]) for n in slow], repeats=5),
        "features": growth(fast, [lambda n=n: features(*runs[n], degree=4) for n in fast], repeats=5),
        "constructed": built,
        "learned": {"pairwise": learned_match3(False), "tensor": learned_match3(True), "majority": max(positive, 1 - positive)},
    }
