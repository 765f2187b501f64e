"""Fused GPU kernels (Triton) of the two low-rank states: the feature matrix is formed tile by tile on the chip, never in memory.

Degree 2: with x~ = [sqrt(s) x, 1] the kernel 1 + t + t^2/2 is ((x~ . y~)^2 + 1) / 2, and (x~ . y~)^2 is the product of the outer
products x~ x~^T and y~ y~^T. The state is T[a, b, c] = sum over keys of k~_a k~_b [v, 1]_c, float32 of shape
(B, H, d + 1, d + 1, d + 1); since k~_d = 1, its entry T[d, d] is the sum of [v, 1] that the constant 1/2 needs.

Landmarks: phi(x) = exp(s (L x - 1)), S = sum over keys of phi(k) [v, 1], float32 (B, H, m, d + 1).

Both methods have a kernel that reads keys, grid (heads, part of the features, part of the keys), and one that reads queries,
grid (heads, tile of queries). Each program owns its result, and parts are summed by torch, so results are deterministic.
Inputs are float32, bfloat16 or float16 with any strides; everything is accumulated in float32. Products run on tensor cores:
as three TF32 products (about float32's accuracy) for float32 inputs and for landmarks, whose solve would amplify any
rounding; as one TF32 product, which is as fine as 16-bit inputs are, otherwise.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .spec import MAX_LANDMARKS, MIN_LANDMARKS

HEAD_DIMS = (8, 16, 32)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# (method, head dimension) -> keys or queries of a tile, warps of a program: the largest that spill no register on sm_80 and sm_90
TILES = {
    ("poly", 8): (64, 4),
    ("poly", 16): (64, 4),
    ("poly", 32): (32, 8),
    ("landmark", 8): (64, 4),
    ("landmark", 16): (64, 8),
    ("landmark", 32): (64, 8),
}
LANDMARK_BLOCK = 32  # landmarks of a program, or of one turn of its loop
PROGRAMS = 512  # enough to fill a large GPU; keys are split until there are so many
HIP = torch.version.hip is not None


def unsupported(method: str, head_dim: int, dtype: torch.dtype, landmarks: int = 64) -> str | None:
    """Why the kernels cannot compute a state of `method` ("poly" for degree 2, or "landmark"); None where they can."""
    if head_dim not in HEAD_DIMS:
        size = 4 * (head_dim + 1) ** 3
        known = ", ".join(map(str, HEAD_DIMS))
        return f"head_dim = {head_dim}: the kernels take {known} (a degree-2 state of {size:,} bytes must fit beside its tiles)"
    if dtype not in DTYPES:
        return f"dtype = {dtype}: the kernels take float32, bfloat16 and float16"
    if method == "landmark" and not MIN_LANDMARKS <= landmarks <= MAX_LANDMARKS:
        return f"landmarks = {landmarks}: the kernels take {MIN_LANDMARKS} to {MAX_LANDMARKS}"
    return None


def padded(size: int) -> int:
    """The power of two, at least 16, that `tl.dot` needs."""
    return max(triton.next_power_of_2(size), 16)


def precision(dtype: torch.dtype, method: str, hip: bool = HIP) -> str:
    """How a product of float32 numbers is put on tensor cores; AMD's take float32 as it is."""
    if hip:
        return "ieee"
    return "tf32x3" if dtype == torch.float32 or method == "landmark" else "tf32"


# -- kernels -------------------------------------------------------------------------------------------------------


