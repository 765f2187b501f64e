"""What attention costs and what a polynomial must do, in closed form. Nothing here is measured.

Exact attention over the N ~ n^2 tokens of a VAR pyramid takes O(N^2) = O(n^4) (arXiv 2404.02905). With head dimension
O(log n) and logits that are small against log n, a low-rank approximation takes O(n^(2 + o(1))) with 1/poly(n) error; for
every delta > 0 there is a constant times that threshold above which no algorithm takes O(n^(4 - delta)), unless SETH fails
(arXiv 2501.04377, from the same statement for one attention in arXiv 2302.13214). The threshold sqrt(log n) of the papers
bounds the entries of q and k; VAR's s bounds the logit s (q . k), so in terms of s it reads s = o(log n).

FLOPs count a multiplication and an addition as two and an exponential of the landmark method as one; the softmax of exact
attention is left out, which flatters it.
"""

from __future__ import annotations

import math
from math import comb, exp, isqrt, lgamma, log

from scipy.special import ive

from .. import validate
from ..attention.budget import budget_pairs
from ..attention.local import local_pairs
from ..attention.pool import EXACT_SIDE
from ..attention.spec import AttentionSpec
from ..config import TransformerConfig
from ..pyramid import ScalePyramid
from .ladder import official_like

MAX_DEGREE = 10_000

# -- pairs and FLOPs ------------------------------------------------------------------------------------------------


def pairs(pyramid: ScalePyramid, method: str) -> int:
    """Query-key pairs of one image, head and layer over a whole generation loop.

    A constant-size state meets no keys: for landmarks the token-feature pairs of keys and queries are counted. The features of
    poly depend on the head dimension, so `attention_flops` counts them.
    """
    spec, cached = _parse(method)
    if spec.method == "exact":
        return pyramid.attention_pairs(cached)
    if spec.method == "landmark":
        return pyramid.tokens * 2 * spec.landmarks
    if spec.method == "pool":
        return sum(queries * keys for queries, keys in zip(pyramid.counts, pooled_ends(pyramid, spec.factor)))
    if spec.method == "local":
        return sum(local_pairs(side, spec.neighbours) for side in pyramid.patch_nums)
    if spec.method == "budget":
        return budget_pairs(pyramid.counts, spec.budget)
    raise ValueError(f"method = {method!r}: must be exact, exact-uncached, landmark-M, pool-F, local-K or budget-B")


def feature_pairs(pyramid: ScalePyramid, method: str, head_dim: int) -> int:
    """What a constant-size state meets in place of keys: r features of every key and r of every query, 2 r per token."""
    spec, _ = _parse(method)
    if spec.method not in ("poly", "landmark"):
        raise ValueError(f"method = {method!r}: must have a state of constant size, poly-G or landmark-M")
    return pyramid.tokens * 2 * spec.features(validate.integer("head_dim", head_dim, 1, 1024))


def raster_pairs(side: int, cached: bool) -> int:
    """Pairs of a raster-order model over side^2 tokens, one per step: N(N+1)/2 with a cache.

    Without one, step t computes the causal attention of all t tokens again: sum of t(t+1)/2 = N(N+1)(N+2)/6.
    """
    N = validate.integer("side", side, 1, 256) ** 2
    return N * (N + 1) // 2 if cached else N * (N + 1) * (N + 2) // 6


def attention_flops(pyramid: ScalePyramid, method: str, head_dim: int) -> int:
    """FLOPs of one head's attention over a whole generation loop; `exact-uncached` computes each prefix anew."""
    d = validate.integer("head_dim", head_dim, 1, 1024)
    spec, _ = _parse(method)
    if spec.method not in ("poly", "landmark"):
        return 4 * d * (pairs(pyramid, method))  # q k^T and weights v
    tokens, scales = pyramid.tokens, pyramid.num_scales
    r = spec.features(d)
    product = 2 * r * (d + 1)  # a row of features times the d + 1 columns of the state
    if spec.method == "poly":
        features = r - d - 1  # one multiplication per monomial of degree two and more
        return tokens * 2 * (features + product) + tokens * d + scales * r * (d + 1)
    features = 2 * r * d + r
    gram = 2 * r * r * d + r**3 // 3
    return tokens * 2 * (features + product) + tokens * d + scales * 2 * r * r * (d + 1) + gram


