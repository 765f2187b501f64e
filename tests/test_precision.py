"""16-bit weights: what has them, what stays float32, and that everything built on a model works with them."""

import json

import pytest
import torch

from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.analysis.editing import edit, scale_errors, tokenize_picture
from var_mini.analysis.equivalence import mask_against_loop
from var_mini.analysis.inspection import attention_blocks, attention_row
from var_mini.precision import Linear, device_of
from var_mini.training.tokenizer import measure_tokenizer
from var_mini.training.transformer import cross_entropy, tokenize_images

HALVES = (torch.bfloat16, torch.float16)
EPS = {torch.bfloat16: 2**-8, torch.float16: 2**-11}  # largest relative rounding error


@pytest.fixture(params=HALVES, ids=str)
def half(request, calibrated_folder):
    return checkpoints.load(calibrated_folder, dtype=request.param)


def test_products_have_16_bits_and_all_that_is_added_up_has_32(half):
    wide = ("pos_", "class_emb", "lvl_embed", "_bias", "scale_mul", "quantize.", "quant_conv.")
    for part in (half.transformer, half.tokenizer):
        for name, tensor in part.state_dict().items():
            expected = torch.float32 if any(word in name for word in wide) else half.dtype
            assert tensor.dtype == expected, name
    for attention in ("exact", "poly-2", "landmark-16", "pool-2"):
        step = list(half.generate(1, 0, attention=attention, keep_logits=True))[-1]
        assert step.logits.dtype == step.f_hat.dtype == step.image.dtype == torch.float32
    state = half.transformer.new_states(1)[0]
    assert state.keys.dtype == state.values.dtype == state.scale.dtype == torch.float32


@pytest.mark.parametrize("dtype", HALVES)
def test_a_linear_layer_rounds_its_factors_and_its_result_only(dtype):
    """Against float64 products of the rounded factors: two roundings of the result, none of the sum."""
    torch.manual_seed(0)
    layer, x = Linear(300, 20), torch.randn(7, 300)
    layer.to(dtype)
    exact = x.to(dtype).double() @ layer.weight.double().T + layer.bias.double()
    error = (layer(x) - exact).abs()
    assert layer(x).dtype == torch.float32
    assert (error <= EPS[dtype] * exact.abs() + 1e-5).all() and error.max() > 0


def test_a_closed_block_leaves_every_bit_of_the_residual_stream(half):
    block, c = half.transformer.blocks[0], half.transformer.config
    x = torch.randn(2, 5, c.width, generator=torch.Generator().manual_seed(0))
    closed = tuple(torch.zeros(2, 1, c.width) for _ in range(6))
    assert torch.equal(block(x, closed, lambda q, k, v: v), x)
    assert not torch.equal(x, x.to(half.dtype).float())


def test_logits_are_near_those_of_float32(half, calibrated_folder):
    full = checkpoints.load(calibrated_folder)
    ids = torch.randint(full.transformer.vocab_size, (2, full.config.pyramid.tokens), generator=torch.Generator().manual_seed(0))
    label, given = torch.tensor([0, 2]), full.tokenizer.quantize.inputs_from_ids(ids)
    with torch.no_grad():
        wide, narrow = full.transformer(label, given), half.transformer(label, given)
    assert 0 < (wide - narrow).abs().max() < 8 * EPS[half.dtype] * wide.abs().max()


def test_whatever_uses_a_model_takes_it(half):
    image = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(1))
    picture = tokenize_picture(half, image)
    ids = [step.token_ids[0] for step in picture.steps]
    flat = torch.cat(ids)
    assert all(error.mean_absolute < 1 for error in scale_errors(half, image, picture))
    assert torch.allclose(attention_row(half, flat, 0, 2, 4).sum(-1), torch.ones(()), atol=1e-5)
    assert torch.allclose(attention_blocks(half, flat, 0)[..., 2, :].sum(-1), torch.ones(()), atol=1e-5)
    for found in mask_against_loop(half, flat, 0):
        assert found.loop < 4 * EPS[half.dtype] * found.largest_logit
    pixels = torch.randint(256, (6, 1, 12, 12), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    assert measure_tokenizer(half.tokenizer, pixels)["psnr_db"] > 0
    found = cross_entropy(half.transformer, half.tokenizer.quantize, tokenize_images(half.tokenizer, pixels), torch.arange(6) % 3)
    assert 0 < found["cross_entropy"] < 10
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0] = True
    *_, last = edit(half, ids, mask, 1, 0)
    assert last.image.isfinite().all() and torch.equal(last.token_ids[0, 3:], ids[-1][3:])


def test_a_saved_half_model_loads_again_and_its_runs_name_the_type(half, tmp_path):
    checkpoints.save(half, tmp_path / "again")
    again = checkpoints.load(tmp_path / "again", dtype=str(half.dtype).removeprefix("torch."))
    assert torch.equal(again.trace(1, 3).image, half.trace(1, 3).image)
    assert half.trace_settings(1, 3)["dtype"] == str(half.dtype).removeprefix("torch.")
    assert "dtype" not in checkpoints.load(tmp_path / "again").trace_settings(1, 3)


@pytest.mark.parametrize("dtype", ["float64", torch.float64, torch.int8, "half", None])
def test_other_types_are_refused(calibrated_folder, dtype):
    with pytest.raises(ValueError, match=r"dtype = .*: must be one of bfloat16, float16, float32"):
        checkpoints.load(calibrated_folder, dtype=dtype)


@pytest.mark.parametrize("name", ["fashion-28", "things-32"])
def test_shipped_models_nearly_always_think_the_same_in_bfloat16(name):
    """Their most likely codes, given the same coarser scales; one at random would be the same in under 1 %."""
    full, half = checkpoints.load(name), checkpoints.load(name, dtype="bfloat16")
    ids = torch.cat([step.token_ids[0] for step in full.generate(7, 0, details=False, partial_images=False)])
    given = torch.tensor([7]), full.tokenizer.quantize.inputs_from_ids(ids[None])
    with torch.no_grad():
        same = (full.transformer(*given).argmax(-1) == half.transformer(*given).argmax(-1)).float().mean()
    assert same > 0.93


def test_the_command_line_draws_and_compares_with_16_bits(calibrated_folder, tmp_path, capsys):
    model = ["--model", str(calibrated_folder)]
    assert main(["generate", *model, "--dtype", "bfloat16", "--out", str(tmp_path / "x.png")]) == 0
    assert main(["bench", "generate", *model, "--dtype", "float16"]) == 0
    capsys.readouterr()
    assert main(["bench", "dtype", *model, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["seconds"]) == set(found["processor_seconds"]) == {"float32", "bfloat16"}
    assert found["speedup"] == pytest.approx(found["seconds"]["float32"] / found["seconds"]["bfloat16"])
    assert 0 < found["ids_equal"] <= 1 and len(found["ids_equal_per_scale"]) == 3


def test_auto_is_a_device_that_is_here_and_an_unknown_one_is_refused(monkeypatch):
    assert checkpoints.load("fashion-28", device="auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of("auto") == "cuda" and device_of(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(ValueError, match="device = 'abacus': must be one of cpu, "):
        checkpoints.load("fashion-28", device="abacus")
