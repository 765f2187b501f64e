"""The exponential replaced by a polynomial of even degree: the low-rank method of arXiv 2302.13214 and arXiv 2501.04377.

With bounded logits t = s (q . k), exp(t) ~ p(t) = sum_j a_j t^j, by default with Taylor's a_j = 1/j!. Since (q . k)^j is a
sum over the monomials of degree j, p(t) = sum over monomials of weight * q^alpha * k^alpha: a product of r = C(d + g, g)
features. An even Taylor polynomial is positive for every t, so its denominators are, too.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb, factorial, prod

import torch

from .features import FeatureState

LOST = 0.01  # rounding error of s^g / g! that is small beside the least value of an even Taylor polynomial, 0.25 to 0.5


def taylor(degree: int) -> torch.Tensor:
    """Coefficients 1/j! for j from 0 to `degree`, float64 (g + 1,)."""
    return torch.tensor([1 / factorial(j) for j in range(degree + 1)], dtype=torch.float64)


@lru_cache(maxsize=32)
def _table(head_dim: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Every monomial of degree up to g as g factors out of (1, x_1, ..., x_d), numbered 0 to d, by rising degree."""
    return tuple(combinations_with_replacement(range(head_dim + 1), degree))


@lru_cache(maxsize=32)
def multiplicities(head_dim: int, degree: int) -> tuple[tuple[int, int], ...]:
    """Of every monomial: its degree j, and in how many orders (q . k)^j produces it, j! / (alpha_1! ... alpha_d!)."""
    result = []
    for factors in _table(head_dim, degree):
        used = [f for f in factors if f > 0]
        result.append((len(used), factorial(len(used)) // prod(factorial(used.count(f)) for f in set(used))))
    return tuple(result)


def taylor_weights(head_dim: int, degree: int, factor: float) -> torch.Tensor:
    """What every monomial weighs in exp(factor * q . k), float64 (C(d + g, g),): factor^j / j! times its multiplicity."""
    weights = [orders * factor**power / factorial(power) for power, orders in multiplicities(head_dim, degree)]
    return torch.tensor(weights, dtype=torch.float64)


def monomials(x: torch.Tensor, degree: int) -> torch.Tensor:
    """All monomials of x (..., d, n) of degree up to g, (..., C(d + g, g), n), each computed once from a lower one."""
    head_dim, n = x.shape[-2:]
    if torch.is_grad_enabled() and x.requires_grad:  # plain products: gradients cannot pass through writes into a buffer
        table = torch.tensor(_table(head_dim, degree), device=x.device)
        factors = torch.cat([torch.ones_like(x[..., :1, :]), x], -2)
        result = factors[..., table[:, 0], :]
        for column in range(1, degree):
            result = result * factors[..., table[:, column], :]
        return result
    phi = x.new_empty(*x.shape[:-2], comb(head_dim + degree, degree), n)
    phi[..., 0, :] = 1
    phi[..., 1 : head_dim + 1, :] = x
    begin, end = 1, head_dim + 1  # the monomials of the degree before, ordered by their first variable
    for j in range(2, degree + 1):
        write, read = end, begin
        for i in range(head_dim):  # x_i times every monomial of the variables from i on
            count = end - read
            torch.mul(phi[..., read:end, :], phi[..., i + 1 : i + 2, :], out=phi[..., write : write + count, :])
            write += count
            read += comb(head_dim - i + j - 3, j - 2)  # passes the monomials that begin with x_i
        begin, end = end, write
    return phi


def _check_precision(scale: torch.Tensor, degree: int) -> None:
    """Raises ValueError where the highest power is so large that a sum of the whole polynomial loses its smallest values."""
    if scale.device.type != "cpu" or not scale.numel():  # elsewhere the host would have to wait
        return
    largest = (LOST * factorial(degree) / torch.finfo(scale.dtype).eps) ** (1 / degree)
    if scale.detach().max() > largest:
        raise ValueError(
            f"attention = 'poly-{degree}': the model's logits reach {scale.max().item():g}: must be at most {largest:.3g}, or "
            f"{scale.dtype} cannot tell the small weights from rounding"
        )


class PolyState(FeatureState):
    """r = C(d + g, g) features. `coefficients` (H, g + 1) stand in for Taylor's, which are positive without a reserve."""

    def __init__(
        self,
        batch: int,
        scale: torch.Tensor,
        head_dim: int,
        capacity: int,
        degree: int = 2,
        coefficients: torch.Tensor | None = None,
        reserve: bool = False,
    ):
        super().__init__(batch, scale, head_dim, capacity, comb(head_dim + degree, degree), reserve)
        scale = self.scale
        self.degree = degree
        self.positive = coefficients is None
        _check_precision(scale, degree)
        powers, orders = torch.tensor(multiplicities(head_dim, degree), device=scale.device).unbind(1)
        if coefficients is None:
            coefficients = taylor(degree).to(scale).expand(len(scale), -1)
        # s^j belongs to the pair, so it is applied here once instead of to every query and key
        self.mixing = coefficients.to(scale.dtype)[:, powers] * scale[:, None] ** powers * orders  # (H, r)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return monomials(x.transpose(-1, -2).contiguous(), self.degree)

    def mix(self, state: torch.Tensor) -> torch.Tensor:
        return self.mixing.unsqueeze(-1) * state


def masked_polynomial(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: torch.Tensor,
    mask: torch.Tensor,
    degree: int = 2,
    coefficients: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention with weights proportional to p(t) over the allowed keys, (B, H, L, head_dim).

    Written with the explicit L x L matrix, which is the cheap way at the short L of training.
    """
    t = (q * scale.view(1, -1, 1, 1)) @ k.transpose(-1, -2)  # (B, H, L, L)
    if degree == 2 and coefficients is None:
        weights = torch.addcmul(torch.ones_like(t), t + 1, t + 1).mul(0.5)  # 1 + t + t^2 / 2 in the fewest passes
    else:
        a = taylor(degree).to(t).expand(len(scale), -1) if coefficients is None else coefficients.to(t)
        weights = torch.zeros_like(t)
        for j in range(degree, -1, -1):  # Horner
            weights = weights * t + a[:, j].view(1, -1, 1, 1)
    weights = weights * mask
    return (weights @ v) / weights.sum(-1, keepdim=True)
