"""How time and memory grow with resolution: one image's generation loop, per attention method, over growing token maps.

Two things are timed. `attention`: the loop of one layer alone on random unit q and k. `transformer`: all scales of a whole
transformer with the shape of the shipped models and random weights, since no model is trained at these sizes; the time does
not depend on the weights. Every method takes its turn in each round, so that a slow moment of the machine hits all of them.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from .. import validate
from ..attention import AttentionSpec, AttentionState, masked, new_state
from ..config import TransformerConfig
from ..generation.observe import Clock
from ..pyramid import ScalePyramid
from ..transformer import VAR
from . import complexity
from .fit import fit_exponent
from .ladder import official_like
from .machine import gemm_peak
from .raster import prefix_pass

SIDES = (8, 16, 24, 32, 48, 64, 96)
METHODS = ("exact", "exact-uncached", "poly-2", "landmark-32", "landmark-64", "pool-2", "pool-4")
# head dimension -> the transformer that is timed: the shapes of fashion-28-bounded and of fashion-28
WIDE = TransformerConfig(depth=6, width=160, heads=6, head_dim=16, num_classes=10, mlp_ratio=2.8, shared_adaln=True, scale_init=2)
SHAPES = {8: replace(WIDE, heads=8, head_dim=8), 16: WIDE}
VOCAB, Z_CHANNELS = 4096, 16
BOUND = 2.0  # logit scale of every head; time does not depend on it
ENOUGH_SECONDS = 3.0  # rounds go on until each method had this much time, or MAX_ROUNDS
MIN_ROUNDS, MAX_ROUNDS = 3, 15


def bench_scaling(
    device: torch.device | str = "cpu",
    sides: tuple[int, ...] = SIDES,
    head_dims: tuple[int, ...] = (8, 16),
    methods: tuple[str, ...] = METHODS,
    threads: int = 1,
) -> dict:
    """All figures of `python -m var_mini bench scaling`, on `threads` CPU threads or on a GPU.

    `rows` hold the median and the interquartile range of the seconds, the speed-up over `exact` (SDPA with a KV cache) in
    the same run, state and reserve bytes and fallbacks of one layer, peak bytes of the loop, and the rate of the counted FLOPs
    as a share of the measured peak of matrix products. `exponents` fit seconds ~ side^e over the upper half of the sides, with
    a 95 % interval.
    """
    for side in sides:
        validate.integer("side", side, 4, 256)
    for head_dim in head_dims:
        validate.one_of("head_dim", str(head_dim), [str(d) for d in SHAPES])
    if "exact" not in methods:
        raise ValueError(f"methods = {methods}: must include exact, which the others are compared with")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        peak = gemm_peak(device)
        rows = []
        for head_dim in head_dims:
            for side in sides:
                for what, prepare in (("attention", attention_loops), ("transformer", transformer_loops)):
                    print(f"bench scaling: head dimension {head_dim}, side {side}, {what}", file=sys.stderr, flush=True)
                    rows += _rows(what, official_like(side), SHAPES[head_dim], prepare, methods, device, peak)
    finally:
        torch.set_num_threads(before)
    upper = sorted(sides)[len(sides) // 2 :]
    exponents = []
    for head_dim in head_dims:
        for what in ("attention", "transformer"):
            for method in methods if len(upper) > 2 else ():
                mine = [
                    r
                    for r in rows
                    if (r["head_dim"], r["what"], r["method"], r["side"] in upper) == (head_dim, what, method, True)
                ]
                fit = fit_exponent([r["side"] for r in mine], [r["median_s"] for r in mine])
                exponents.append({"head_dim": head_dim, "what": what, "method": method, "sides": upper, **fit})
    return {
        "rows": rows,
        "exponents": exponents,
        "weights": "random: no model is trained at these sizes",
        "batch": 1,
        "threads_timed": threads,
        "gemm_peak_flops": peak,
        "patch_nums": {str(side): official_like(side).patch_nums for side in sides},
    }


def _rows(
    what, pyramid: ScalePyramid, shape: TransformerConfig, prepare, methods, device: torch.device | str, peak: float
) -> list[dict]:
    loops = prepare(pyramid, shape, device)
    clock = Clock(torch.device(device))
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    states, peaks = {}, {}
    with torch.no_grad():
        for method in methods:
            loops(method)  # warms up: what libraries allocate once is not the method's
            peaks[method], states[method] = peak_bytes(lambda method=method: loops(method), device)
        for _ in range(MAX_ROUNDS):
            for method in methods:
                spent = seconds[method]
                if len(spent) < MIN_ROUNDS or sum(spent) < ENOUGH_SECONDS:
                    begin = clock()
                    loops(method)
                    spent.append(clock() - begin)
    exact = statistics.median(seconds["exact"])
    rows = []
    for method, spent in seconds.items():
        median = statistics.median(spent)
        quartiles = statistics.quantiles(spent, n=4, method="inclusive")
        row = {
            "what": what,
            "head_dim": shape.head_dim,
            "heads": shape.heads,
            "side": pyramid.side,
            "tokens": pyramid.tokens,
            "method": method,
            "median_s": median,
            "spread_s": quartiles[2] - quartiles[0],
            "rounds": len(spent),
            "speedup_vs_exact": exact / median,
            "state_bytes": states[method].state_bytes if states[method] else 0,
            "reserve_bytes": states[method].reserve_bytes if states[method] else 0,
            "fallbacks": states[method].fallbacks if states[method] else 0,
            "peak_bytes": peaks[method],
            "implementation": getattr(states[method], "implementation", "torch"),
        }
        if what == "attention":
            flops = shape.heads * complexity.attention_flops(pyramid, method, shape.head_dim)
            row |= {"flops": flops, "gemm_peak_share": flops / median / peak}
        rows.append(row)
    return rows


def attention_loops(
    pyramid: ScalePyramid, shape: TransformerConfig, device: torch.device | str
) -> Callable[..., AttentionState | None]:
    """A function that runs one layer's loop over all scales with a method and returns its state.

    Its second argument, if any, is called before every scale, so that a long loop can be left with an exception.
    """
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, shape.heads, pyramid.tokens, shape.head_dim, generator=generator).to(device)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    scale = torch.full((shape.heads,), BOUND, device=device)
    marks = {m: _landmarks(shape, m)[0].to(device) for m in (32, 64)}

    mask = pyramid.block_causal_mask(device)

    def run(method: str, before_scale: Callable[[], None] = _nothing) -> AttentionState | None:
        if method == "exact-uncached":  # every scale computes all coarser ones anew, in one masked pass
            for where in pyramid.slices:
                before_scale()
                end = slice(where.stop)
                masked("exact", q[:, :, end], k[:, :, end], v[:, :, end], scale, mask[end, end])
            return None
        spec = AttentionSpec.parse(method)
        state = new_state(spec, 1, scale, shape.head_dim, pyramid.tokens, marks.get(spec.landmarks))
        for where in pyramid.slices:
            before_scale()
            state.extend(k[:, :, where], v[:, :, where])
            state.attend(q[:, :, where])
        return state

    return run


def transformer_loops(
    pyramid: ScalePyramid, shape: TransformerConfig, device: torch.device | str
) -> Callable[..., AttentionState | None]:
    """The same for a whole transformer with random weights; the state of its first layer."""
    torch.manual_seed(0)
    model = VAR(shape, pyramid, VOCAB, Z_CHANNELS).eval().to(device)
    for m in (32, 64):
        model.set_landmarks(_landmarks(shape, m))
    label = torch.zeros(1, dtype=torch.long, device=device)
    inputs = [None, *(torch.zeros(1, count, Z_CHANNELS, device=device) for count in pyramid.counts[1:])]

    def run(method: str, before_scale: Callable[[], None] = _nothing) -> AttentionState | None:
        condition = model.condition(label)
        if method == "exact-uncached":
            for scale in range(pyramid.num_scales):
                before_scale()
                prefix_pass(model, inputs[: scale + 1], condition)
            return None
        states = model.new_states(1, method)
        for scale in range(pyramid.num_scales):
            before_scale()
            model.step(scale, inputs[scale], condition, states)
        return states[0]

    return run


def _nothing() -> None:
    pass


def _landmarks(shape: TransformerConfig, m: int) -> torch.Tensor:
    """Random ones, (depth, H, m, d): the time does not depend on where they lie."""
    generator = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(shape.depth, shape.heads, m, shape.head_dim, generator=generator), dim=-1)


def peak_bytes(run: Callable[[], object], device: torch.device | str) -> tuple[int | None, object]:
    """(bytes that `run` needed at its peak beyond what was there before, what it returned).

    On a GPU from torch's allocator; on Linux from the kernel's high-water mark of resident memory, which counts the scratch
    space of library kernels, too, in whole pages; elsewhere None.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        base = torch.cuda.memory_allocated(device)
        result = run()
        return torch.cuda.max_memory_allocated(device) - base, result
    try:
        ctypes.CDLL(None).malloc_trim(0)  # freed memory that the C library kept would hide what is needed
        Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to the present
        base = _status_bytes("VmRSS")
        result = run()
        return max(_status_bytes("VmHWM") - base, 0), result
    except (OSError, AttributeError):
        return None, run()


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
