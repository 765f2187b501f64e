"""Comparisons of the fused kernels with float64 formulas, for the tests and for the part `kernels`. Run interpreted on a CPU (in
a process with TRITON_INTERPRET=1) or as they are on a GPU: `python -m var_mini.gpu.cases` prints the largest differences as JSON.
"""

from __future__ import annotations

import json
import math
import os
import sys
from itertools import product

import torch
import torch.nn.functional as F

SCALES = (0.5, 2.0)
# batch 2, heads 2; tokens of each extend; head dimension; landmarks
SIZES = [([1], 8, 16), ([3], 16, 33), ([1, 4, 9], 8, 64), ([127], 8, 64), ([65], 16, 100), ([3, 34], 32, 16)]
HALF_SIZES = [([1, 2], 8, 64), ([3], 16, 33), ([5], 32, 16)]  # where kernels are interpreted: 16 bits are read and written anew
MORE = [([1, 4, 9, 16, 36], 8, 256), ([1000], 16, 64), ([4096], 8, 128), ([577, 1], 32, 200)]  # on a GPU, and a few of it here
# of float64 on the same rounded inputs: float32 sums, or the rounding of the output to 16 bits
TOLERANCE = {"float32": 2e-6, "bfloat16": 1e-2, "float16": 1e-3}
SOLVE = 1e-4  # a nearly singular Nystrom matrix magnifies what float32 rounds off
TF32 = 2e-3  # on a GPU products of 16-bit inputs are rounded to TF32, which the interpreter does not do
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def made(tokens, d, m, dtype, device):
    generator = torch.Generator().manual_seed(tokens + d)
    shape = 2, tokens, 2, d  # heads last but one, as a projection leaves them: not contiguous after the transpose
    q, k = (F.normalize(torch.randn(shape, generator=generator), dim=-1) for _ in range(2))
    v = torch.randn(shape, generator=generator)
    marks = F.normalize(torch.randn(2, m, d, generator=generator), dim=-1)
    q, k, v = (x.to(device, dtype).transpose(1, 2) for x in (q, k, v))
    return q, k, v, torch.tensor(SCALES, device=device), marks.to(device)


def weights(method, q, k, s, marks):
    """The N x N matrix of the method's kernel in float64."""
    q, k, s, marks = q.double(), k.double(), s.double().view(1, -1, 1, 1), marks.double()
    if method == "poly":
        t = s * q @ k.mT
        return 1 + t + t * t / 2
    gram = torch.exp(s * (marks @ marks.mT - 1)) + 1e-5 * torch.eye(marks.shape[1], dtype=torch.float64, device=q.device)
    left, right = (torch.exp(s * (x @ marks.mT - 1)) for x in (q, k))
    return left @ torch.linalg.solve(gram, right.mT)


def run(method, extends, q, k, v, s, marks):
    """Output and denominators through the kernels, keys taken in by several extends."""
    from ..attention import fused

    B, H, _, d = q.shape
    start = 0
    state = (
        fused.poly2_state(B, H, d, q.device) if method == "poly" else torch.zeros(B, H, marks.shape[1], d + 1, device=q.device)
    )
    for n in extends:
        part = slice(start, start + n)
        if method == "poly":
            fused.poly2_extend(state, k[:, :, part], v[:, :, part], s)
        else:
            fused.landmark_extend(state, k[:, :, part], v[:, :, part], s, marks)
        start += n
    if method == "poly":
        return fused.poly2_attend(state, q, s)
    exact = marks.double()
    gram = torch.exp(s.double().view(-1, 1, 1) * (exact @ exact.mT - 1))
    gram = gram + 1e-5 * torch.eye(gram.shape[-1], dtype=torch.float64, device=q.device)
    return fused.landmark_attend(torch.linalg.solve(gram, state.double()).float(), q, s, marks)


def compare(method, extends, d, m, dtype, device) -> dict:
    """Largest differences from the float64 formula on the same rounded inputs."""
    q, k, v, s, marks = made(sum(extends), d, m, TYPES[dtype], device)
    w = weights(method, q, k, s, marks)
    total = w.sum(-1)
    steady = total > 0.05 * total.mean()  # of a Nystrom matrix on random vectors: away from vanishing denominators
    out, denominator = run(method, extends, q, k, v, s, marks)
    wanted = (w @ v.double()) / total.unsqueeze(-1)
    difference = (out.double() - wanted).abs().amax(-1) / wanted.abs().amax(-1).clamp(min=1)
    relative = (denominator.double() - total).abs() / total.abs().mean()
    return {
        "case": [method, extends, d, m, dtype],
        "out": difference[steady].max().item(),
        "denominator": relative.max().item(),
        "type": str(out.dtype),
        "steady": steady.double().mean().item(),
    }


