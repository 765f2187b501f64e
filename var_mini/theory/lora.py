"""The gradient of a LoRA adapter without the L x L matrix: after arXiv 2406.03136 (Hu, Su, Kuo, Song, Liu).

One attention layer over X (L x d) with frozen weights W* and a trained low-rank change of each,

    W = W* + s B A,  s = alpha / r,  B (d x r),  A (r x d),
    loss = 1/2 | f X W_V - Y |^2,  f = softmax(beta X W_Q W_K^T X^T), row by row.

The paper finds, for d = O(log L), one threshold on the norms of products of X, W* and s B A: below it gradients are
approximated in almost linear time by a chain of low-rank products, above it no sub-quadratic algorithm exists unless SETH
fails. (We state the threshold as entries of order sqrt(log L), from memory of the paper.) The chain below is ours. With H = X
W_V and c = f H - Y,

    dL/d(logits) = p = f * q - diag(r) f,  q = c H^T (rank d),  r = rowsum(c * (f H)),  * entry by entry,

so that where f = diag(1/Z) U V^T has m features, f * q has m d: row i of its left factor is u_i times c_i, all pairs. Every
gradient needs p or its transpose times an L x d matrix only: O(L m d^2), and r needs f H alone, never the L x L matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .. import validate
from ..attention.polynomial import monomials, taylor_weights
from .measure import growth, refuse_beyond

MAX_DEGREE = 12
NAMES = ("q", "k", "v")


@dataclass
class Task:
    """A layer to be adapted: X, Y (L, d), frozen weights (d, d) by name, and the factor s of the adapters."""

    x: torch.Tensor
    y: torch.Tensor
    frozen: dict[str, torch.Tensor]
    scaling: float

    @property
    def beta(self) -> float:
        return 1 / self.x.shape[1]

    def weight(self, name: str, adapters: dict) -> torch.Tensor:
        """W* + s B A, and W* where there is no adapter of that name."""
        if name not in adapters:
            return self.frozen[name]
        B, A = adapters[name]
        return self.frozen[name] + self.scaling * B @ A

    def projections(self, adapters: dict) -> tuple[torch.Tensor, ...]:
        """X W_Q, X W_K and H = X W_V, each (L, d)."""
        return tuple(self.x @ self.weight(name, adapters) for name in NAMES)


def make_task(length: int, norm: float, d: int = 4, rank: int = 2, teacher: float = 0.0, seed: int = 0) -> tuple[Task, dict]:
    """A random task in float64 whose X W_Q* and X W_K* have largest entry `norm`, and adapters to start from.

    B starts at a small random value: at B = 0, as training starts, the gradient of A is exactly 0. Y is what adapters of size
    `teacher` would give, or random where that is 0.
    """
    validate.integer("length", length, 2, 1 << 20)
    validate.number("norm", norm, 0, 100, low_open=True)
    validate.integer("d", d, 1, 64)
    validate.integer("rank", rank, 1, d)
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = normal(length, d) / math.sqrt(d)
    frozen = {name: normal(d, d) for name in NAMES}
    for name in ("q", "k"):
        frozen[name] *= norm / (x @ frozen[name]).abs().max()
    frozen["v"] /= (x @ frozen["v"]).abs().max()
    task = Task(x, normal(length, d), frozen, scaling=1.0)
    if teacher:
        target = {name: (teacher * normal(d, rank), teacher * normal(rank, d)) for name in NAMES}
        task.y = explicit_output(task, target)
    adapters = {name: (0.05 * normal(d, rank), normal(rank, d) / math.sqrt(d)) for name in NAMES}
    return task, adapters


# -- with the L x L matrix ---------------------------------------------------------------------------------------------


def explicit_output(task: Task, adapters: dict) -> torch.Tensor:
    """f X W_V, (L, d)."""
    q, k, h = task.projections(adapters)
    refuse_beyond("the matrix of weights", (len(q), len(q)))
    return (task.beta * q @ k.T).softmax(-1) @ h


def explicit_gradients(task: Task, adapters: dict) -> dict:
    """dB and dA of every adapter, from the formulas of the module's first lines with all L x L matrices."""
    q, k, h = task.projections(adapters)
    refuse_beyond("three matrices of weights", (3, len(q), len(q)))
    f = (task.beta * q @ k.T).softmax(-1)
    c = f @ h - task.y
    p = f * (c @ h.T) - (c * (f @ h)).sum(1, keepdim=True) * f
    return _to_adapters(task, adapters, p @ k, p.T @ q, f.T @ c)


# -- without it --------------------------------------------------------------------------------------------------------


