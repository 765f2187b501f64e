"""Measured times. Always after warm-up, as a median, on the path without capture."""

from __future__ import annotations

import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..generation.observe import Clock
from ..model import Model
from .machine import gemm_peak


def median_seconds(run, repeats: int = 20, warm_up: int = 3) -> float:
    """Median seconds of `run()`."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def bench_generate(model: Model, repeats: int = 20) -> dict:
    """Seconds of one image at the model's sampling defaults, and where they go.

    Returns `seconds_batch1`, `seconds_per_image_batch16` (medians of final images, decoded once), the shares of
    attention, rest of transformer and decoder in one image with every partial image decoded, and `gemm_peak_share`: the
    floating-point rate of one transformer pass over all scales as a share of the machine's measured peak.
    """
    device = model.transformer.pos_1LC.device
    clock = Clock(device)

    def final(batch):
        model.sample_images([i % model.config.transformer.num_classes for i in range(batch)], list(range(batch)))
        clock()

    one = median_seconds(lambda: final(1), repeats)
    sixteen = median_seconds(lambda: final(16), repeats) / 16
    parts = {"attention": [], "transformer": [], "decoder": []}
    for _ in range(repeats):
        steps = list(model.generate(0, 0))
        for name, seconds in parts.items():
            seconds.append(sum(getattr(step, f"seconds_{name}") for step in steps))
    medians = {name: statistics.median(seconds) for name, seconds in parts.items()}
    with FlopCounterMode(display=False) as counter:
        _all_scales(model, device)
    # the counter sees the fused attention kernels of a GPU, but not the CPU's
    flops = counter.get_total_flops() + (_attention_flops(model) if device.type == "cpu" else 0)
    forward = median_seconds(lambda: (_all_scales(model, device), clock()), repeats)
    return {
        "seconds_batch1": one,
        "seconds_per_image_batch16": sixteen,
        "seconds_streaming": sum(medians.values()),
        **{f"{name}_share": seconds / sum(medians.values()) for name, seconds in medians.items()},
        "forward_flops": flops,
        "forward_seconds": forward,
        "gemm_peak_share": flops / forward / gemm_peak(device),
    }


def _attention_flops(model: Model) -> int:
    """Both products of attention, for batch 2."""
    t = model.transformer.config
    return 2 * t.depth * 4 * t.attention_width * model.config.pyramid.attention_pairs()


@torch.inference_mode()
def _all_scales(model: Model, device) -> None:
    """The transformer alone, batch 2 as guidance needs it: one pass per scale on given input."""
    transformer, pyramid = model.transformer, model.transformer.pyramid
    condition = transformer.condition(torch.zeros(2, dtype=torch.long, device=device))
    states = transformer.new_states(2)
    for k, count in enumerate(pyramid.counts):
        given = None if k == 0 else torch.zeros(2, count, transformer.z_channels, device=device)
        transformer.step(k, given, condition, states)
