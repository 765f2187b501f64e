"""Muon with its Newton-Schulz loop in the precision that the processor computes fast.

torch.optim.Muon always runs the loop in bfloat16. A processor without bfloat16 units emulates them: there the loop takes most
of a training step (.65 to .93 s measured, against .04 s in float32). Everything else is torch's: arguments, defaults, state.
"""

from __future__ import annotations

import math

import torch


def cpu_has(*features: str) -> bool:
    """Whether the processor has one of some features, by the names of torch.cpu.get_capabilities (none in older torch)."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name, False) for name in features)


def newton_schulz_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device has units for it (a GPU that supports it, a CPU with AMX or AVX512-BF16), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if cpu_has("amx_bf16", "avx512_bf16") else torch.float32


def orthogonalised(
    G: torch.Tensor, dtype: torch.dtype, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """U p(S) V^T of matrices G = U S V^T, (N, rows, columns) in `dtype`, with singular values brought near 1.

    p is `steps` turns of s -> a s + b s^3 + c s^5 on the singular values divided by their Euclidean norm.
    """
    a, b, c = coefficients
    X = G.to(dtype)
    tall = G.shape[1] > G.shape[2]
    X = X.mT if tall else X  # the smaller Gram matrix
    X = X / X.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), X, beta=a)
    return X.mT if tall else X


class Muon(torch.optim.Muon):
    """torch.optim.Muon, its loop in `newton_schulz_dtype`; on a GPU matrices of one shape go through it together."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameters in _batches([p for p in group["params"] if p.grad is not None]):
                self._update(group, parameters)
        return loss

    def _update(self, group: dict, parameters: list[torch.Tensor]) -> None:
        lr, momentum, updates = float(group["lr"]), group["momentum"], []
        for p in parameters:
            gradient = p.grad
            assert gradient is not None  # `step` leaves out those without
            buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(gradient))
            buffer.lerp_(gradient, 1 - momentum)
            updates.append(gradient.lerp(buffer, momentum) if group["nesterov"] else buffer)
        dtype = newton_schulz_dtype(parameters[0].device)
        made = orthogonalised(torch.stack(updates), dtype, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = parameters[0].shape
        for p, update in zip(parameters, made):
            p.mul_(1 - lr * group["weight_decay"])
            p.add_(update, alpha=-lr * math.sqrt(max(1, rows / columns)))


def _batches(parameters: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Matrices of one shape together on a GPU, where launches cost most; one by one on a CPU, where that is no slower."""
    groups: dict[object, list[torch.Tensor]] = {}
    for p in parameters:
        groups.setdefault((p.shape, p.device) if p.is_cuda else id(p), []).append(p)
    return list(groups.values())