@triton.jit
def _rows(x, stride_n, stride_d, start, n, D: tl.constexpr, P: tl.constexpr, T: tl.constexpr):
    """Rows start ... start + T - 1 of a head's (n, D) matrix as float32 (T, P), zero outside."""
    rows, columns = start + tl.arange(0, T), tl.arange(0, P)
    inside = (rows < n)[:, None] & (columns < D)[None, :]
    return tl.load(x + rows[:, None] * stride_n + columns[None, :] * stride_d, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _with_one(x, start, n, D: tl.constexpr, P: tl.constexpr, T: tl.constexpr):
    """[x, 1] in the rows that exist: column D of (T, P) becomes 1."""
    rows, columns = start + tl.arange(0, T), tl.arange(0, P)
    return tl.where((columns == D)[None, :] & (rows < n)[:, None], 1.0, x)


@triton.jit
def _column(x, a, P: tl.constexpr):
    """Column a of (T, P), (T,)."""
    return tl.sum(tl.where((tl.arange(0, P) == a)[None, :], x, 0.0), axis=1)


@triton.jit
def _divide_and_store(acc, out, denominators, stride_n, stride_d, start, n, D: tl.constexpr, P: tl.constexpr, T: tl.constexpr):
    """acc (T, P) holds numerators in columns 0 to D - 1 and the denominator in column D."""
    rows, columns = start + tl.arange(0, T), tl.arange(0, P)
    denominator = _column(acc, D, P)
    inside = (rows < n)[:, None] & (columns < D)[None, :]
    quotient = acc / denominator[:, None]
    tl.store(out + rows[:, None] * stride_n + columns[None, :] * stride_d, quotient.to(out.dtype.element_ty), mask=inside)
    tl.store(denominators + rows, denominator, mask=rows < n)


@triton.jit
def poly2_keys(
    k, v, scale, parts, heads, n, per_part,
    k_b, k_h, k_n, k_d, v_b, v_h, v_n, v_d,
    D: tl.constexpr, P: tl.constexpr, T: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """parts[part, bh, a] = sum over this part's keys of k~_a k~ [v, 1]^T. Grid (B * H, D + 1, parts)."""
    bh, a, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    b, h = bh // heads, bh % heads
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    root = tl.sqrt(tl.load(scale + h))
    acc = tl.zeros((P, P), dtype=tl.float32)
    for start in range(part * per_part, tl.minimum((part + 1) * per_part, n), T):
        x = _with_one(_rows(k, k_n, k_d, start, n, D, P, T) * root, start, n, D, P, T)
        values = _with_one(_rows(v, v_n, v_d, start, n, D, P, T), start, n, D, P, T)
        features = x * _column(x, a, P)[:, None]  # (T, P): row a of every outer product
        acc += tl.dot(tl.trans(features), values, input_precision=PRECISION)
    rows, columns = tl.arange(0, P), tl.arange(0, P)
    inside = (rows < D + 1)[:, None] & (columns < D + 1)[None, :]
    place = parts + ((part * tl.num_programs(0) + bh).to(tl.int64) * (D + 1) + a) * (D + 1) * (D + 1)
    tl.store(place + rows[:, None] * (D + 1) + columns[None, :], acc, mask=inside)


@triton.jit
def poly2_queries(
    q, scale, state, out, denominators, heads, n,
    q_b, q_h, q_n, q_d, o_b, o_h, o_n, o_d,
    D: tl.constexpr, P: tl.constexpr, T: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and denominators of T queries: (sum over a of q~_a q~ T[a] + T[D, D]) / 2. Grid (B * H, query tiles)."""
    bh, start = tl.program_id(0), tl.program_id(1) * T
    b, h = bh // heads, bh % heads
    root = tl.sqrt(tl.load(scale + h))
    x = _with_one(_rows(q + b * q_b + h * q_h, q_n, q_d, start, n, D, P, T) * root, start, n, D, P, T)
    state += bh.to(tl.int64) * (D + 1) * (D + 1) * (D + 1)
    rows, columns = tl.arange(0, P), tl.arange(0, P)
    inside = (rows < D + 1)[:, None] & (columns < D + 1)[None, :]
    acc = tl.zeros((T, P), dtype=tl.float32)
    for a in range(D + 1):
        table = tl.load(state + a * (D + 1) * (D + 1) + rows[:, None] * (D + 1) + columns[None, :], mask=inside, other=0.0)
        acc += tl.dot(x * _column(x, a, P)[:, None], table, input_precision=PRECISION)
    constant = tl.load(state + D * (D + 1) * (D + 1) + D * (D + 1) + columns, mask=columns < D + 1, other=0.0)
    acc = 0.5 * (acc + constant[None, :])
    _divide_and_store(acc, out + b * o_b + h * o_h, denominators + bh * n, o_n, o_d, start, n, D, P, T)


@triton.jit
def landmark_keys(
    k, v, scale, centres, parts, heads, n, per_part, m,
    k_b, k_h, k_n, k_d, v_b, v_h, v_n, v_d,
    D: tl.constexpr, P: tl.constexpr, C: tl.constexpr, M: tl.constexpr, T: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """parts[part, bh, a block of M landmarks] = sum over this part's keys of phi(k) [v, 1]^T. Grid (B * H, blocks, parts)."""
    bh, block, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    b, h = bh // heads, bh % heads
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h
    s = tl.load(scale + h)
    marks = _rows(centres + h * m * D, D, 1, block * M, m, D, P, M)
    acc = tl.zeros((M, C), dtype=tl.float32)
    for start in range(part * per_part, tl.minimum((part + 1) * per_part, n), T):
        keys = _rows(k, k_n, k_d, start, n, D, P, T)
        values = _with_one(
            _rows(v, v_n, v_d, start, n, D, C, T), start, n, D, C, T
        )  # rows past the end are zero, so phi may be 1
        phi = tl.exp(s * (tl.dot(marks, tl.trans(keys), input_precision=PRECISION) - 1.0))
        acc += tl.dot(phi, values, input_precision=PRECISION)
    rows, columns = block * M + tl.arange(0, M), tl.arange(0, C)
    place = parts + (part * tl.num_programs(0) + bh).to(tl.int64) * m * (D + 1)
    tl.store(place + rows[:, None] * (D + 1) + columns[None, :], acc, mask=(rows < m)[:, None] & (columns < D + 1)[None, :])


@triton.jit
def landmark_queries(
    q, scale, centres, mixed, out, denominators, heads, n, m,
    q_b, q_h, q_n, q_d, o_b, o_h, o_n, o_d,
    D: tl.constexpr, P: tl.constexpr, C: tl.constexpr, M: tl.constexpr, T: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and denominators of T queries: phi(q) mixed. Grid (B * H, query tiles)."""
    bh, start = tl.program_id(0), tl.program_id(1) * T
    b, h = bh // heads, bh % heads
    s = tl.load(scale + h)
    x = _rows(q + b * q_b + h * q_h, q_n, q_d, start, n, D, P, T)
    acc = tl.zeros((T, C), dtype=tl.float32)
    for block in range(0, m, M):
        marks = _rows(centres + h * m * D, D, 1, block, m, D, P, M)
        table = _rows(mixed + bh.to(tl.int64) * m * (D + 1), D + 1, 1, block, m, D + 1, C, M)  # zero past the last landmark
        phi = tl.exp(s * (tl.dot(x, tl.trans(marks), input_precision=PRECISION) - 1.0))
        acc += tl.dot(phi, table, input_precision=PRECISION)
    _divide_and_store(acc, out + b * o_b + h * o_h, denominators + bh * n, o_n, o_d, start, n, D, C, T)


# -- launching -----------------------------------------------------------------------------------------------------


def poly2_state(batch: int, heads: int, head_dim: int, device: torch.device | str) -> torch.Tensor:
    """An empty state, float32 zeros (B, H, d + 1, d + 1, d + 1)."""
    return torch.zeros(batch, heads, head_dim + 1, head_dim + 1, head_dim + 1, device=device)


def poly2_extend(state: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor) -> None:
    """Adds keys and values (B, H, n, d) to a degree-2 state, in place. `scale` (H,) is the logit scale of each head."""
    B, H, n, d = _checked("poly", k, scale, state, (d1 := k.shape[-1] + 1, d1, d1), v=v)
    T, warps = TILES["poly", d]
    parts, per_part = _split(B * H * d1, n, T)
    scratch = state.new_empty(parts, *state.shape)
    settings = {"D": d, "P": padded(d1), "T": T, "PRECISION": precision(k.dtype, "poly"), "num_warps": warps}
    poly2_keys[B * H, d1, parts](k, v, scale, scratch, H, n, per_part, *k.stride(), *v.stride(), **settings)
    state += scratch.sum(0)


def poly2_attend(state: torch.Tensor, q: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output (B, H, n, d) in q's type and denominators, the sums of 1 + t + t^2/2, float32 (B, H, n)."""
    B, H, n, d = _checked("poly", q, scale, state, (d1 := q.shape[-1] + 1, d1, d1))
    T, warps = TILES["poly", d]
    out, denominator = torch.empty_like(q), torch.empty(B, H, n, device=q.device)
    settings = {"D": d, "P": padded(d1), "T": T, "PRECISION": precision(q.dtype, "poly"), "num_warps": warps}
    grid = B * H, triton.cdiv(n, T)
    poly2_queries[grid](q, scale, state, out, denominator, H, n, *q.stride(), *out.stride(), **settings)
    return out, denominator


def landmark_extend(state: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: torch.Tensor, centres: torch.Tensor) -> None:
    """Adds keys and values (B, H, n, d) to a landmark state (B, H, m, d + 1), in place. `centres` is (H, m, d)."""
    m = centres.shape[1]
    B, H, n, d = _checked("landmark", k, scale, state, (m, k.shape[-1] + 1), v=v, centres=centres)
    T, warps = TILES["landmark", d]
    blocks = triton.cdiv(m, LANDMARK_BLOCK)
    parts, per_part = _split(B * H * blocks, n, T)
    scratch = state.new_empty(parts, *state.shape)
    centres = centres.float().contiguous()
    landmark_keys[B * H, blocks, parts](
        k, v, scale, centres, scratch, H, n, per_part, m, *k.stride(), *v.stride(), **_landmark_settings(d, T, warps)
    )
    state += scratch.sum(0)


def landmark_attend(
    mixed: torch.Tensor, q: torch.Tensor, scale: torch.Tensor, centres: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """phi(q) mixed, divided by its last column: output (B, H, n, d) in q's type, and that column, float32 (B, H, n).

    `mixed` (B, H, m, d + 1) is (K_LL + ridge)^-1 S. A denominator may be zero or negative; its row is then meaningless.
    """
    m, mixed = centres.shape[1], mixed.contiguous()
    B, H, n, d = _checked("landmark", q, scale, mixed, (m, q.shape[-1] + 1), centres=centres)
    T, warps = TILES["landmark", d]
    out, denominator = torch.empty_like(q), torch.empty(B, H, n, device=q.device)
    centres = centres.float().contiguous()
    grid = B * H, triton.cdiv(n, T)
    landmark_queries[grid](
        q, scale, centres, mixed, out, denominator, H, n, m, *q.stride(), *out.stride(), **_landmark_settings(d, T, warps)
    )
    return out, denominator


def _landmark_settings(d: int, T: int, warps: int) -> dict:
    kind = precision(torch.float32, "landmark")
    return {"D": d, "P": padded(d), "C": padded(d + 1), "M": LANDMARK_BLOCK, "T": T, "PRECISION": kind, "num_warps": warps}


def _split(programs: int, n: int, tile: int) -> tuple[int, int]:
    """(parts, keys of each part): whole tiles, and no more parts than fill the GPU."""
    tiles = triton.cdiv(n, tile)
    per_part = triton.cdiv(tiles, max(1, min(tiles, PROGRAMS // programs)))
    return triton.cdiv(tiles, per_part), per_part * tile


def _checked(method: str, x, scale, state, tail: tuple[int, ...], v=None, centres=None) -> tuple[int, int, int, int]:
    """(B, H, n, d) of x, after every argument was found to fit. Raises ValueError naming the one that does not."""
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"q or k has shape {tuple(x.shape)}: must be (batch, heads, tokens, head_dim), none of them 0")
    B, H, n, d = x.shape
    reason = unsupported(method, d, x.dtype, 64 if centres is None else centres.shape[1])
    if reason is not None:
        raise ValueError(reason)
    wanted = {"scale": (scale, (H,)), "state": (state, (B, H, *tail))}
    if v is not None:
        wanted["v"] = v, (B, H, n, d)
        if v.dtype != x.dtype:
            raise ValueError(f"v has type {v.dtype}: must be k's, {x.dtype}")
    if centres is not None:
        wanted["centres"] = centres, (H, centres.shape[1], d)
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape or tensor.device != x.device:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)} on {tensor.device}: must be {shape} on {x.device}")
    for name, tensor in (("scale", scale), ("state", state)):
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise ValueError(f"{name} is {tensor.dtype}: must be contiguous float32")
    return B, H, n, d
