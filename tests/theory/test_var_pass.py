"""Counts in closed form, interpolation as a matrix, and the fast pass against the exact one."""

import math

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TOKENIZER
from var_mini.config import PATCH_NUMS_256
from var_mini.pyramid import ScalePyramid
from var_mini.theory import var_pass as p
from var_mini.tokenizer import VQVAE


@pytest.mark.parametrize("side", [1, 2, 4, 8, 32])
def test_tokens_and_pairs_of_doubling_sides_counted_one_by_one(side):
    tokens = pairs = 0
    own = 1
    while own <= side:
        tokens += own * own
        pairs += own * own * tokens
        own *= 2
    assert p.doubling_tokens(side) == tokens == p.doubling(side).tokens
    assert p.doubling_pairs(side) == pairs == p.doubling(side).attention_pairs()


def test_pairs_over_n_to_the_fourth_tend_to_64_45ths_and_the_official_ladder_has_4_37():
    assert p.doubling_pairs(2**20) / 2**80 == pytest.approx(64 / 45, abs=1e-10)
    official = ScalePyramid(PATCH_NUMS_256)
    ends = np.cumsum([s * s for s in PATCH_NUMS_256])
    counted = sum(s * s * e for s, e in zip(PATCH_NUMS_256, ends))
    assert official.tokens == 680 and official.attention_pairs() == counted == 286_434
    assert official.attention_pairs() / 16**4 == pytest.approx(4.37, abs=0.005)


def test_interpolation_rows_have_few_entries_and_only_bicubic_enlarges():
    """Cubic convolution with a = -3/4 at a quarter: weights of the four taps from the kernel's formula."""

    def kernel(t, a=-0.75):
        t = abs(t)
        return (a + 2) * t**3 - (a + 3) * t**2 + 1 if t <= 1 else a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a

    row = sum(abs(kernel(t)) for t in (-1.25, -0.25, 0.75, 1.75))
    found = {name: p.row_sum(8, 16, name) for name in p.INTERPOLATIONS}
    assert found["bicubic"]["largest"] == pytest.approx(row * row, rel=1e-6)
    assert found["nearest"]["largest"] == found["bilinear"]["largest"] == 1
    assert [found[name]["entries"] for name in p.INTERPOLATIONS] == [1, 4, 16]


def test_the_bound_on_the_interpolated_map_is_reached():
    """A map of signs against the row of the largest sum gives exactly that value: no smaller factor would do."""
    rows = torch.nn.functional.interpolate(torch.eye(16).double().view(16, 1, 4, 4), size=(7, 7), mode="bicubic").flatten(1).T
    worst = rows[rows.abs().sum(1).argmax()].sign().view(1, 1, 4, 4)
    reached = torch.nn.functional.interpolate(worst, size=(7, 7), mode="bicubic").abs().max().item()
    assert reached == pytest.approx(p.row_sum(4, 7, "bicubic")["largest"]) and reached > 1


def test_the_exact_pass_is_softmax_attention_over_all_tokens_so_far():
    """The last map's logits again with explicit exponentials, in NumPy, from the same tokens."""
    toy = p.ToyPass(4, 1.5, seed=3)
    found = toy.run()
    d, sides = toy.d, (1, 2, 4)
    seen = [[np.zeros((0, d))] * 2 for _ in range(toy.LAYERS)]
    f_hat = np.zeros((d, 4, 4))
    for k, side in enumerate(sides):
        cell = 4 // side
        x = f_hat.reshape(d, side, cell, side, cell).mean((2, 4)).reshape(d, -1).T + toy.places[k].numpy()
        for layer in range(toy.LAYERS):
            q, key, v = (np.tanh(x @ W.numpy()) for W in toy.weights[layer])
            seen[layer] = [np.concatenate([old, new]) for old, new in zip(seen[layer], (1.5 * key, v))]
            weights = np.exp(1.5 * q @ seen[layer][0].T / d)
            x = x + weights @ seen[layer][1] / weights.sum(1, keepdims=True)
        logits = x @ toy.codes.numpy().T
        codes = toy.codes.numpy()[found["tokens"][k]].T.reshape(d, side, side)
        f_hat += codes.repeat(cell, 1).repeat(cell, 2)
    assert np.allclose(found["logits"].numpy(), logits, atol=1e-12)
    q, key, v = (np.tanh(f_hat.reshape(d, -1).T @ W.numpy()) for W in toy.weights[-1])
    weights = np.exp(1.5**2 * q @ key.T / d)
    wanted = f_hat.reshape(d, -1).T + weights @ v / weights.sum(1, keepdims=True)
    assert np.allclose(found["decoded"].numpy(), wanted, atol=1e-12)


def test_the_error_of_the_fast_pass_falls_with_the_degree_and_grows_with_the_bound():
    found = {(r, g): p.compare(8, r, g) for r in (1.0, 3.0) for g in (2, 4, 6)}
    for key in ("logits", "decoded"):
        small, large = ([found[r, g][key] for g in (2, 4, 6)] for r in (1.0, 3.0))
        assert small[0] > 10 * small[1] > 100 * small[2] and large[2] > 100 * small[2]
    assert found[1.0, 6]["same_tokens"] == 1


def test_the_same_noise_makes_both_passes_draw_the_same_and_other_noise_does_not():
    exact, fast, other = (
        torch.cat(p.ToyPass(8, 1.0, seed=seed).run(degree)["tokens"]) for seed, degree in ((1, None), (1, 8), (2, None))
    )
    assert torch.equal(exact, fast) and not torch.equal(exact, other)


@pytest.fixture(scope="module")
def attentive():
    from dataclasses import replace

    torch.manual_seed(0)
    return VQVAE(replace(TINY_TOKENIZER, attention=True)).eval()


def test_exact_attention_through_the_hook_leaves_the_decoder_as_it_is(attentive):
    images = torch.rand(2, 1, 12, 12) * 2 - 1
    found = p.phase_three(attentive, images, "exact")
    assert found["largest_pixel_difference"] < 1e-5 and len(found["layers"]) >= 2
    assert all(layer["relative_error"] < 1e-5 for layer in found["layers"])
    before = attentive.decode(torch.zeros(1, 4, 3, 3))
    p.phase_three(attentive, images, "poly-2")
    assert torch.equal(attentive.decode(torch.zeros(1, 4, 3, 3)), before)  # the hooks are gone


def test_features_of_the_decoder_are_counted_from_its_width(attentive):
    layers = p.phase_three(attentive, torch.rand(1, 1, 12, 12), "poly-2")["layers"]
    assert all(layer["features"] == math.comb(layer["channels"] + 2, 2) for layer in layers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p.doubling(12), "side = 12: must be a power of two"),
        (lambda: p.doubling(512), "side = 512: must be a whole number from 1 to 256"),
        (lambda: p.row_sum(8, 16, "lanczos"), "interpolation = 'lanczos'"),
        (lambda: p.row_sum(40, 64, "nearest"), "small = 40: must be at most 32"),
        (lambda: p.row_sum(16, 8, "nearest"), "small = 16: must be a whole number from 1 to 8"),
        (lambda: p.ToyPass(4, 0.0), "bound = 0.0"),
        (lambda: p.ToyPass(256, 1.0, dtype=torch.float32).run(), "65,536 x 87,381 numbers, 22.9 GB: must be at most"),
        (lambda: p.phase_three(VQVAE(TINY_TOKENIZER), torch.zeros(1, 1, 12, 12)), "tokenizer has attention = False"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
