"""Times of work on a GPU by its own events, after warm-up; on a CPU by the clock, for a dry run. And the memory it needed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def measure(run: Callable[[], object], device: torch.device, seconds: float = 0.3, least: int = 3, most: int = 30) -> dict:
    """Median and interquartile range of the seconds of `run()`, how many were timed, and peak bytes beyond what was there.

    Runs until `seconds` are spent, at least `least` and at most `most` times, after two that warm up; once each for 0 seconds.
    """
    gpu = device.type == "cuda"
    least = least if seconds else 1
    for _ in range(2 if seconds else 1):
        run()
    if gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        base = torch.cuda.memory_allocated(device)
    spent: list[float] = []
    while len(spent) < least or (sum(spent) < seconds and len(spent) < most):
        spent.append(_by_events(run) if gpu else _by_clock(run))
    quartiles = statistics.quantiles(spent, n=4, method="inclusive") if len(spent) > 1 else [0.0] * 3
    return {
        "median_s": statistics.median(spent),
        "spread_s": quartiles[2] - quartiles[0],
        "rounds": len(spent),
        "peak_bytes": torch.cuda.max_memory_allocated(device) - base if gpu else None,
    }


def _by_events(run: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def _by_clock(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def fitting(run: Callable[[], dict]) -> tuple[dict | None, str]:
    """The result of `run()`, or None and the reason, where memory is too little or nothing can compute it."""
    try:
        return run(), ""
    except (torch.OutOfMemoryError, MemoryError):
        reason = "too little memory"
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None, reason
