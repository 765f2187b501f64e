"""Wrong solutions of lesson 1, as students write them, and what the checks say about them; oracles against the library."""

import pytest
import torch
import torch.nn.functional as F

from tests.checks.students import told
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of
from var_mini.checks.pieces import array, bicubic
from var_mini.config import TokenizerConfig
from var_mini.pyramid import ScalePyramid
from var_mini.tokenizer.quantizer import MultiScaleQuantizer


def offsets_by_sides(patch_nums):
    result, begin = [], 0
    for side in patch_nums:
        result.append((begin, begin + side))
        begin += side
    return result


def offsets_inclusive(patch_nums):
    result, begin = [], 0
    for side in patch_nums:
        result.append((begin, begin + side * side - 1))
        begin += side * side
    return result


def area_by_picking(f, side):
    places = (torch.arange(side) * f.shape[-1]) // side
    return f[:, :, places][:, :, :, places]


def area_with_floor(f, side):
    size, out = f.shape[-1], torch.empty(*f.shape[:2], side, side)
    for i in range(side):
        for j in range(side):
            rows, columns = (slice(k * size // side, max((k + 1) * size // side, k * size // side + 1)) for k in (i, j))
            out[:, :, i, j] = f[:, :, rows, columns].mean((-1, -2))
    return out


def area_summed(f, side):
    return F.adaptive_avg_pool2d(f, side) * (f.shape[-1] // side) ** 2 if f.shape[-1] % side == 0 else f[:, :, :side, :side]


def nearest_by_dot_product(z, codebook):
    return torch.argmax(z @ codebook.T, dim=-1)


def nearest_of_codes(z, codebook):
    return torch.cdist(z, codebook).min(dim=0).indices


def nearest_with_plus(z, codebook):
    squared = z.square().sum(1, keepdim=True) + 2 * z @ codebook.T + codebook.square().sum(1)
    return squared.argmin(dim=1)


def nearest_as_float(z, codebook):
    return torch.cdist(z, codebook).argmin(1).float()


def phi_swapped(h, weight, bias, ratio):
    return ratio * h + (1 - ratio) * F.conv2d(h, weight, bias, padding=1)


def phi_added(h, weight, bias, ratio):
    return torch.add(h, F.conv2d(h, weight, bias, padding="same"), alpha=ratio)


def phi_without_border(h, weight, bias, ratio):
    return F.conv2d(h, weight, bias)


def _quantized(z, codebook, size):
    side = z.shape[-1]
    ids = torch.cdist(z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]), codebook).argmin(1)
    codes = codebook[ids].reshape(len(z), side, side, -1).permute(0, 3, 1, 2)
    return ids.reshape(len(z), -1), F.interpolate(codes, (size, size), mode="bicubic")


def step_of_f(f, f_hat, codebook, side):
    ids, h = _quantized(F.adaptive_avg_pool2d(f, side), codebook, f.shape[-1])
    return ids, f_hat + h


def step_replacing(f, f_hat, codebook, side):
    return _quantized(F.adaptive_avg_pool2d(f - f_hat, side), codebook, f.shape[-1])


def step_in_place(f, f_hat, codebook, side):
    ids, h = _quantized(F.adaptive_avg_pool2d(f - f_hat, side), codebook, f.shape[-1])
    f_hat += h
    return ids, f_hat


def step_transposed(f, f_hat, codebook, side):
    ids, h = _quantized(F.adaptive_avg_pool2d(f - f_hat, side).transpose(2, 3), codebook, f.shape[-1])
    return ids, f_hat + h.transpose(2, 3)


def step_with_view(f, f_hat, codebook, side):
    z = F.interpolate(f - f_hat, (side, side), mode="area").reshape(-1, f.shape[1])
    ids = torch.cdist(z, codebook).argmin(1)
    codes = codebook[ids].reshape(len(f), side, side, -1).permute(0, 3, 1, 2)
    return ids.reshape(len(f), -1), f_hat + F.interpolate(codes, f.shape[2:], mode="bicubic")


def step_with_view_back(f, f_hat, codebook, side):
    ids, _ = _quantized(F.adaptive_avg_pool2d(f - f_hat, side), codebook, f.shape[-1])
    codes = codebook[ids].view(len(f), f.shape[1], side, side)
    return ids, f_hat + F.interpolate(codes, f.shape[2:], mode="bicubic")


def step_with_two_views(f, f_hat, codebook, side):
    z = F.interpolate(f - f_hat, (side, side), mode="area").reshape(-1, f.shape[1])
    ids = torch.cdist(z, codebook).argmin(1)
    codes = codebook[ids].view(len(f), f.shape[1], side, side)
    return ids.reshape(len(f), -1), f_hat + F.interpolate(codes, f.shape[2:], mode="bicubic")


def step_bicubic_down(f, f_hat, codebook, side):
    ids, h = _quantized(F.interpolate(f - f_hat, (side, side), mode="bicubic"), codebook, f.shape[-1])
    return ids, f_hat + h


def step_bilinear_up(f, f_hat, codebook, side):
    ids, _ = _quantized(F.adaptive_avg_pool2d(f - f_hat, side), codebook, f.shape[-1])
    codes = codebook[ids].mT.unflatten(2, (side, side))
    return ids, f_hat + F.interpolate(codes, f.shape[2:], mode="bilinear")


WRONG = [
    ("pyramid_offsets", offsets_by_sides, "counts a scale of side s as s tokens"),
    ("pyramid_offsets", offsets_inclusive, "index of the last token"),
    ("area_downsample", area_by_picking, "takes one value per cell"),
    ("area_downsample", area_with_floor, "rounds the end of a window down"),
    ("area_downsample", area_summed, "entry [0, 0, 0, 0] of the result is"),
    ("nearest_code", nearest_by_dot_product, "largest dot product"),
    ("nearest_code", nearest_of_codes, "nearest vector of every code"),
    ("nearest_code", nearest_with_plus, "adds 2 z . c"),
    ("nearest_code", nearest_as_float, "holds floating point (float32): must hold whole numbers"),
    ("mix_phi", phi_swapped, "swaps the two shares"),
    ("mix_phi", phi_added, "adds the convolution to the whole map"),
    ("mix_phi", phi_without_border, "convolves without a border"),
    ("residual_step", step_of_f, "quantizes f itself"),
    ("residual_step", step_replacing, "returns only what this scale adds"),
    ("residual_step", step_with_view, "reshapes (B, C, side, side) to vectors"),
    ("residual_step", step_with_view_back, "reshapes the codes to (B, C, side, side)"),
    ("residual_step", step_with_two_views, "reshapes both"),
    ("residual_step", step_bicubic_down, "averages the residual down with bicubic"),
    ("residual_step", step_bilinear_up, "enlarges the code map bilinearly"),
    ("residual_step", step_in_place, "changed its argument f_hat in place"),
    ("residual_step", step_transposed, "entry [0, 1] of entry[0] is"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    for args in find("pyramid_offsets").inputs(8):
        slices = ScalePyramid(args["patch_nums"]).slices
        assert expected_of(find("pyramid_offsets"), args) == [(part.start, part.stop) for part in slices]
    x = torch.randn(2, 3, 5, 5)
    assert torch.allclose(torch.from_numpy(bicubic(array(x), 7)).float(), F.interpolate(x, (7, 7), mode="bicubic"), atol=1e-5)


def test_the_steps_together_are_the_quantizer_where_phi_is_the_identity():
    torch.manual_seed(0)
    config = TokenizerConfig(
        patch_nums=(1, 2, 3, 5), vocab_size=40, z_channels=4, channels=8, channel_mult=(1,), norm_groups=4, attention=False
    )
    quantizer = MultiScaleQuantizer(config)  # phi begins as the identity
    torch.nn.init.normal_(quantizer.embedding.weight)
    f = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        result, f_hat = quantizer.quantize(f), torch.zeros_like(f)
        for side, ids, wanted in zip(config.patch_nums, result.token_ids, result.f_hat):
            found, f_hat = use("residual_step")(f, f_hat, quantizer.embedding.weight, side)
            assert torch.equal(found, ids) and torch.allclose(f_hat, wanted, atol=1e-5)
