"""Part `facts`: what the device is, and the rates it reaches in plain products and copies."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from ..cost import roofline
from ..cost.machine import machine_facts
from .report import Report
from .timing import measure

ASKED = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "temperature.gpu")  # of nvidia-smi


def run(report: Report) -> None:
    device, found = report.device, report.result
    found |= {"machine": machine_facts(device), "python": platform.python_version(), "torch": torch.__version__}
    found |= {name: _version(name) for name in ("triton", "numpy", "accelerate")}
    found |= {"device": found["machine"]["device"], "cuda": torch.version.cuda, "hip": torch.version.hip, "nvidia_smi": _smi()}
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        found |= {"memory_bytes": p.total_memory, "multiprocessors": p.multi_processor_count, "capability": [p.major, p.minor]}
        found |= {"free_bytes": torch.cuda.mem_get_info(device)[0], "cudnn": torch.backends.cudnn.version()}
    report.save()
    size = 64 if report.dry else 8192
    found["flops_per_s"] = {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("tf32", torch.float32), ("float32", torch.float32)):
        found["flops_per_s"][name] = _products(size, dtype, name == "tf32", device)
    block = torch.zeros(1 << (16 if report.dry else 28), device=device)
    found["bytes_per_s"] = 2 * block.numel() * 4 / measure(block.clone, device)["median_s"]
    report.check("rates", all(rate > 0 for rate in found["flops_per_s"].values()))


def modelled(device: torch.device) -> roofline.Device:
    """The device of the roofline: from its data sheet where it is known, else its measured rates. A dry run takes the H100's."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "H100 HBM3"
    for key, known in roofline.DEVICES.items():
        if key in name and "PCIe" not in name:
            return known
    p = torch.cuda.get_device_properties(device)
    clock = 1e6 * float(_smi().get("clocks.max.sm", "1500").split()[0])
    lanes = p.multi_processor_count * clock
    block = torch.zeros(1 << 28, device=device)
    return roofline.Device(
        f"{name}, measured",
        _products(8192, torch.bfloat16, False, device) / 0.8,  # a large product reaches some four fifths of the peak
        _products(8192, torch.float32, True, device) / 0.8,
        128 * lanes,
        16 * lanes,
        2 * block.numel() * 4 / measure(block.clone, device)["median_s"] / 0.9,
    )


def _products(size: int, dtype: torch.dtype, tf32: bool, device: torch.device) -> float:
    """FLOP/s of a matrix product."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        return 2 * size**3 / measure(lambda: a @ b, device, seconds=0.2)["median_s"]
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _smi() -> dict[str, str]:
    """What nvidia-smi says of the first device; empty where it is not installed."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    values = done.stdout.strip().split(", ") if done.returncode == 0 else []
    return dict(zip(ASKED, values)) if len(values) == len(ASKED) else {}
