"""The two stages end to end on a folder of pictures, as a user runs them; the numbers they log."""

import csv
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER, awake
from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.config import ModelConfig
from var_mini.model import Model
from var_mini.training import recipes, stages
from var_mini.training.schedule import Schedule
from var_mini.training.tokenizer import measure_tokenizer, psnr
from var_mini.training.transformer import TransformerObjective, cross_entropy, tokenize_images


@pytest.fixture
def small_recipe(monkeypatch):
    schedule = Schedule(steps=30, batch_size=8, lr=3e-3, warmup=5, log_every=10)
    recipe = recipes.Recipe(TINY_TOKENIZER, TINY_TRANSFORMER, schedule, schedule, alternate_share=0.3, validate_every=10)
    monkeypatch.setitem(recipes.RECIPES, "small", recipe)
    return recipe


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("red", "green"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            array = rng.integers(0, 80, (15 + i, 20, 3), np.uint8)
            array[..., 0 if name == "red" else 1] += 150
            Image.fromarray(array).save(tmp_path / "pictures" / name / f"{i}.png")
    (tmp_path / "pictures" / "red" / "broken.png").write_bytes(b"no")
    return tmp_path / "pictures"


def test_a_user_trains_on_pictures_of_their_own(small_recipe, pictures, tmp_path, capsys):
    out = tmp_path / "run"
    common = ["--preset", "small", "--data", str(pictures), "--out", str(out), "--precision", "no"]
    assert main(["train", "tokenizer", *common]) == 0
    assert "1 skipped:\nred/broken.png is not a readable picture" in capsys.readouterr().err
    assert main(["train", "transformer", *common]) == 0
    model = checkpoints.load(out / "model")
    assert model.config.class_names == ("green", "red") and model.config.name == "pictures"
    assert (out / "model" / "tokenizer_log.csv").exists() and (out / "model" / "transformer_log.csv").exists()
    log = (out / "model" / "tokenizer_log.csv").read_text()
    assert "psnr_test" in log and "codebook_used" in log and "used_3" in log
    assert "test_cross_entropy_poly" in (out / "model" / "transformer_log.csv").read_text()
    assert main(["generate", "--model", str(out / "model"), "--class", "red", "--out", str(tmp_path / "x.png")]) == 0
    assert Image.open(tmp_path / "x.png").size == (12, 12)


def test_the_decoder_alone_learns_further_on_unchanged_tokens(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    common = ["--preset", "small", "--data", str(pictures), "--out", str(tmp_path / "run"), "--precision", "no"]
    for stage in ("tokenizer", "transformer"):
        assert main(["train", stage, *common]) == 0
    assert main(["train", "decoder", *common]) == 2
    assert "preset = 'small': has no schedule for the decoder alone" in capsys.readouterr().err
    before = checkpoints.load(tmp_path / "run" / "model")
    further = Schedule(steps=40, batch_size=8, lr=3e-3, warmup=5, log_every=10, ema=0.5)
    monkeypatch.setitem(recipes.RECIPES, "small", replace(small_recipe, decoder_schedule=further))
    assert main(["train", "decoder", *common]) == 0
    after = checkpoints.load(tmp_path / "run" / "model")
    changed = {
        name.partition(".")[0]
        for part in ("tokenizer", "transformer")
        for name, tensor in getattr(after, part).state_dict().items()
        if not torch.equal(tensor, getattr(before, part).state_dict()[name])
    }
    assert changed == {"decoder", "post_quant_conv"}
    images = stages.load_data(recipes.recipe_for("small", pictures), pictures).test_images
    assert torch.equal(tokenize_images(before.tokenizer, images), tokenize_images(after.tokenizer, images))
    assert measure_tokenizer(after.tokenizer, images)["psnr_db"] > measure_tokenizer(before.tokenizer, images)["psnr_db"]
    assert "psnr_test" in (tmp_path / "run" / "model" / "decoder_log.csv").read_text()


def test_repeated_stages_keep_what_is_finished(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    """`train transformer` the decoder of `train decoder`, and that one its own run, whose weights averaging gave other zeros."""
    monkeypatch.setitem(recipes.RECIPES, "small", replace(small_recipe, decoder_schedule=small_recipe.transformer_schedule))
    out = tmp_path / "run"
    common = ["--preset", "small", "--data", str(pictures), "--out", str(out), "--precision", "no"]
    assert main(["train", "tokenizer", *common]) == 0
    tensors = load_file(out / "tokenizer" / checkpoints.WEIGHTS)
    tensors["tokenizer.encoder.conv_in.bias"][0] = -0.0
    save_file(tensors, out / "tokenizer" / checkpoints.WEIGHTS)
    assert main(["train", "transformer", *common]) == main(["train", "decoder", *common]) == 0
    weights = out / "model" / checkpoints.WEIGHTS
    finished = load_file(weights)
    for stage in ("decoder", "transformer", "decoder"):
        assert main(["train", stage, *common]) == 0, capsys.readouterr().err
        assert all(torch.equal(tensor, finished[name]) for name, tensor in load_file(weights).items()), stage
    shutil.rmtree(out / "tokenizer")  # another tokenizer: the decoder of the old one does not fit it
    shutil.rmtree(out / "transformer")
    assert main(["train", "tokenizer", *common, "--steps", "7"]) == main(["train", "transformer", *common]) == 0
    fresh, written = load_file(out / "tokenizer" / checkpoints.WEIGHTS), load_file(weights)
    assert all(torch.equal(tensor.half(), written[name]) for name, tensor in fresh.items())


def test_a_last_run_sees_whole_pictures_as_they_are(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    early = replace(small_recipe.transformer_schedule, early_steps=small_recipe.transformer_schedule.steps)
    recipe = replace(small_recipe, transformer_schedule=early, views=2, coarse_scales=2)
    monkeypatch.setitem(recipes.RECIPES, "small", recipe)
    common = ["--preset", "small", "--data", str(pictures), "--precision", "no"]
    first, last = tmp_path / "first", tmp_path / "last"
    for stage in ("tokenizer", "transformer"):
        assert main(["train", stage, *common, "--out", str(first)]) == 0
    finish = ["train", "transformer", *common, "--out", str(last), "--finish"]
    assert main([*finish, "--tokenizer", str(first / "model")]) == 2
    assert "finish = True: must come with a trained model" in capsys.readouterr().err
    assert main([*finish, "--start", str(first / "model")]) == 2
    assert "finish = True: the preset has no such run; these have: things-64" in capsys.readouterr().err
    monkeypatch.setitem(recipes.RECIPES, "small", replace(recipe, finish_schedule=replace(early, early_steps=0, steps=7)))
    seen, forward = [], TransformerObjective.forward

    def noting(self, step, ids, labels):
        seen.extend(map(tuple, ids.tolist()))
        return forward(self, step, ids, labels)

    monkeypatch.setattr(TransformerObjective, "forward", noting)
    assert main([*finish, "--start", str(first / "model")]) == 0
    images = stages.load_data(recipes.recipe_for("small", pictures), pictures).train_images
    assert len(seen) == 7 * 8 and set(seen) == set(
        map(tuple, tokenize_images(checkpoints.load(first / "model").tokenizer, images).tolist())
    )


def test_other_pictures_or_another_tokenizer_are_not_continued_silently(small_recipe, pictures, tmp_path, capsys):
    out = tmp_path / "run"
    common = ["--preset", "small", "--data", str(pictures), "--out", str(out), "--precision", "no"]
    assert main(["train", "tokenizer", *common]) == main(["train", "transformer", *common]) == 0
    before = (out / "model" / "model.safetensors").read_bytes()
    assert main(["train", "tokenizer", "--preset", "small", "--data", str(pictures), "--out", str(tmp_path / "b")]) == 0
    weights = tmp_path / "b" / "tokenizer" / "model.safetensors"
    tensors = load_file(weights)
    tensors["tokenizer.quantize.embedding.weight"] += 1
    save_file(tensors, weights)
    capsys.readouterr()
    assert main(["train", "transformer", *common, "--tokenizer", str(tmp_path / "b" / "tokenizer")]) == 2
    assert "another tokenizer" in capsys.readouterr().err
    Image.new("RGB", (20, 20), "blue").save(pictures / "red" / "new.png")
    for stage in ("tokenizer", "transformer"):
        assert main(["train", stage, *common]) == 2
        assert "other settings, pictures" in capsys.readouterr().err
    assert (out / "model" / "model.safetensors").read_bytes() == before


def test_transformer_without_tokenizer_says_what_is_missing(small_recipe, pictures, tmp_path, capsys):
    assert main(["train", "transformer", "--preset", "small", "--data", str(pictures), "--out", str(tmp_path / "run")]) == 2
    assert "has no finished tokenizer" in capsys.readouterr().err


def test_unknown_preset_and_folder(tmp_path, capsys):
    assert main(["train", "tokenizer", "--preset", "huge"]) == 2
    assert "preset = 'huge': must be one of" in capsys.readouterr().err
    assert main(["train", "tokenizer", "--data", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_psnr_by_hand():
    assert psnr(4.0) == 0 and psnr(0.04) == pytest.approx(20)


def test_measured_psnr_and_usage_by_hand(tiny):
    images = torch.randint(0, 255, (7, 1, 12, 12), dtype=torch.uint8)
    x = images.double() / 127.5 - 1
    with torch.no_grad():
        quantized = tiny.tokenizer.tokenize(x.float())
        error = (tiny.tokenizer.decode(quantized.f_hat[-1]).double() - x).square().mean().item()
    measured = measure_tokenizer(tiny.tokenizer, images, batch_size=3)
    assert measured["psnr_db"] == pytest.approx(10 * math.log10(4 / error), abs=1e-4)
    assert measured["codebook_used"] == pytest.approx(len(torch.cat(quantized.token_ids, 1).unique()) / 24)
    assert measured["codebook_used_per_scale"] == pytest.approx([len(ids.unique()) / 24 for ids in quantized.token_ids])


def test_ids_lead_to_the_same_input_as_images(tiny, tiny_images):
    images = ((tiny_images + 1) * 127.5).round().byte()
    ids = tokenize_images(tiny.tokenizer, images, batch_size=2)
    with torch.no_grad():
        f_hats = tiny.tokenizer.tokenize(images.float() / 127.5 - 1).f_hat
        expected = tiny.tokenizer.quantize.teacher_forcing_input(f_hats)
        torch.testing.assert_close(tiny.tokenizer.quantize.inputs_from_ids(ids), expected, atol=1e-5, rtol=0)


def test_cross_entropy_by_hand(tiny):
    ids = torch.randint(0, 24, (5, 14))
    labels = torch.tensor([0, 1, 2, 0, 1])
    with torch.no_grad():
        logits = tiny.transformer(labels, tiny.tokenizer.quantize.inputs_from_ids(ids)).double()
    by_hand = -(logits - logits.logsumexp(-1, keepdim=True)).gather(-1, ids.unsqueeze(-1)).squeeze(-1).mean(0)
    measured = cross_entropy(tiny.transformer, tiny.tokenizer.quantize, ids.int(), labels, batch_size=2)
    assert measured["cross_entropy"] == pytest.approx(by_hand.mean().item(), abs=1e-5)
    expected = [by_hand[a:b].mean().item() for a, b in ((0, 1), (1, 5), (5, 14))]
    assert measured["cross_entropy_per_scale"] == pytest.approx(expected, abs=1e-5)


def test_labels_are_dropped_at_the_stated_rate_and_by_step_alone(tiny):
    seen = []
    objective = TransformerObjective(tiny.transformer, tiny.tokenizer.quantize)
    handle = tiny.transformer.register_forward_pre_hook(lambda m, args: seen.append(args[0].clone()))
    try:
        ids, labels = torch.zeros(200, 14, dtype=torch.int32), torch.ones(200, dtype=torch.long)
        for step in (0, 1, 0):
            objective(step, ids, labels)
    finally:
        handle.remove()
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])
    share = (torch.cat(seen[:2]) == 3).float().mean().item()  # 3 is the null class
    assert 0.05 < share < 0.16


def test_loss_is_cross_entropy_and_alternates_kernels(tiny):
    model = replace(tiny.transformer.config, class_drop=0.0)
    objective = TransformerObjective(tiny.transformer, tiny.tokenizer.quantize, alternate_from=2)
    tiny.transformer.config, kept = model, tiny.transformer.config
    try:
        ids, labels = torch.randint(0, 24, (4, 14)).int(), torch.tensor([0, 1, 2, 0])
        losses = [objective(step, ids, labels)[0].item() for step in range(4)]
    finally:
        tiny.transformer.config = kept
    expected = {
        kernel: cross_entropy(tiny.transformer, tiny.tokenizer.quantize, ids, labels, kernel)["cross_entropy"]
        for kernel in ("exact", "poly")
    }
    assert losses == pytest.approx([expected["exact"]] * 3 + [expected["poly"]], abs=1e-5)
    assert abs(expected["exact"] - expected["poly"]) > 1e-4


def test_early_steps_train_the_coarsest_scales_alone(tiny):
    objective = TransformerObjective(tiny.transformer, tiny.tokenizer.quantize, coarse=lambda step: step < 1, coarse_scales=2)
    tiny.transformer.config, kept = replace(tiny.transformer.config, class_drop=0.0), tiny.transformer.config
    try:
        ids, labels = torch.randint(0, 24, (4, 14)).int(), torch.tensor([0, 1, 2, 0])
        coarse, whole = (objective(step, ids, labels)[0].item() for step in (0, 1))
    finally:
        tiny.transformer.config = kept
    measured = cross_entropy(tiny.transformer, tiny.tokenizer.quantize, ids, labels)
    first, second, _ = measured["cross_entropy_per_scale"]
    assert coarse == pytest.approx((first + 4 * second) / 5, abs=1e-5)
    assert whole == pytest.approx(measured["cross_entropy"], abs=1e-5)
    with pytest.raises(ValueError, match="coarse_scales = 4: must be"):
        TransformerObjective(tiny.transformer, tiny.tokenizer.quantize, coarse_scales=4)


def test_a_run_may_start_from_another_models_weights(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    common = ["--preset", "small", "--data", str(pictures), "--precision", "no"]
    for stage in ("tokenizer", "transformer"):
        assert main(["train", stage, *common, "--out", str(tmp_path / "first")]) == 0
    first = checkpoints.load(tmp_path / "first" / "model")
    still = Schedule(steps=1, batch_size=8, lr=1e-9)
    finer = replace(TINY_TOKENIZER, patch_nums=(1, 3))  # loses a scale; the last one moves up
    further = replace(small_recipe, tokenizer=finer, tokenizer_schedule=still, transformer_schedule=still)
    monkeypatch.setitem(recipes.RECIPES, "small", further)
    for stage in ("tokenizer", "transformer"):
        assert main(["train", stage, *common, "--out", str(tmp_path / "b"), "--start", str(tmp_path / "first" / "model")]) == 0
    second = checkpoints.load(tmp_path / "b" / "model")
    for part in ("tokenizer", "transformer"):
        ours, theirs = (getattr(model, part).state_dict() for model in (second, first))
        if part == "transformer":
            theirs["pos_1LC"] = torch.cat([theirs["pos_1LC"][:, :1], theirs["pos_1LC"][:, 5:]], 1)
            theirs["lvl_embed.weight"] = theirs["lvl_embed.weight"][[0, 2]]
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, atol=1e-3, rtol=1e-3, msg=name)
    again = ["train", "tokenizer", *common, "--out", str(tmp_path / "b")]
    capsys.readouterr()
    assert main(again) == 2 and "made with other settings" in capsys.readouterr().err  # without it, another run
    other = replace(further, tokenizer=replace(finer, vocab_size=12))
    monkeypatch.setitem(recipes.RECIPES, "small", other)
    capsys.readouterr()
    assert main(["train", "tokenizer", *common, "--out", str(tmp_path / "c"), "--start", str(tmp_path / "first" / "model")]) == 2
    assert "its quantize.embedding.weight is (24, 4), where this preset has (12, 4)" in capsys.readouterr().err


def test_fine_tuning_takes_any_classes_and_says_which_are_new(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    """New classes start from the mean of the known ones; a model with styles is started from as if any style were asked for."""
    config = ModelConfig(
        "small", replace(TINY_TOKENIZER, image_channels=3), replace(TINY_TRANSFORMER, num_styles=2), ("red", "bee", "cow"),
        style_names=("flat", "round"),
    )  # fmt: skip
    known = awake(Model.build(config))
    checkpoints.save(known, tmp_path / "known", torch.float32)
    start = ["--start", str(tmp_path / "known"), "--data", str(pictures), "--out", str(tmp_path / "run"), "--precision", "no"]
    assert main(["train", "transformer", *start, "--steps", "1", "--lr", "1e-9"]) == 0
    told = capsys.readouterr().err
    assert f"1 of 2 classes start from the mean of '{tmp_path / 'known'}': green" in told
    assert f"the tokenizer is that of '{tmp_path / 'known'}'" in told
    table = checkpoints.load(tmp_path / "run" / "model").transformer.class_emb.weight
    old = known.transformer.class_emb.weight + known.transformer.style_emb.weight[2]
    assert torch.allclose(table, torch.stack([old[:3].mean(0), old[0], old[3]]), atol=2e-3)
    assert main(["evaluate", "--model", str(tmp_path / "run" / "model"), "--data", str(pictures), "--samples", "100"]) == 0
    assert "psnr_db" in capsys.readouterr().out
    assert main(["evaluate", "--model", str(tmp_path / "run" / "model")]) == 2
    assert "was trained on 'pictures'; give its folder with --data" in capsys.readouterr().err


def test_scales_of_ones_own_make_another_size(small_recipe, pictures, tmp_path, monkeypatch, capsys):
    common = ["--preset", "small", "--data", str(pictures), "--out", str(tmp_path / "run"), "--precision", "no", "--steps", "2"]
    assert main(["train", "tokenizer", *common, "--patch-nums", "1,2,4"]) == 0
    assert main(["train", "transformer", *common]) == 0
    config = checkpoints.load_config(tmp_path / "run" / "model")
    assert config.tokenizer.patch_nums == (1, 2, 4) and config.tokenizer.image_size == 16
    # a preset whose coarse steps have more scales than these
    monkeypatch.setitem(recipes.RECIPES, "small", replace(small_recipe, coarse_scales=6))
    assert (
        main(["train", "transformer", *common, "--out", str(tmp_path / "b"), "--tokenizer", str(tmp_path / "run" / "model")]) == 0
    )
    assert main(["train", "tokenizer", *common, "--patch-nums", "1,x"]) == 2
    assert "patch_nums" in capsys.readouterr().err


def test_a_grey_model_starts_grey_pictures_alone(small_recipe, pictures, tiny_folder, tmp_path, capsys):
    common = ["--preset", "small", "--data", str(pictures), "--start", str(tiny_folder), "--precision", "no", "--steps", "1"]
    assert main(["train", "tokenizer", *common, "--out", str(tmp_path / "a")]) == 2
    assert "takes grey pictures, these are colour; add --grey" in capsys.readouterr().err
    assert main(["train", "tokenizer", *common, "--out", str(tmp_path / "b"), "--grey"]) == 0
    assert main(["train", "tokenizer", "--preset", "things-64", "--grey", "--out", str(tmp_path / "c")]) == 2
    assert "grey = True: must come with a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_compiled_run_learns_the_same(small_recipe, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "small", replace(small_recipe, alternate_share=0.0))  # one kernel: fewer to compile
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    common = ["--preset", "small", "--data", str(pictures), "--precision", "no"]
    assert main(["train", "tokenizer", *common, "--out", str(tmp_path / "run")]) == 0
    logs = []
    for name, options in (("plain", []), ("compiled", ["--compile"])):
        out = ["--out", str(tmp_path / name), "--tokenizer", str(tmp_path / "run" / "tokenizer")]
        assert main(["train", "transformer", *common, *out, *options]) == 0
        with open(tmp_path / name / "transformer" / "log.csv") as file:
            logs.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert logs[0] == pytest.approx(logs[1], rel=1e-3)
    plain, compiled = (load_file(tmp_path / name / "model" / checkpoints.WEIGHTS) for name in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
