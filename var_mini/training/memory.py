"""Memory of training: tensors on their way to a GPU, and memory that the C library keeps."""

from __future__ import annotations

import contextlib
import ctypes

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`; a copy to a GPU goes through pinned memory, so that the host does not wait for the GPU's queue."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def take(tensor: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Rows `indices`, which lie on the CPU, of a tensor wherever it lies; the host does not wait for a GPU."""
    return tensor[to_device(indices, tensor.device)]


def reuse_memory() -> None:
    """Makes the C library keep freed memory instead of returning it, where it is glibc.

    A training step frees and asks for the same hundreds of megabytes again; on a virtual machine the page faults of
    that cost up to a fifth of the step.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1)):  # M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD
            mallopt(option, value)
