"""A roofline model of attention on a GPU: fused exact attention against the fused low-rank kernels. A model, not a measurement.

Every kernel takes the longest of three times, plus a launch: bytes over the memory's bandwidth; exponentials over the rate of
the special function units; products over the rate of the unit that computes them plus other arithmetic over the vector units'
rate, since a product must wait for its operands to be formed.

Which unit computes a product follows from the kernels (attention/fused.py, torch's SDPA). Exact attention multiplies 16-bit
inputs at the 16-bit rate, and float32 inputs on the vector units. The low-rank kernels multiply in TF32, at half the 16-bit
rate: once for degree 2 of 16-bit inputs, three times (about float32's accuracy) for landmarks and for float32 inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import validate
from ..attention.spec import AttentionSpec
from ..config import TransformerConfig
from ..pyramid import ScalePyramid
from .complexity import block_flops, rank


@dataclass(frozen=True)
class Device:
    """Peak rates per second, from the maker's data sheet; `reached` is the share of them that well-made kernels reach."""

    name: str
    tensor: float  # bfloat16 products with float32 accumulation, FLOP/s
    tf32: float  # TF32 products, FLOP/s
    vector: float  # float32 instructions outside the tensor cores per second; half the FLOP/s, which count a fused pair
    special: float  # exponentials per second
    bandwidth: float  # bytes/s
    launch: float = 4e-6  # seconds per kernel
    reached: float = 0.7

    @property
    def ideal(self) -> Device:
        """The same device at its full rates and without launches: what no kernel can beat."""
        return replace(self, launch=0.0, reached=1.0)


# 132 multiprocessors at 1.83 GHz, 16 special function results per cycle each
H100 = Device("NVIDIA H100 SXM", 989e12, 495e12, 33.5e12, 132 * 16 * 1.83e9, 3.35e12)
H200 = replace(H100, name="NVIDIA H200 SXM", bandwidth=4.8e12)
A100 = Device("NVIDIA A100 SXM", 312e12, 156e12, 9.75e12, 108 * 16 * 1.41e9, 2.0e12)
DEVICES = {"H100": H100, "H200": H200, "A100": A100}
DTYPES = {"bfloat16": 2, "float32": 4}  # bytes of a number
PAD = 16  # the kernels' products are padded to multiples of this (a rule of Triton's tl.dot)


def roofline(
    tokens: int, head_dim: int, method: str, batch_heads: int = 128, device: Device = H100, dtype: str = "bfloat16"
) -> float:
    """Modelled seconds of one bidirectional attention over `tokens` tokens of type `dtype`, for batch * heads = `batch_heads`.

    `exact` is a fused kernel that keeps the N x N matrix on the chip; `poly-2` and `landmark-M` are two kernels, which read
    and write the inputs, the output and the state only.
    """
    N = validate.integer("tokens", tokens, 1, 1 << 24)
    return _attention(N, N, head_dim, method, batch_heads, device, dtype)


def transformer_roofline(
    config: TransformerConfig, pyramid: ScalePyramid, method: str, batch: int, device: Device = H100, dtype: str = "float32"
) -> float:
    """Modelled seconds of all blocks over all scales, as generation runs them: attention, and the linear layers of each block.

    Linear layers take the longer of their products and the reading of their weights. Norms, head and embeddings are left out.
    """
    total, bytes_each = 0.0, DTYPES[validate.one_of("dtype", dtype, DTYPES)]
    for count, where in zip(pyramid.counts, pyramid.slices):
        attention = _attention(count, where.stop, config.head_dim, method, batch * config.heads, device, dtype)
        flops = batch * block_flops(config, count) / config.depth  # of one block
        weights = bytes_each * block_flops(config, 1) / config.depth / 2  # a weight takes part in two FLOPs per token
        linear = max(flops * _per_flop(device, "16-bit" if dtype == "bfloat16" else "vector"), weights / device.bandwidth)
        total += config.depth * (attention + linear / device.reached + 4 * device.launch)
    return total


def overtakes_from(
    method: str, head_dim: int, batch_heads: int = 128, device: Device = H100, dtype: str = "bfloat16"
) -> int | None:
    """The least number of tokens, in steps of 16, from which `method` is modelled faster than exact; None up to 65,536."""
    least = None
    for tokens in range(1 << 16, 0, -16):
        low_rank, exact = (roofline(tokens, head_dim, name, batch_heads, device, dtype) for name in (method, "exact"))
        if low_rank >= exact:
            break
        least = tokens
    return least


def _attention(new: int, seen: int, head_dim: int, method: str, batch_heads: int, device: Device, dtype: str) -> float:
    """Seconds of taking in `new` keys and answering as many queries, which see `seen` keys."""
    d, BH = validate.integer("head_dim", head_dim, 1, 256), validate.integer("batch_heads", batch_heads, 1, 1 << 20)
    size = DTYPES[validate.one_of("dtype", dtype, DTYPES)]
    spec = AttentionSpec.parse(method)
    columns = -(-(d + 1) // PAD) * PAD  # [v, 1], padded
    width = -(-d // PAD) * PAD
    if spec.method == "exact":
        pairs = new * seen
        work = {"flops": 4 * pairs * width, "special": pairs, "vector": pairs, "bytes": size * 2 * (new + seen) * d}
        return _seconds(work, "16-bit" if dtype == "bfloat16" else "vector", BH, device, kernels=1)
    traffic = size * 4 * new * d
    if str(spec) == "poly-2":
        # the kernels use the square x~ (x) x~ without its symmetry: (d + 1) blocks of d + 1 features
        # forming one takes a product and a conversion
        features = (d + 1) * columns
        state = 4 * rank(d, 2) * 2 * (d + 1)
        work = {
            "flops": 2 * 2 * new * features * columns,
            "special": 0,
            "vector": 2 * 2 * new * features,
            "bytes": traffic + 2 * state,
        }
        return _seconds(work, "tf32" if dtype == "bfloat16" else "tf32x3", BH, device, kernels=2)
    if spec.method == "landmark":
        m = spec.landmarks
        flops = 2 * 2 * new * m * (width + columns)
        work = {"flops": flops, "special": 2 * new * m, "vector": 2 * 2 * new * m, "bytes": traffic + 4 * 4 * m * (d + 1)}
        return _seconds(work, "tf32x3", BH, device, kernels=3)
    raise ValueError(f"method = {method!r}: the model covers exact, poly-2 and landmark-M")


def _per_flop(device: Device, unit: str) -> float:
    """Seconds of one FLOP of a product on the unit that computes it."""
    return {"16-bit": 1 / device.tensor, "tf32": 1 / device.tf32, "tf32x3": 3 / device.tf32, "vector": 0.5 / device.vector}[unit]


def _seconds(work: Mapping[str, float], unit: str, batch_heads: int, device: Device, kernels: int) -> float:
    arithmetic = work["flops"] * _per_flop(device, unit) + work["vector"] / device.vector
    longest = max(arithmetic, work["special"] / device.special, work["bytes"] / device.bandwidth)
    return batch_heads * longest / device.reached + kernels * device.launch