def fault(found: dict, tensor_cores: bool = False) -> str | None:
    """What is wrong with a result of `compare`, in words; None where it is within the tolerance."""
    method, _, _, _, dtype = found["case"]
    solve = SOLVE if method == "landmark" else 0
    rounding = TF32 if tensor_cores and dtype != "float32" else 0
    allowed = {"out": TOLERANCE[dtype] + solve + rounding, "denominator": solve or (TF32 if tensor_cores else 2e-6)}
    for name, most in allowed.items():
        if not found[name] <= most:  # so that NaN fails, too
            return f"{name} differs by {found[name]:.3g}, at most {most:.3g} allowed"
    if found["type"] != f"torch.{dtype}":
        return f"output is {found['type']}"
    return None if method == "landmark" or found["steady"] == 1 else "a denominator of degree 2 nearly vanishes"


def repeats_equal(method, extends, d, m, dtype, device, repeats) -> bool:
    """Whether the same computation gives the same bits every time; a race between programs would show."""
    q, k, v, s, marks = made(sum(extends), d, m, TYPES[dtype], device)
    first = run(method, extends, q, k, v, s, marks)
    again = (run(method, extends, q, k, v, s, marks) for _ in range(repeats - 1))
    return all(torch.equal(a, b) for found in again for a, b in zip(first, found))


def through_states(device) -> dict:
    """The states themselves, with kernels and without: largest differences over a loop of scales."""
    from ..attention import new_state

    found = {}
    for name, dtype in product(("poly-2", "landmark-64"), TYPES):
        q, k, v, s, marks = made(14, 8, 64, TYPES[dtype], device)
        outs, refused = [], ""
        for kind in ("triton", "torch"):
            with torch.no_grad():
                state, out, start = new_state(name, 2, s, 8, 14, landmarks=marks, implementation=kind), [], 0
                assert state.implementation == kind
                for n in (1, 4, 9):
                    part = slice(start, start + n)
                    state.extend(k[:, :, part], v[:, :, part])
                    out.append(state.attend(q[:, :, part]))
                    start += n
                outs.append((torch.cat(out, 2), state.smallest_denominator, state.fallbacks))
            if kind == "triton":
                try:  # gradients would be lost without a word
                    state.extend(k[:, :, :1].clone().requires_grad_(), v[:, :, :1])
                except ValueError as error:
                    refused = str(error).partition(": ")[0].partition("kernels, ")[2]
        found[f"{name} {dtype}"] = {
            "dtype": dtype,
            "type": str(outs[0][0].dtype),
            "refused": refused,
            "out": (outs[0][0] - outs[1][0]).abs().max().item(),
            "denominator": abs(outs[0][1] - outs[1][1]),
            "fallbacks": [outs[0][2], outs[1][2]],
        }
    return found


def alone(device) -> dict:
    """Changing one head of one image changes only that, and keys may come in any order inside an extend."""
    found = {}
    for method in ("poly", "landmark"):
        q, k, v, s, marks = made(40, 8, 16, torch.float32, device)
        out = run(method, [40], q, k, v, s, marks)[0]
        changed = [x.clone() for x in (q, k, v)]
        for x in changed:
            x[1, 1] = x[1, 1].flip(-1)
        other = (run(method, [40], *changed, s, marks)[0] - out).abs().amax((-1, -2))
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
        permuted = run(method, [40], q, k[:, :, order], v[:, :, order], s, marks)[0]
        moved = other[1, 1].item()
        other[1, 1] = 0
        found[method] = {"elsewhere": other.max().item(), "there": moved, "permuted": (permuted - out).abs().max().item()}
    return found


def every_case(sizes=SIZES, half_sizes=None):
    """Arguments of `compare` but the device; `half_sizes` are those of the 16-bit types, where they are not the same."""
    for dtype, method in product(TYPES, ("poly", "landmark")):
        for extends, d, m in sizes if half_sizes is None or dtype == "float32" else half_sizes:
            yield method, extends, d, m, dtype


def main(device="cpu", sizes=SIZES, half_sizes=None):
    cases = [compare(*case, device) for case in every_case(sizes, half_sizes)]
    return {"cases": cases, "states": through_states(device), "alone": alone(device)}


if __name__ == "__main__":
    assert os.environ.get("TRITON_INTERPRET") == "1" or torch.cuda.is_available()
    torch.set_num_threads(1)
    result = main("cuda") if torch.cuda.is_available() else main(half_sizes=HALF_SIZES)
    assert all(math.isfinite(case["out"]) for case in result["cases"])
    print(json.dumps(result))
    sys.exit(0)
