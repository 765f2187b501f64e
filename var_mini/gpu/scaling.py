"""Part `scaling`: attention alone and the whole transformer as the token map grows, each time beside what the roofline predicts.

Attention alone is one bidirectional attention over all tokens of a pyramid, as in cost/roofline.py: exact through every SDPA
back end torch has, the low-rank methods with the fused kernels and without. The transformer draws all scales, without head and
sampling, with random weights.
"""

from __future__ import annotations

import contextlib
from itertools import product

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..attention import AttentionSpec, new_state
from ..config import TransformerConfig
from ..cost.ladder import official_like
from ..cost.roofline import roofline, transformer_roofline
from ..transformer import VAR
from .facts import modelled
from .models import landmarks
from .report import Report
from .timing import fitting, measure

SDPA = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-math": SDPBackend.MATH,
}
METHODS, DRY_METHODS = ("poly-2", "landmark-32", "landmark-64"), ("landmark-32",)
TYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
HEADS, BOUND = 16, 2.0
ROUNDS = 5  # runs of a slow case: two that warm up, three that are timed
# in order of worth: the dimensions of the models here and of the published ones first, large batches first
CASES = list(product(("bfloat16", "float32"), (16, 64), (256, 16), (16, 32, 64, 128)))
CASES += list(product(("bfloat16", "float32"), (8, 32), (256, 16), (16, 32, 64, 128)))
DRY_CASES = [("float32", 8, 1, 4)]  # the interpreter is slow
DEPTH, Z_CHANNELS = 6, 16


def run(report: Report) -> None:
    found, gpu = report.result, modelled(report.device)
    found |= {"rows": [], "roofline": gpu.name, "weights": "random: no model is trained at these sizes"}
    for case in DRY_CASES if report.dry else CASES:
        for what, measured in (("attention", attention_rows), ("transformer", transformer_rows)):
            name = "{}, {}, head dimension {}, batch x heads {}, side {}".format(what, *case)
            if report.left() < 0:
                report.skip(name, "no time left")
                continue
            rows = measured(report, name, gpu, *case)
            exact = [row["median_s"] for row in rows if row["method"] == "exact"]
            for row in rows:
                row["speedup_vs_best_sdpa"] = min(exact) / row["median_s"] if exact else None
            found["rows"] += rows
            report.save()
    report.check("some rows were measured", bool(found["rows"]))


def _too_long(report: Report, predicted: float) -> bool:
    """Whether one case would take a large part of the time that is left, even at the predicted speed."""
    return ROUNDS * predicted > max(1.0, report.left() / 8)


def attention_rows(report: Report, name: str, gpu, dtype: str, head_dim: int, batch_heads: int, side: int) -> list[dict]:
    """Every method and implementation at one size."""
    device, pyramid = report.device, official_like(side)
    heads = min(HEADS, batch_heads)
    N, B = pyramid.tokens, batch_heads // heads
    generator = torch.Generator(device).manual_seed(0)
    made = fitting(lambda: {"qkv": torch.randn(3, B, heads, N, head_dim, generator=generator, device=device).to(TYPES[dtype])})[0]
    if made is None:
        report.skip(name, "too little memory")
        return []
    q, k, v = made["qkv"]
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    scale = torch.full((heads,), BOUND, device=device)
    scaled = q * BOUND
    runs = {("exact", name): _exact(scaled, k, v, backend) for name, backend in SDPA.items()}
    for method, kind in product(DRY_METHODS if report.dry else METHODS, ("triton", "torch")):
        runs[method, kind] = lambda method=method, kind=kind: _low_rank(method, kind, q, k, v, scale)
    rows = []
    with torch.no_grad():
        for (method, implementation), prepare in runs.items():
            predicted, ideal = (roofline(N, head_dim, method, batch_heads, g, dtype) for g in (gpu, gpu.ideal))
            if _too_long(report, predicted):
                report.skip(f"{name}: {method} by {implementation}", f"would take {ROUNDS * predicted:.1f} s at least")
                continue
            times, why = fitting(lambda prepare=prepare: measure(prepare(), device, seconds=0 if report.dry else 0.2))
            if times is None:
                report.skip(f"{name}: {method} by {implementation}", why)
                continue
            row = {"what": "attention", "method": method, "implementation": implementation, "dtype": dtype, "side": side}
            row |= {"tokens": N, "head_dim": head_dim, "batch_heads": batch_heads, **times}
            rows.append(row | {"predicted_s": predicted, "roofline_share": ideal / times["median_s"]})
    return rows


