"""Where low-rank attention breaks: its error as the logit bound s, the degree or the number of landmarks moves.

Queries and keys are unit vectors, so a logit is s * cosine and s can be set at will: a model's own vectors show what would
happen to it at another s. Weights are formed one by one and in float64, so that only the method errs, not the arithmetic.
What must be calibrated is calibrated on other pictures than the one that is tested. Odd degrees and polynomials fitted
without care for their sign are measured here, too, to show why they are no back ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from .. import validate
from ..attention.landmark import RIDGE
from ..attention.polynomial import taylor
from ..pyramid import ScalePyramid
from ..training.qkv import QKV

MAX_BOUND = 64.0
MAX_DEGREE = 16
HEADS = 4  # of a layer, to keep a sweep below a second
QUERIES = 256
UNIT_TOKENS, UNIT_QUERIES, UNIT_PICTURES = 256, 64, 8


@dataclass(frozen=True, eq=False)
class Vectors:
    """Unit queries and keys and the values of some heads, float64 (B, H, n or N, d): picture 0 is tested, the rest calibrates."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    bound: float | None = None  # the model's own s, median over these heads; None where there is no model
    centres: dict[int, torch.Tensor] = field(default_factory=dict)  # landmarks (H, m, d) made so far
    sweeps: dict[tuple, tuple] = field(default_factory=dict)  # errors over many bounds computed so far

    @property
    def cosines(self) -> torch.Tensor:
        """(H, n, N) of the tested picture."""
        return self.q[0] @ self.k[0].transpose(-1, -2)


@dataclass(frozen=True)
class Outcome:
    """What one approximation does to the tested picture."""

    error: float  # |out - exact| / |exact| in the Frobenius norm, median over heads
    negative: float  # share of weights below zero
    balance: float  # least sum of a query's weights over the sum of their sizes: 1 without negative ones, 0 or less is a failure


def unit_vectors(head_dim: int, seed: int = 0) -> Vectors:
    """Random directions with normal values: no model, only the head dimension of one."""
    d = validate.integer("head_dim", head_dim, 1, 1024)
    generator = torch.Generator().manual_seed(seed)

    def draw(tokens: int) -> torch.Tensor:
        return torch.randn(UNIT_PICTURES, HEADS, tokens, d, generator=generator, dtype=torch.float64)

    return Vectors(F.normalize(draw(UNIT_QUERIES), dim=-1), F.normalize(draw(UNIT_TOKENS), dim=-1), draw(UNIT_TOKENS))


def model_vectors(qkv: QKV, pyramid: ScalePyramid, layer: int, scales: torch.Tensor) -> Vectors:
    """One layer's vectors of several pictures: the queries of the last scale against the keys of all.

    `scales` are the layer's logit scales (H,). Raises ValueError unless queries and keys are unit vectors.
    """
    layer = validate.integer("layer", layer, 0, len(qkv.q) - 1)
    q, k, v = (part[layer][:, :HEADS].double().cpu() for part in (qkv.q, qkv.k, qkv.v))
    q = q[:, :, pyramid.slices[-1]][:, :, :QUERIES]
    if not torch.allclose(q.norm(dim=-1), torch.ones((), dtype=q.dtype), atol=1e-3):
        raise ValueError("attn_l2_norm = False: a bound on the logits needs unit queries and keys")
    return Vectors(q, k, v, scales[:HEADS].double().median().item())


# -- methods ---------------------------------------------------------------------------------------------------------


def polynomial(vectors: Vectors, bound: float, degree: int) -> Outcome:
    """Taylor's polynomial of any degree, 0 (equal weights for all) and odd ones included."""
    return _judge(vectors, bound, _horner(taylor(_degree(degree)), _bound(bound) * vectors.cosines))


def fitted(vectors: Vectors, bound: float, degree: int, positive: bool = True) -> Outcome:
    """A polynomial fitted to exp over the other pictures' logits; `positive` blends it with Taylor's as the shipped ones are.

    `positive` needs an even degree. Without it the fit is plain least squares, whose weights may be negative.
    """
    degree, bound = _degree(degree), _bound(bound)
    if positive and degree % 2:
        raise ValueError(f"degree = {degree}: must be even where weights must stay positive")
    from ..training.landmarks import BINS, fit_coefficients  # here, for scikit-learn behind it takes a second to import

    rows, edges = [], torch.linspace(-1, 1, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    others = (vectors.q[1:] @ vectors.k[1:].transpose(-1, -2)).float()  # (B - 1, H, n, N)
    for head in range(others.shape[1]):
        counts = torch.histc(others[:, head], BINS, -1, 1)
        rows.append(
            fit_coefficients(middles, counts, bound, degree) if positive else _least_squares(middles, counts, bound, degree)
        )
    return _judge(vectors, bound, _horner(torch.stack(rows), bound * vectors.cosines))


def landmark(vectors: Vectors, bound: float, count: int) -> Outcome:
    """Nystrom's method with k-means centres of the other pictures' queries and keys."""
    bound = _bound(bound)
    count = validate.integer("landmarks", count, 16, 256)
    if count not in vectors.centres:
        from ..training.landmarks import kmeans_centres

        others = torch.cat([vectors.q[1:], vectors.k[1:]], 2).transpose(0, 1).flatten(1, 2)  # (H, all, d)
        vectors.centres[count] = kmeans_centres(others, count).double()
    centres = vectors.centres[count]

    def near(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.exp(bound * (x @ y.transpose(-1, -2) - 1))

    inverse = torch.linalg.inv(near(centres, centres) + RIDGE * torch.eye(count, dtype=centres.dtype))
    return _judge(vectors, bound, near(vectors.q[0], centres) @ inverse @ near(centres, vectors.k[0]))


# -- pieces ----------------------------------------------------------------------------------------------------------


def _bound(value: float) -> float:
    return validate.number("bound", value, 0, MAX_BOUND, low_open=True)


def _degree(value: int) -> int:
    return validate.integer("degree", value, 0, MAX_DEGREE)


def _horner(coefficients: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """sum a_j t^j with coefficients (g + 1,) or one row per head (H, g + 1)."""
    rows = coefficients.expand(len(t), -1)
    result = torch.zeros_like(t)
    for j in range(rows.shape[1] - 1, -1, -1):
        result = result * t + rows[:, j].view(-1, 1, 1)
    return result


def _least_squares(cosines: torch.Tensor, counts: torch.Tensor, bound: float, degree: int) -> torch.Tensor:
    t, root = bound * cosines.double(), counts.double().sqrt()[:, None]
    powers = t[:, None] ** torch.arange(degree + 1, dtype=torch.float64)
    return torch.linalg.lstsq(root * powers, root * t.exp()[:, None], driver="gelsd").solution[:, 0]


def _judge(vectors: Vectors, bound: float, weights: torch.Tensor) -> Outcome:
    wanted = (bound * vectors.cosines).softmax(-1) @ vectors.v[0]
    sums = weights.sum(-1, keepdim=True)
    out = (weights @ vectors.v[0]) / sums
    errors = (out - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
    balance = sums[..., 0] / weights.abs().sum(-1)
    return Outcome(errors.median().item(), (weights < 0).double().mean().item(), balance.min().item())