def block_flops(config: TransformerConfig, tokens: int) -> int:
    """FLOPs of all blocks' linear layers for `tokens` tokens of one image: all of the transformer that grows like N."""
    hidden = round(config.width * config.mlp_ratio)
    per_token = 2 * config.width * (4 * config.attention_width + 2 * hidden)
    return config.depth * tokens * per_token


def one_shot_flops(tokens: int, method: str, head_dim: int) -> int:
    """FLOPs of one head's attention when all N tokens come at once and see each other: the N x N case."""
    N, d = validate.integer("tokens", tokens, 1, 1 << 30), validate.integer("head_dim", head_dim, 1, 1024)
    spec, _ = _parse(method)
    if spec.method == "exact":
        return 4 * d * N * N
    if spec.method == "pool":
        side = isqrt(N - 1) + 1
        return 4 * d * N * (-(-side // spec.factor)) ** 2
    if spec.method not in ("poly", "landmark"):
        raise ValueError(f"method = {method!r}: has no case of all tokens at once; must be exact, pool-F, poly-G or landmark-M")
    r = spec.features(d)
    features = r - d - 1 if spec.method == "poly" else 2 * r * d + r
    once = r * (d + 1) if spec.method == "poly" else 2 * r * r * (d + 1) + 2 * r * r * d + r**3 // 3
    return N * 2 * (features + 2 * r * (d + 1)) + N * d + once


def break_even_tokens(method: str, head_dim: int) -> int:
    """The least N from which `method` takes fewer FLOPs than exact attention, all tokens at once. A model, not a measurement."""
    low, high = 1, 1 << 24
    if one_shot_flops(high, method, head_dim) >= one_shot_flops(high, "exact", head_dim):
        raise ValueError(f"method = {method!r}: never takes fewer FLOPs than exact up to {high:,} tokens")
    while low < high:
        middle = (low + high) // 2
        fewer = one_shot_flops(middle, method, head_dim) < one_shot_flops(middle, "exact", head_dim)
        low, high = (low, middle) if fewer else (middle + 1, high)
    return low


def break_even_side(method: str, head_dim: int) -> int | None:
    """The least side of the ladder from which `method` takes fewer FLOPs than a KV cache, over the generation loop."""
    least = None
    for side in range(128, 3, -1):
        pyramid = official_like(side)
        if attention_flops(pyramid, method, head_dim) >= attention_flops(pyramid, "exact", head_dim):
            break
        least = side
    return least


def _parse(method: str) -> tuple[AttentionSpec, bool]:
    cached = not (isinstance(method, str) and method == "exact-uncached")
    spec = AttentionSpec.parse(method if cached else "exact")
    if spec.method == "auto":
        raise ValueError("method = 'auto': must be a definite method")
    return spec, cached


def pooled_ends(pyramid: ScalePyramid, factor: int) -> list[int]:
    """Keys that each scale's queries meet when fine scales are pooled."""
    ends, total = [], 0
    for side in pyramid.patch_nums:
        total += side * side if side <= EXACT_SIDE else (-(-side // factor)) ** 2
        ends.append(total)
    return ends


# -- degree and rank ------------------------------------------------------------------------------------------------


def rank(head_dim: int, degree: int) -> int:
    """Monomials of degree up to g in d variables, C(d + g, g)."""
    d, g = validate.integer("head_dim", head_dim, 1, 4096), validate.integer("degree", degree, 0, MAX_DEGREE)
    return comb(d + g, g)


def paper_rank(head_dim: int, degree: int) -> int:
    """The count of arXiv 2302.13214, C(2 (g + d), 2 g): an upper bound of the sharp `rank`."""
    validate.integer("degree", degree, 0, MAX_DEGREE)
    return comb(2 * (validate.integer("head_dim", head_dim, 1, 4096) + degree), 2 * degree)


def taylor_degree(bound: float, error: float, even: bool = False) -> int:
    """Least degree g whose Taylor polynomial is within `error` of exp relative to its largest value on [-B, B].

    The remainder is largest at B, where it is sum over j > g of B^j / j!.
    """
    bound, error = _bound_and_error(bound, error)

    def remainder(g: int) -> float:
        return sum(exp(j * log(bound) - lgamma(j + 1) - bound) for j in range(g + 1, g + 200 + int(4 * bound)))

    return _least(remainder, error, even)


def chebyshev_degree(bound: float, error: float, relative_to_least: bool = False, even: bool = False) -> int:
    """Least degree g whose truncated Chebyshev series is within `error` of exp on [-B, B].

    exp(B x) = I_0(B) + 2 sum I_j(B) T_j(x), so the tail is at most 2 sum over j > g of I_j(B). The error is relative to the
    largest value e^B, or to the least, e^-B, where every weight must keep its relative size.
    """
    bound, error = _bound_and_error(bound, error)
    factor = exp(2 * bound) if relative_to_least else 1.0

    def tail(g: int) -> float:
        return 2 * factor * float(sum(ive(j, bound) for j in range(g + 1, g + 200 + int(4 * bound))))  # ive: times e^-B

    return _least(tail, error, even)


def _bound_and_error(bound: float, error: float) -> tuple[float, float]:
    return validate.number("bound", bound, 0, 100, low_open=True), validate.number("error", error, 0, 1, low_open=True)


def _least(remainder, error: float, even: bool) -> int:
    return next(g for g in range(0, MAX_DEGREE, 2 if even else 1) if remainder(g) <= error)


# -- trends ---------------------------------------------------------------------------------------------------------

REGIMES = {  # logit bound s as a function of the number of tokens
    "s = 1": lambda tokens: 1.0,
    "s = 0.25 ln N": lambda tokens: 0.25 * log(tokens),
    "s = 0.5 ln N": lambda tokens: 0.5 * log(tokens),
}


def rank_exponent(log2_tokens: int, regime: str) -> float:
    """The e of rank = N^e for N = 2^log2_tokens, d = log2 N, error 1/N relative to the least weight, Chebyshev degree.

    e below 1 means that features are fewer than tokens. There is no cliff at any feasible N: a constant s falls slowly,
    s proportional to ln N rises slowly.
    """
    d = validate.integer("log2_tokens", log2_tokens, 2, 60)
    bound = REGIMES[validate.one_of("regime", regime, REGIMES)](2.0**d)
    degree = chebyshev_degree(bound, 2.0**-d, relative_to_least=True)
    return (lgamma(d + degree + 1) - lgamma(d + 1) - lgamma(degree + 1)) / (d * log(2))


def rank_against_scale(head_dim: int, scales: list[float], error: float = 1e-2) -> list[dict]:
    """How the rank grows with the logit bound s at fixed head dimension: Taylor's even degree and C(d + g, g) for each s."""
    degrees = [taylor_degree(s, error, even=True) for s in scales]
    return [{"scale": s, "degree": g, "rank": rank(head_dim, g)} for s, g in zip(scales, degrees)]


def scale_over_log(scale: float, tokens: int) -> float:
    """s / ln N: the papers' regime is s = o(log n), so what counts is how small this is. VAR starts at 4 / ln 680 = 0.61."""
    return validate.number("scale", scale, 0, 1e4, low_open=True) / math.log(validate.integer("tokens", tokens, 2, 1 << 62))