def _exact(q, k, v, backend: SDPBackend):
    def attend():
        with sdpa_kernel(backend):
            F.scaled_dot_product_attention(q, k, v, scale=1.0)

    return lambda: attend


def _low_rank(method: str, kind: str, q, k, v, scale):
    """A function that forgets all keys, takes them in and answers all queries. Raises ValueError where `kind` cannot."""
    B, H, N, d = q.shape
    spec = AttentionSpec.parse(method)
    marks = landmarks(TransformerConfig(depth=1, heads=H, head_dim=d), spec.landmarks)[0].to(q.device)
    state = new_state(spec, B, scale, d, N, marks, reserve=False, implementation=kind)
    state.unchecked = True  # random landmarks may fail a check that has no part in the time

    def attend():
        state.clear()
        state.extend(k, v)
        state.attend(q)

    return attend


def transformer_rows(report: Report, name: str, gpu, dtype: str, head_dim: int, batch_heads: int, side: int) -> list[dict]:
    """All blocks over all scales, `bfloat16` by autocast."""
    device, pyramid, heads = report.device, official_like(side), min(HEADS, batch_heads)
    B, depth = batch_heads // heads, 1 if report.dry else DEPTH
    config = TransformerConfig(depth, heads * head_dim, heads, head_dim, num_classes=10, scale_init=BOUND)
    with device:
        model = VAR(config, pyramid, 64, Z_CHANNELS).eval()
    for m in (32, 64):
        model.set_landmarks(landmarks(config, m))
    runs = {("exact", "sdpa"): "torch"}
    runs |= {(method, kind): kind for method, kind in product(DRY_METHODS if report.dry else METHODS, ("triton", "torch"))}
    rows = []
    with torch.no_grad():
        for (method, implementation), kind in runs.items():
            predicted, ideal = (transformer_roofline(config, pyramid, method, B, g, dtype) for g in (gpu, gpu.ideal))
            if _too_long(report, predicted):
                report.skip(f"{name}: {method} by {implementation}", f"would take {ROUNDS * predicted:.1f} s at least")
                continue
            times, why = fitting(lambda m=method, k=kind: _measure_transformer(report, model, m, k, dtype, B))
            if times is None:
                report.skip(f"{name}: {method} by {implementation}", why)
                continue
            row = {"what": "transformer", "method": method, "implementation": implementation, "dtype": dtype, "side": side}
            row |= {"tokens": pyramid.tokens, "head_dim": head_dim, "batch_heads": batch_heads, **times}
            rows.append(row | {"predicted_s": predicted, "roofline_share": ideal / times["median_s"]})
    return rows


def _measure_transformer(report: Report, model: VAR, method: str, kind: str, dtype: str, batch: int) -> dict:
    device, pyramid = report.device, model.pyramid
    states = model.new_states(batch, method, None if method == "exact" else False, implementation=kind)
    condition = model.condition(torch.zeros(batch, dtype=torch.long, device=device))
    inputs = [None, *(torch.zeros(batch, count, Z_CHANNELS, device=device) for count in pyramid.counts[1:])]
    for state in states:
        state.unchecked = True
    autocast = torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()

    def draw():
        for state in states:
            state.clear()
        with autocast:
            for k, given in enumerate(inputs):
                model.step(k, given, condition, states)

    return measure(draw, device, seconds=0 if report.dry else 0.4)