def low_rank_factors(q: torch.Tensor, k: torch.Tensor, beta: float, degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """U, V (L, m) with exp(beta q k^T) ~ U V^T by Taylor's polynomial, and rows of U divided so that U V^T has row sums 1.

    Even degrees keep every row sum positive; an odd one can lose that, and is refused.
    """
    degree = validate.integer("degree", degree, 2, MAX_DEGREE)
    if degree % 2:
        raise ValueError(f"degree = {degree}: must be even; the row sums of an odd degree can be negative")
    d = q.shape[1]
    refuse_beyond("the table of features", (2, len(q), math.comb(d + degree, degree)))
    weight = taylor_weights(d, degree, beta).to(q.dtype)
    U, V = monomials(q.T.contiguous(), degree).T * weight, monomials(k.T.contiguous(), degree).T
    return U / (U @ V.sum(0))[:, None], V


def chained_gradients(task: Task, adapters: dict, degree: int) -> dict:
    """The same gradients by chains of thin products: approximate, since f is, and linear in L."""
    q, k, h = task.projections(adapters)
    U, V = low_rank_factors(q, k, task.beta, degree)
    refuse_beyond("the row-wise products", (len(q), V.shape[1]), limit=1 << 29)
    fh = U @ (V.T @ h)
    c = fh - task.y
    r = (c * fh).sum(1, keepdim=True)
    left = _twice(U, c, V, h, k) - r * (U @ (V.T @ k))  # p K
    right = _twice(V, h, U, c, q) - V @ (U.T @ (r * q))  # p^T Q
    return _to_adapters(task, adapters, left, right, V @ (U.T @ c))


def _twice(u, c, v, h, m) -> torch.Tensor:
    """((u v^T) * (c h^T)) m for thin matrices, (L, d), column of c by column: never more than L x features numbers at a time."""
    out = torch.zeros_like(m)
    for a in range(c.shape[1]):
        out += c[:, a : a + 1] * (u @ (v.T @ (h[:, a : a + 1] * m)))
    return out


def multiplications(length: int, degree: int | None, d: int = 4) -> int:
    """Of one gradient: of the explicit way where `degree` is None, else of the chain. Leading products only."""
    if degree is None:
        return length * length * (6 * d + 4)  # q k^T, f H, c H^T, p K, p^T Q, f^T c; and four passes entry by entry
    m = math.comb(d + degree, degree)
    return length * m * d * (4 * d + 10)


def _to_adapters(task: Task, adapters: dict, p_k, pt_q, ft_c) -> dict:
    """From gradients of the weights, G = X^T (...), to those of the factors: dB = s G A^T, dA = s B^T G."""
    whole = {"q": task.beta * task.x.T @ p_k, "k": task.beta * task.x.T @ pt_q, "v": task.x.T @ ft_c}
    s = task.scaling
    return {name: (s * whole[name] @ A.T, s * B.T @ whole[name]) for name, (B, A) in adapters.items()}


# -- experiments ---------------------------------------------------------------------------------------------------------


def relative_error(task: Task, adapters: dict, degree: int) -> float:
    """Of dB of the query's adapter."""
    wanted, got = explicit_gradients(task, adapters)["q"][0], chained_gradients(task, adapters, degree)["q"][0]
    return ((got - wanted).norm() / wanted.norm()).item()


def train(norm: float, degree: int | None, length: int = 300, steps: int = 400, seed: int = 0) -> dict:
    """Adam on the adapters of q and v with the explicit gradient (degree None) or the chain's; the true loss decides at the end.

    `largest` follows the largest entry of X W_Q: training moves the norm on which the approximation depends. `diverged` says
    that the loss ended above that of no adapters, or that a gradient was not finite.
    """
    validate.integer("steps", steps, 1, 100_000)
    task, adapters = make_task(length, norm, teacher=0.6, seed=seed)
    adapters = {name: (torch.zeros_like(B), A) for name, (B, A) in adapters.items() if name != "k"}  # as LoRA starts: B = 0
    flat = [x.clone() for pair in adapters.values() for x in pair]
    optimizer = torch.optim.Adam(flat, lr=0.02)
    before = _loss(task, {})
    largest, diverged = 0.0, False
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / steps)
        current = {name: tuple(flat[2 * i : 2 * i + 2]) for i, name in enumerate(adapters)}
        largest = max(largest, task.projections(current)[0].abs().max().item())
        gradients = explicit_gradients(task, current) if degree is None else chained_gradients(task, current, degree)
        given = [gradient for name in adapters for gradient in gradients[name]]
        for tensor, gradient in zip(flat, given):
            tensor.grad = gradient
        diverged = not all(gradient.isfinite().all() for gradient in given)
        if diverged:
            break
        optimizer.step()
    loss = _loss(task, {name: tuple(flat[2 * i : 2 * i + 2]) for i, name in enumerate(adapters)})
    diverged = diverged or not loss < before
    return {"norm": norm, "degree": degree, "loss_before": before, "loss": loss, "largest": largest, "diverged": diverged}


def _loss(task: Task, adapters: dict) -> float:
    return 0.5 * (explicit_output(task, adapters) - task.y).square().sum().item()


def experiment() -> dict:
    """Error of the chain by norm and degree, growth of both ways, and training with each."""
    errors = []
    for norm in (1.0, 2.0, 3.0, 4.0, 6.0):
        task, adapters = make_task(300, norm)
        errors += [{"norm": norm, "degree": g, "relative_error": relative_error(task, adapters, g)} for g in (2, 4, 6, 8)]
    tasks = {length: make_task(length, 1.0) for length in (512, 1024, 2048, 4096, 8192, 16384, 32768)}
    slow, fast = [512, 1024, 2048, 4096], [2048, 4096, 8192, 16384, 32768]
    trained = [train(norm, degree) for norm in (1.0, 2.0, 4.0) for degree in (None, 2, 4, 8)]
    return {
        "errors": errors,
        "explicit": growth(slow, [lambda n=n: explicit_gradients(*tasks[n]) for n in slow], repeats=2),
        "chain": growth(fast, [lambda n=n: chained_gradients(*tasks[n], degree=4) for n in fast], repeats=2),
        "multiplications": {str(n): [multiplications(n, None), multiplications(n, 4)] for n in (512, 4096, 32768)},
        "trained": trained,
        "seeds": 1,
    }
