"""Facts about the machine that every figure carries, and its measured peak in matrix products."""

from __future__ import annotations

import datetime
import platform
import time
from pathlib import Path

import torch


def processor_name() -> str:
    """Name of the processor, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine_facts(device: torch.device | str = "cpu") -> dict:
    """Processor, threads, device, torch version and date of a measurement."""
    device = torch.device(device)
    return {
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def gemm_peak(device: torch.device | str = "cpu", size: int = 1024, repeats: int = 10) -> float:
    """FLOP per second of a float32 matrix product of `size`, the best of several: a practical ceiling, measured now."""
    a, b = torch.randn(2, size, size, device=device)
    best = 0.0
    for _ in range(repeats):
        if a.is_cuda:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        torch.matmul(a, b)
        if a.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best
