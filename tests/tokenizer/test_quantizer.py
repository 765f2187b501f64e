"""The quantizer against a float64 loop written from the formula alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TOKENIZER
from var_mini.analysis.parity import fill_by_rule
from var_mini.pyramid import ScalePyramid
from var_mini.tokenizer import MultiScaleQuantizer
from var_mini.tokenizer.quantizer import phi_index


@pytest.mark.parametrize(
    ("scales", "expected"),
    [(10, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]), (7, [0, 0, 1, 2, 2, 3, 3]), (6, [0, 0, 1, 2, 3, 3]), (5, [0, 1, 2, 2, 3]), (1, [0])],
)
def test_phi_sharing_is_the_published_one(scales, expected):
    assert phi_index(ScalePyramid(tuple(range(1, scales + 1))), 4) == expected


def area(f, side):
    """Mean over the cells [floor(i H / s), ceil((i + 1) H / s))."""
    H = f.shape[-1]
    edges = [(i * H // side, -(-(i + 1) * H // side)) for i in range(side)]
    return np.array([[[c[a:b, p:q].mean() for p, q in edges] for a, b in edges] for c in f])


def cubic(x, a=-0.75):
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def bicubic(z, size):
    """Keys' cubic convolution (a = -0.75), pixel centres aligned, borders repeated."""
    side = z.shape[-1]
    rows = np.zeros((size, side))
    for i in range(size):
        x = (i + 0.5) * side / size - 0.5
        base = int(np.floor(x))
        for j in range(base - 1, base + 3):
            rows[i, min(max(j, 0), side - 1)] += cubic(x - j)
    return np.einsum("ia,cab,jb->cij", rows, z, rows)


def conv3x3(h, weight, bias):
    padded = np.pad(h, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros_like(h)
    for o in range(len(weight)):
        for y in range(h.shape[1]):
            for x in range(h.shape[2]):
                out[o, y, x] = (weight[o] * padded[:, y : y + 3, x : x + 3]).sum() + bias[o]
    return out


def quantize_by_formula(f, codes, phis, patch_nums, ratio):
    f_hat, ids, f_hats = np.zeros_like(f), [], []
    for k, side in enumerate(patch_nums):
        z = area(f - f_hat, side)
        found = np.array([[((codes - z[:, y, x]) ** 2).sum(1).argmin() for x in range(side)] for y in range(side)])
        h = codes[found].transpose(2, 0, 1)
        if k < len(patch_nums) - 1:
            h = bicubic(h, f.shape[-1])
        h = (1 - ratio) * h + ratio * conv3x3(h, *phis[k])
        f_hat = f_hat + h
        ids.append(found.ravel())
        f_hats.append(f_hat)
    return ids, f_hats


@pytest.fixture(params=[(1, 2, 3), (1, 2, 3, 5, 7), (2, 4), (3,)], ids=str)
def quantizer(request):
    made = MultiScaleQuantizer(replace(TINY_TOKENIZER, patch_nums=request.param))
    fill_by_rule(made)
    return made


def test_equals_the_formula(quantizer):
    side = quantizer.pyramid.side
    f = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(0))
    result = quantizer.quantize(f)
    codes = quantizer.embedding.weight.detach().double().numpy()
    convs = [quantizer.quant_resi.qresi_ls[i] for i in quantizer.phi_of_scale]
    phis = [(c.weight.detach().double().numpy(), c.bias.detach().double().numpy()) for c in convs]
    for b in range(2):
        ids, f_hats = quantize_by_formula(f[b].double().numpy(), codes, phis, quantizer.pyramid.patch_nums, 0.5)
        for k in range(quantizer.pyramid.num_scales):
            assert result.token_ids[k][b].tolist() == ids[k].tolist()
            np.testing.assert_allclose(result.f_hat[k][b].detach().numpy(), f_hats[k], atol=1e-5)
        inputs = [area(f_hats[k], side).reshape(4, -1).T for k, side in enumerate(quantizer.pyramid.patch_nums[1:])]
        expected = np.concatenate(inputs) if inputs else np.zeros((0, 4))
        ours = quantizer.teacher_forcing_input(result.f_hat)[b].detach().numpy()
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_ids_alone_give_the_same_f_hat(quantizer):
    side = quantizer.pyramid.side
    result = quantizer.quantize(torch.randn(3, 4, side, side))
    for ours, theirs in zip(quantizer.accumulate(result.token_ids), result.f_hat, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_loss_is_the_mean_over_scales(quantizer):
    side = quantizer.pyramid.side
    f = torch.randn(2, 4, side, side)
    f_hats = quantizer.quantize(f).f_hat
    expected = np.mean([1.25 * ((h - f) ** 2).mean().item() for h in f_hats])
    assert quantizer.loss(f, f_hats).item() == pytest.approx(expected, rel=1e-5)


def test_loss_reaches_codes_phi_and_encoder(quantizer):
    side = quantizer.pyramid.side
    f = torch.randn(2, 4, side, side, requires_grad=True)
    quantizer.zero_grad()
    quantizer.loss(f, quantizer.quantize(f).f_hat).backward()
    used = {quantizer.phi_of_scale[k] for k in range(quantizer.pyramid.num_scales)}
    for tensor in (f, quantizer.embedding.weight, *(quantizer.quant_resi.qresi_ls[i].weight for i in used)):
        assert tensor.grad.abs().sum() > 0
    quantizer.zero_grad()
