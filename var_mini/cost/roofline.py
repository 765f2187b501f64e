"""A roofline model of attention on a GPU: fused exact attention against the fused low-rank kernels. A model, not a measurement.

Every kernel takes the longest of three times, plus a launch: bytes over the memory's bandwidth; exponentials over the rate of
the special function units; products over the tensor cores' rate plus other arithmetic over the vector units' rate, since a
product must wait for its operands to be formed.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import validate
from ..attention.spec import AttentionSpec
from .complexity import rank


@dataclass(frozen=True)
class Device:
    """Peak rates per second, from the maker's data sheet; `reached` is the share of them that well-made kernels reach."""

    name: str
    tensor: float  # bfloat16 products with float32 accumulation, FLOP/s
    vector: float  # float32 instructions outside the tensor cores per second; half the FLOP/s, which count a fused pair
    special: float  # exponentials per second
    bandwidth: float  # bytes/s
    launch: float = 4e-6  # seconds per kernel
    reached: float = 0.7


# 132 multiprocessors at 1.83 GHz, 16 special function results per cycle each
H100 = Device("NVIDIA H100 SXM", 989e12, 33.5e12, 132 * 16 * 1.83e9, 3.35e12)
A100 = Device("NVIDIA A100 SXM", 312e12, 9.75e12, 108 * 16 * 1.41e9, 2.0e12)
DEVICES = {"H100": H100, "A100": A100}
PAD = 16  # tensor cores take products in multiples of this


def roofline(tokens: int, head_dim: int, method: str, batch_heads: int = 128, device: Device = H100) -> float:
    """Modelled seconds of one bidirectional attention over `tokens` tokens in bfloat16, for batch * heads = `batch_heads`.

    `exact` is a fused kernel that keeps the N x N matrix on the chip; `poly-2` and `landmark-M` are two kernels, which read
    and write the inputs, the output and the state only.
    """
    N, d = validate.integer("tokens", tokens, 1, 1 << 24), validate.integer("head_dim", head_dim, 1, 256)
    BH = validate.integer("batch_heads", batch_heads, 1, 1 << 20)
    spec = AttentionSpec.parse(method)
    columns = -(-(d + 1) // PAD) * PAD  # [v, 1], padded
    width = -(-d // PAD) * PAD
    if spec.method == "exact":
        work = {"tensor": 4 * N * N * width, "special": N * N, "vector": N * N, "bytes": 2 * 4 * N * d}
        return _seconds(work, BH, device, kernels=1)
    if str(spec) == "poly-2":
        # the kernels use the square x~ (x) x~ without its symmetry: (d + 1) blocks of d + 1 features
        # forming one takes a product and a conversion
        features = (d + 1) * -(-(d + 1) // PAD) * PAD
        state = 4 * rank(d, 2) * 2 * (d + 1)
        work = {
            "tensor": 2 * 2 * N * features * columns,
            "special": 0,
            "vector": 2 * 2 * N * features,
            "bytes": 2 * 4 * N * d + 2 * state,
        }
        return _seconds(work, BH, device, kernels=2)
    if spec.method == "landmark":
        m = spec.landmarks
        tensor = 2 * 2 * N * m * (width + columns)
        work = {"tensor": tensor, "special": 2 * N * m, "vector": 2 * 2 * N * m, "bytes": 2 * 4 * N * d + 4 * 4 * m * (d + 1)}
        return _seconds(work, BH, device, kernels=3)
    raise ValueError(f"method = {method!r}: the model covers exact, poly-2 and landmark-M")


def overtakes_from(method: str, head_dim: int, batch_heads: int = 128, device: Device = H100) -> int | None:
    """The least number of tokens, in steps of 16, from which `method` is modelled faster than exact; None up to 65,536."""
    least = None
    for tokens in range(1 << 16, 0, -16):
        if roofline(tokens, head_dim, method, batch_heads, device) >= roofline(tokens, head_dim, "exact", batch_heads, device):
            break
        least = tokens
    return least


def _seconds(work: dict[str, float], batch_heads: int, device: Device, kernels: int) -> float:
    tensor, vector = work["tensor"] / device.tensor, work["vector"] / device.vector
    longest = max(tensor + vector, work["special"] / device.special, work["bytes"] / device.bandwidth)
    return batch_heads * longest / device.reached + kernels * device.launch
