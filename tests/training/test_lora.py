"""Adapters on a transformer: no change at first, then the formula; merged, taken off, saved, refused where they do not fit."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.model import Model
from var_mini.training import lora
from var_mini.training.transformer import TransformerObjective, cross_entropy, tokenize_images


@pytest.fixture
def model(tiny_folder):
    return checkpoints.load(tiny_folder)


@pytest.fixture
def ids():
    return torch.randint(0, 24, (2, 14), generator=torch.Generator().manual_seed(0))


def logits(model, ids):
    with torch.no_grad():
        return model.transformer(torch.tensor([0, 1]), model.tokenizer.quantize.inputs_from_ids(ids))


def filled(model, rank=3, alpha=6.0):
    found = lora.apply(model.transformer, rank, alpha)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for a in found.values():
            a.B.copy_(torch.randn(a.B.shape, generator=generator) * 0.1)
    return found


def test_fresh_adapters_change_nothing_and_alone_get_gradients(model, ids):
    before = logits(model, ids)
    found = lora.apply(model.transformer, 4)
    assert len(found) == 8 and torch.equal(logits(model, ids), before)
    objective = TransformerObjective(model.transformer, model.tokenizer.quantize)
    objective(0, ids, torch.tensor([0, 1]))[0].backward()
    with_gradient = {name for name, p in model.transformer.named_parameters() if p.grad is not None}
    assert with_gradient == {f"{name}.parametrizations.weight.0.{part}" for name in found for part in "AB"}
    assert all((a.A.grad == 0).all() and a.B.grad.abs().sum() > 0 for a in found.values())  # B = 0: nothing reaches A yet


def test_an_adapted_weight_is_w_plus_alpha_over_r_b_a(model):
    frozen = model.transformer.blocks[1].ffn.fc1.weight.detach().clone()
    a = filled(model)["blocks.1.ffn.fc1"]
    wanted = frozen.double() + 6.0 / 3 * a.B.double() @ a.A.double()
    torch.testing.assert_close(model.transformer.blocks[1].ffn.fc1.weight.double(), wanted, atol=1e-6, rtol=0)


def test_merging_keeps_the_output_and_taking_off_restores_the_weights_to_the_bit(model, ids):
    names = set(model.transformer.state_dict())
    before, plain = logits(model, ids), model.transformer.blocks[0].attn.proj.weight.detach().clone()
    filled(model)
    adapted = logits(model, ids)
    assert (adapted - before).abs().max() > 1e-3
    lora.take_off(model.transformer)
    assert torch.equal(model.transformer.blocks[0].attn.proj.weight, plain) and torch.equal(logits(model, ids), before)
    filled(model)
    lora.merge(model.transformer)
    torch.testing.assert_close(logits(model, ids), adapted, atol=1e-6, rtol=0)
    assert set(model.transformer.state_dict()) == names and not lora.adapters(model.transformer)
    assert all(p.requires_grad for p in model.transformer.parameters())


def test_a_saved_adapter_is_small_and_gives_the_same_output_on_the_same_model(model, ids, tiny_folder, tmp_path):
    filled(model)
    size = lora.save(model.transformer, tmp_path / "a.safetensors", torch.float32)
    numbers = sum(p.numel() for a in lora.adapters(model.transformer).values() for p in a.parameters())
    assert 4 * numbers < size < 4 * numbers + 4096
    other = checkpoints.load(tiny_folder)
    lora.load(other.transformer, tmp_path / "a.safetensors")
    assert torch.equal(logits(other, ids), logits(model, ids))


def test_a_weight_that_averaging_turned_from_minus_zero_to_zero_is_the_same_weight(model, tmp_path):
    weight = model.transformer.blocks[0].ffn.fc1.weight
    with torch.no_grad():
        weight[0, 0] = -0.0
    filled(model)
    lora.save(model.transformer, tmp_path / "a.safetensors")
    lora.take_off(model.transformer)
    with torch.no_grad():
        model.transformer.blocks[0].ffn.fc1.weight[0, 0] = 0.0
    assert len(lora.load(model.transformer, tmp_path / "a.safetensors")) == 8


def test_files_that_do_not_fit_are_refused_and_leave_the_model_as_it_was(model, ids, tmp_path):
    before = logits(model, ids)
    filled(model)
    path = tmp_path / "a.safetensors"
    lora.save(model.transformer, path)
    lora.take_off(model.transformer)
    tensors = load_file(path)
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        facts = file.metadata()
    name = "blocks.0.attn.proj.A"
    for change, message in (
        ({name: torch.zeros(3, 5)}, r"proj.A has shape \(3, 5\), must be \(3, 16\)"),
        ({name: torch.full_like(tensors[name], float("nan"))}, "proj.A is not a finite"),
        ({"blocks.9.x.A": torch.zeros(1)}, "extra blocks.9.x.A"),
    ):
        save_file(tensors | change, tmp_path / "bad.safetensors", facts)
        with pytest.raises(ValueError, match=message):
            lora.load(model.transformer, tmp_path / "bad.safetensors")
        assert torch.equal(logits(model, ids), before)
    save_file(tensors, tmp_path / "bad.safetensors", facts | {"base": "other"})
    with pytest.raises(ValueError, match="was made for other weights"):
        lora.load(model.transformer, tmp_path / "bad.safetensors")
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match="is not a readable file of adapters"):
        lora.load(model.transformer, tmp_path / "bad.safetensors")


def test_merged_adapters_leave_no_table_of_the_weights_before(calibrated_folder, tmp_path, capsys):
    model = checkpoints.load(calibrated_folder)
    filled(model)
    lora.save(model.transformer, tmp_path / "a.safetensors")
    lora.take_off(model.transformer)
    assert set(model.transformer.calibration.landmarks) == {16, 32, 64}  # the weights that they were made of are back
    lora.load(model.transformer, tmp_path / "a.safetensors")
    lora.merge(model.transformer)
    assert not model.transformer.calibration.landmarks and not model.transformer.calibration.coefficients
    command = ["generate", "--model", str(calibrated_folder), "--attention", "landmark-16"]
    assert main(command) == 0
    assert main([*command, "--adapter", str(tmp_path / "a.safetensors")]) == 2
    assert "attention = 'landmark-16': this model has not been calibrated" in capsys.readouterr().err


@pytest.mark.parametrize("rank", [0, 17, True])
def test_bad_ranks_are_refused(model, rank):
    with pytest.raises(ValueError, match=f"rank = {rank}: must be a whole number from 1 to 16"):
        lora.apply(model.transformer, rank)


def test_a_second_set_of_adapters_is_refused(model):
    lora.apply(model.transformer, 2)
    with pytest.raises(ValueError, match="has adapters already"):
        lora.apply(model.transformer, 2)


def test_the_command_trains_saves_and_draws_with_adapters(tiny_folder, tmp_path, monkeypatch, capsys):
    images = torch.randint(0, 256, (40, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    from var_mini import data

    made = data.ImageData("made", ("ant", "bee", "cow"), images, labels, images[:6], labels[:6])
    monkeypatch.setattr(data, "load_folder", lambda *given: made)
    out = tmp_path / "run"
    arguments = ["train", "transformer", "--start", str(tiny_folder), "--data", "made", "--out", str(out)]
    assert main([*arguments, "--lora-rank", "2", "--lora-steps", "3", "--precision", "no"]) == 0
    drawn = tmp_path / "x.png"
    adapter = out / "adapter.safetensors"
    assert main(["generate", "--model", str(tiny_folder), "--adapter", str(adapter), "--out", str(drawn)]) == 0 and drawn.exists()
    put_on, merged = checkpoints.load(tiny_folder), checkpoints.load(out / "model")
    lora.load(put_on.transformer, adapter)
    ids = torch.randint(0, 24, (2, 14))
    torch.testing.assert_close(logits(merged, ids), logits(put_on, ids), atol=2e-2, rtol=0)  # merged weights are 16-bit
    assert main(["generate", "--model", str(tiny_folder), "--adapter", str(tmp_path / "none")]) == 2
    assert "none is not a readable file of adapters" in capsys.readouterr().err


def test_adapters_learn_a_few_pictures_of_some_classes_from_a_folder(tiny, tmp_path):
    """None is held out of so few, and a folder cannot be called a/n/t."""
    model = Model(replace(tiny.config, class_names=("a/n/t", "bee", "cow")), tiny.tokenizer, tiny.transformer)
    checkpoints.save(model, tmp_path / "model")
    for place in ("a-n-t", "cow"):
        (tmp_path / "pictures" / place).mkdir(parents=True)
        Image.new("L", (12, 12), 200).save(tmp_path / "pictures" / place / "x.png")
    adapted = lora.train_adapter(str(tmp_path / "model"), tmp_path / "run", tmp_path / "pictures", 2, 20, "no")
    ids = tokenize_images(tiny.tokenizer, torch.full((2, 1, 12, 12), 200, dtype=torch.uint8))
    before, after = (cross_entropy(m.transformer, tiny.tokenizer.quantize, ids, torch.tensor([0, 2])) for m in (model, adapted))
    assert after["cross_entropy"] < before["cross_entropy"] - 0.1


def test_a_run_goes_on_for_the_same_weights_whatever_their_name(tiny, tmp_path, monkeypatch, capsys):
    """By a relative path or an absolute one; but not once other weights lie there."""
    checkpoints.save(tiny, tmp_path / "model")
    (tmp_path / "pictures" / "ant").mkdir(parents=True)
    for grey in (100, 200):
        Image.new("L", (12, 12), grey).save(tmp_path / "pictures" / "ant" / f"{grey}.png")
    monkeypatch.chdir(tmp_path)

    def train(name):
        return lora.train_adapter(name, tmp_path / "run", tmp_path / "pictures", 2, 3, "no")

    train("model")
    capsys.readouterr()
    train(str(tmp_path / "model"))
    assert "resumed at step 3 of 3" in capsys.readouterr().err
    before = (tmp_path / "run" / "state.pt").read_bytes()
    for part in ("transformer", "tokenizer"):
        other = checkpoints.load(tmp_path / "model")
        with torch.no_grad():
            next(getattr(other, part).parameters()).add_(1)
        checkpoints.save(other, tmp_path / "model")
        with pytest.raises(ValueError, match=r"state\.pt does not hold a state of this training run: .*another model"):
            train("model")
        checkpoints.save(tiny, tmp_path / "model")
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
