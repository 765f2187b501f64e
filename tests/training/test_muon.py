"""Muon against float64 formulas, in both precisions of its loop, and against torch's own."""

import math

import pytest
import torch

from var_mini.training import muon

A, B, C = 3.4445, -4.7750, 2.0315


def polar(G: torch.Tensor) -> torch.Tensor:
    """Five turns of the polynomial on the singular values themselves, float64."""
    U, s, V = torch.linalg.svd(G.double(), full_matrices=False)
    s = s / G.double().square().sum().sqrt()
    for _ in range(5):
        s = A * s + B * s**3 + C * s**5
    return U @ torch.diag(s) @ V


def matrices(*shapes) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (16, 16)])
def test_the_loop_is_a_polynomial_of_the_singular_values(shape, dtype, allowed):
    both = torch.stack(matrices(shape, shape))
    made = muon.orthogonalised(both, dtype, (A, B, C), 5, 1e-7)
    for G, found in zip(both, made):
        assert (found.double() - polar(G)).abs().max() < allowed
        assert torch.linalg.svdvals(found.double()).max() < 1.35  # near 1: what the loop is for


@pytest.mark.parametrize(
    ("features", "wanted"),
    [
        ({}, torch.float32),
        ({"avx512_f": True}, torch.float32),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
    ],
)
def test_the_processor_decides_the_precision(monkeypatch, features, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert muon.newton_schulz_dtype(torch.device("cpu")) == wanted


def test_two_steps_by_formula(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)  # no bfloat16 units: float32
    lr, decay, mu = 0.02, 0.1, 0.95
    weights = [torch.nn.Parameter(w) for w in matrices((24, 8), (8, 24), (24, 8))]
    wanted = [w.detach().double() for w in weights]
    momenta = [torch.zeros_like(w) for w in wanted]
    optimizer = muon.Muon(weights, lr=lr, weight_decay=decay)
    for step in range(2):
        grads = [g + step for g in matrices((24, 8), (8, 24), (24, 8))]
        for w, g in zip(weights, grads):
            w.grad = g.clone()
        optimizer.step()
        for i, g in enumerate(grads):
            momenta[i] = mu * momenta[i] + (1 - mu) * g.double()
            update = polar((1 - mu) * g.double() + mu * momenta[i])
            rows, columns = g.shape
            wanted[i] = wanted[i] * (1 - lr * decay) - lr * math.sqrt(max(1, rows / columns)) * update
    assert all((w.detach().double() - x).abs().max() < 1e-5 for w, x in zip(weights, wanted))


def test_it_reads_the_state_of_torchs_own_and_goes_on_alike():
    """A run that was saved with torch.optim.Muon resumes; both loops in bfloat16 agree to its rounding."""
    ours, theirs = (torch.nn.Parameter(*matrices((16, 8))) for _ in range(2))
    theirs_opt = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.05)
    ours_opt = muon.Muon([ours], lr=0.02, weight_decay=0.05)
    theirs.grad = matrices((16, 8))[0] / 2
    theirs_opt.step()
    with torch.no_grad():
        ours.copy_(theirs)
    ours_opt.load_state_dict(theirs_opt.state_dict())
    ours.grad, theirs.grad = (matrices((16, 8))[0].flip(0) for _ in range(2))
    ours_opt.step(), theirs_opt.step()
    assert (ours - theirs).abs().max() < 0.02 * math.sqrt(2) * 2 * 0.05  # each within .05 of the polynomial, as above
    assert torch.equal(ours_opt.state[ours]["momentum_buffer"], theirs_opt.state[theirs]["momentum_buffer"])
