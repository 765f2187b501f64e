"""The model in JavaScript against the one in PyTorch: the same noise, ids, pictures, attention and sentences. Needs Node."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TOKENIZER, awake
from var_mini import checkpoints, ui
from var_mini.analysis.editing import masks_per_scale, neighbouring_codes, picture_of_ids, tokenize_picture
from var_mini.analysis.inspection import attention_blocks, attention_row, attention_sum
from var_mini.config import ModelConfig, Sampling, TransformerConfig
from var_mini.data.samples import load_samples
from var_mini.generation.sampling import exponential, noise_generators
from var_mini.model import Model
from var_mini.training.landmarks import calibrate
from var_mini.ui.export import area_matrix, bicubic_matrix, export
from var_mini.view.images import code_colours, to_uint8
from var_mini.view.payload import payload

ENGINES = Path(ui.__file__).parent / "engines"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="the engine is tested in Node, which is not installed")
MODES = ("exact", "poly-2", "landmark-16")
RUN = {"model": "styled", "label": 1, "style": 0, "seed": 5, "attention": "exact"}


@pytest.fixture(scope="module")
def styled() -> Model:
    """A tiny model with all that the engine knows: two conditions, two levels of convolutions, landmarks."""
    transformer = TransformerConfig(
        depth=2, width=32, heads=2, head_dim=8, num_classes=3, num_styles=2, mlp_ratio=2.8, shared_adaln=True
    )
    names = {"class_names": ("ant", "bee", "cow"), "style_names": ("ink", "oil")}
    sampling = Sampling(guidance=1.5, temperature=0.9, top_k=20, top_p=0.95)
    torch.manual_seed(0)
    model = awake(Model.build(ModelConfig("styled", TINY_TOKENIZER, transformer, sampling=sampling, **names)))
    images = torch.randint(256, (40, 1, 12, 12), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    calibrate(model, images, torch.tensor([[i % 3, i % 2] for i in range(40)]))
    return model


@pytest.fixture(scope="module")
def folder(styled, tmp_path_factory):
    """Exported models: the tiny one and two shipped ones."""
    root = tmp_path_factory.mktemp("engine")
    checkpoints.save(styled, root / "checkpoint", torch.float32)
    checkpoints.save_calibration(styled, root / "checkpoint")
    models = [export(name, root / "models") for name in (root / "checkpoint", "fashion-28", "things-16")]
    (root / "models" / "index.json").write_text(json.dumps({"models": models}))
    return root / "models"


def run(folder, *calls, product="wasm"):
    command = [NODE, str(Path(__file__).with_name("engine.mjs")), str(ENGINES), str(folder), product]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def loaded(name, folder):
    return checkpoints.load(folder.parent / "checkpoint" if name == "styled" else name)


def in_python(model, settings, **options):
    s = model.config.sampling
    sampling = Sampling(*(settings.get(name, getattr(s, name)) for name in ("guidance", "temperature", "top_k", "top_p")))
    how = {"attention": settings["attention"], "style": settings.get("style")}
    return model.trace(settings["label"], settings["seed"], sampling, **how, **options)


def same_json(ours, theirs, where=""):
    """Equal but for the last digits of measured and rounded numbers."""
    if isinstance(ours, dict):
        for key in ours:
            if key not in ("seconds", "image", "top", "top_colours"):
                same_json(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and ours and isinstance(ours[0], (dict, list)):
        assert len(ours) == len(theirs), where
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            same_json(*pair, f"{where}[{i}]")
    elif isinstance(ours, list) and ours and isinstance(ours[0], float):
        np.testing.assert_allclose(theirs, ours, atol=2e-4, err_msg=where)
    else:
        assert theirs == pytest.approx(ours) if isinstance(ours, float) else theirs == ours, where


def test_noise_is_that_of_python_bit_for_bit(folder):
    seeds = (0, 1, 987_654_321, 2**32 - 1)
    for seed, bits in zip(seeds, run(folder, *(["noise", seed, 5000] for seed in seeds)), strict=True):
        assert bits == exponential(noise_generators([seed]), 1, 5000).flatten().numpy().view(np.uint32).tolist()


@pytest.mark.parametrize("product", ["wasm", "plain"])
@pytest.mark.parametrize(("n", "k", "m"), [(1, 1, 1), (4, 8, 8), (5, 3, 17), (9, 33, 24)])
def test_both_products_are_matrix_products_of_float32_and_of_float16(folder, product, n, k, m):
    rng = np.random.default_rng(n * k * m)
    x, w, b = rng.normal(size=(n, k)), rng.normal(size=(k, m)), rng.normal(size=m)
    halves = w.astype(np.float16)
    both = [(False, w.flatten().tolist(), w), (True, halves.view(np.uint16).flatten().tolist(), halves.astype(np.float64))]
    calls = [["product", x.flatten().tolist(), given, b.tolist(), n, k, m, half] for half, given, _ in both]
    for found, (*_, weights) in zip(run(folder, *calls, product=product), both, strict=True):
        assert found["fast"] == (product == "wasm")
        np.testing.assert_allclose(found["y"], x @ weights + b, atol=1e-5)


@pytest.mark.parametrize("product", ["wasm", "plain"])
def test_every_finite_float16_is_widened_exactly(folder, product):
    bits = np.arange(2**16, dtype=np.uint16)
    bits = bits[np.isfinite(bits.view(np.float16))]
    (found,) = run(folder, ["product", [1.0], bits.tolist(), [0.0] * len(bits), 1, 1, len(bits), True], product=product)
    assert np.array_equal(np.array(found["y"][0]), bits.view(np.float16).astype(np.float64))


@pytest.mark.parametrize("product", ["wasm", "plain"])
def test_exponentials_and_gelu_are_their_formulas_to_the_last_digits_of_float32(folder, product):
    x = np.linspace(-80, 20, 4000, dtype=np.float32)
    (found,) = run(folder, ["curves", x.tolist(), 0], product=product)
    assert found["fast"] == (product == "wasm")
    exact = x.astype(np.float64)
    np.testing.assert_allclose(found["exponentials"], np.exp(exact), rtol=3e-7)
    gelu = 0.5 * exact * (1 + np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)))
    np.testing.assert_allclose(found["gelu"], gelu, rtol=1e-6, atol=1e-6)
    far = [-1000.0, -100.0, 3.0, 4.0]  # two of them where e^x is no float32 any more
    (found,) = run(folder, ["curves", far, 4], product=product)
    np.testing.assert_allclose(found["exponentials"], np.exp(np.array(far) - 4), rtol=3e-7, atol=1e-37)
    np.testing.assert_allclose(found["gelu"][:2], [0, 0], atol=1e-30)


@pytest.mark.skipif(shutil.which("wat2wasm") is None, reason="wat2wasm of the package wabt is not installed")
def test_the_binary_product_is_what_its_source_says(tmp_path):
    subprocess.run(["wat2wasm", str(ENGINES / "product.wat"), "-o", str(tmp_path / "product.wasm")], check=True)
    assert (tmp_path / "product.wasm").read_bytes() == (ENGINES / "product.wasm").read_bytes()


@pytest.mark.parametrize("side", [3, 7, 16])
def test_exported_matrices_enlarge_and_average_as_torch_does(side):
    for small in range(1, side + 1):
        x, full = torch.randn(1, 1, small, small), torch.randn(1, 1, side, side)
        up, down = bicubic_matrix(small, side), area_matrix(side, small)
        enlarged = torch.nn.functional.interpolate(x, size=(side, side), mode="bicubic")
        averaged = torch.nn.functional.interpolate(full, size=(small, small), mode="area")
        assert torch.allclose(up @ x[0, 0] @ up.T, enlarged[0, 0], atol=1e-5)
        assert torch.allclose(down @ full[0, 0] @ down.T, averaged[0, 0], atol=1e-5)


@pytest.mark.parametrize("product", ["wasm", "plain"])
def test_a_run_is_the_json_that_python_makes(folder, product):
    asked = [RUN | {"attention": attention, "style": style} for attention in MODES for style in (0, 2)]
    asked += [{"model": "fashion-28", "label": 7, "seed": 0, "attention": a} for a in ("exact", "poly-2", "landmark-32")]
    asked += [{"model": "things-16", "label": 40, "seed": 3, "attention": a} for a in ("exact", "poly-2", "landmark-32")]
    for settings, found in zip(asked, run(folder, *(["draw", s] for s in asked), product=product), strict=True):
        model = loaded(settings["model"], folder)
        trace = in_python(model, settings)
        ours = payload(trace, model.config, model.tokenizer.quantize.embedding.weight)
        if settings.get("style") == 0:
            ours["subject"] += " (ink)"
        same_json(ours, found)
        for step, scale in zip(ours["scales"], found["scales"], strict=True):
            assert np.abs(pixels(step) - pixels(scale)).max() <= 1  # of 255: a value may lie on the edge between two
            possible = np.array(step["top_probability"]) > 0  # which of the impossible codes is named says nothing
            assert (np.array(step["top"]) == np.array(scale["top"]))[possible].all()
            chosen = np.frombuffer(base64.b64decode(scale["top_colours"]), np.uint8).reshape(-1, 3)
            assert (chosen == colours(model)[np.array(scale["top"]).flatten()]).all()


def pixels(scale):
    return np.frombuffer(base64.b64decode(scale["image"]), np.uint8).astype(int)


def colours(model):
    return code_colours(model.tokenizer.quantize.embedding.weight)


OPTIONS = (
    {"guidance": 0.0},
    {"guidance": 7.5, "temperature": 0.5},
    {"temperature": 2.0, "top_k": 0, "top_p": 1.0},
    {"top_k": 1},
    {"top_k": 3, "top_p": 1.0},
    {"top_k": 0, "top_p": 0.4},
    {"top_p": 0.0},
    {"top_k": 10**6},
)


def test_every_sampling_option_gives_the_ids_of_python(folder, styled):
    asked = [RUN | options | {"seed": seed} for options in OPTIONS for seed in (0, 1, 2)]
    for settings, found in zip(asked, run(folder, *(["draw", s] for s in asked)), strict=True):
        trace = in_python(loaded("styled", folder), settings)
        assert [scale["ids"] for scale in found["scales"]] == [step.token_ids[0].tolist() for step in trace.steps], settings
        for scale, step in zip(found["scales"], trace.steps, strict=True):
            np.testing.assert_allclose(scale["entropy"], step.entropy[0], atol=2e-4)


@pytest.mark.parametrize("attention", MODES)
def test_attention_rows_are_those_of_python(folder, attention):
    settings, model = RUN | {"attention": attention}, loaded("styled", folder)
    trace = in_python(model, settings)
    record = {"model": "styled", "settings": settings, "scales": [{"ids": s.token_ids[0].tolist()} for s in trace.steps]}
    pyramid, flat = model.config.pyramid, torch.cat([step.token_ids[0] for step in trace.steps])
    places = [(layer, head, scale) for layer in range(2) for head in range(2) for scale in range(3)]
    tokens = [pyramid.slices[scale].stop - 1 for _, _, scale in places]
    calls = [["attention", record, {"layer": a, "head": h, "token": t}] for (a, h, _), t in zip(places, tokens, strict=True)]
    for (layer, head, scale), row in zip(places, run(folder, *calls), strict=True):
        weights = attention_row(model, flat, 1, scale, pyramid.counts[scale] - 1, attention, 0)[layer, head]
        assert row["level"] == scale
        np.testing.assert_allclose(row["weights"], weights, atol=1e-5)
        assert row["scale"] == pytest.approx(model.transformer.blocks[layer].attn.logit_scale()[head].item(), rel=1e-6)
        if attention == "exact":
            np.testing.assert_allclose(torch.tensor(row["logits"]).softmax(0), weights, atol=1e-5)


def test_the_sum_of_a_head_and_attention_from_scale_to_scale_are_those_of_python(folder):
    for attention in MODES:
        settings, model = RUN | {"attention": attention}, loaded("styled", folder)
        trace = in_python(model, settings)
        record = {"model": "styled", "settings": settings, "scales": [{"ids": s.token_ids[0].tolist()} for s in trace.steps]}
        flat = torch.cat([step.token_ids[0] for step in trace.steps])
        row, blocks = run(folder, ["attention", record, {"layer": 1, "head": 0, "token": 9}], ["blocks", record])
        ours = attention_sum(model, flat, 1, 2, 4, 1, 0, attention, 0)
        if attention == "exact":
            np.testing.assert_allclose(np.reshape(row["values"], (-1, row["dim"])), ours.values, atol=1e-5)
            np.testing.assert_allclose(row["output"], ours.output, atol=1e-5)
        assert ("values" in row) == row["exact"]
        shares = np.frombuffer(base64.b64decode(blocks["weights"]), np.uint16).reshape(blocks["shape"]) / 65535
        np.testing.assert_allclose(shares, attention_blocks(model, flat, 1, attention, 0).clamp(0, 1), atol=2e-5)


def test_a_code_and_the_others_in_its_place_are_those_of_python(folder):
    model, trace = loaded("styled", folder), in_python(loaded("styled", folder), RUN)
    ids = [step.token_ids[0] for step in trace.steps]
    record = {"model": "styled", "settings": RUN, "scales": [{"ids": one.tolist()} for one in ids]}
    code, others = run(folder, ["code", record, {"scale": 1, "index": 2}], ["candidates", record, {"scale": 1, "index": 2}])
    own, codebook = int(ids[1][2]), model.tokenizer.quantize.embedding.weight.detach()
    np.testing.assert_allclose(code["vector"], codebook[own], atol=1e-6)
    with torch.inference_mode():
        full = model.tokenizer.decode(model.tokenizer.quantize.contribution(torch.full((1, 9), own), 2))[0]  # a map full of it
    assert code["side"] == 4
    assert np.abs(np.reshape(code["patch"], (4, 4, 3)) - to_uint8((full[:, 4:8, 4:8] + 1) / 2).astype(int)).max() <= 1
    order, _ = neighbouring_codes(codebook, own)
    assert others["codes"] == [own, *order[:8].tolist(), *order[-4:].tolist()]
    assert np.array_equal(np.reshape(others["colours"], (-1, 3)), code_colours(codebook)[others["codes"]])
    for number, image in zip(others["codes"], others["images"], strict=True):
        changed = [one.clone() for one in ids]
        changed[1][2] = number
        wanted = to_uint8(picture_of_ids(model, changed).image[0]).astype(int)
        assert np.abs(np.reshape(image, wanted.shape) - wanted).max() <= 1


def test_an_edit_keeps_the_tokens_outside_its_mask(folder):
    model, mask = loaded("styled", folder), torch.tensor([[0, 0, 0], [0, 1, 1], [0, 1, 1]], dtype=torch.bool)
    trace = in_python(model, RUN)
    record = {"sides": [1, 2, 3], "scales": [{"side": s.side, "ids": s.token_ids[0].tolist()} for s in trace.steps]}
    inside = masks_per_scale(mask, model.config.pyramid.patch_nums)
    (forced,) = run(folder, ["forcedOutside", record, mask.flatten().tolist()])
    assert [scale["where"] for scale in forced] == [(~where).tolist() for where in inside]
    other = RUN | {"label": 2, "seed": 9}
    (found,) = run(folder, ["edit", other | {"forced": forced}])
    given = [(step.token_ids[0], ~where) for step, where in zip(trace.steps, inside, strict=True)]
    assert [s["ids"] for s in found["scales"]] == [s.token_ids[0].tolist() for s in in_python(model, other, forced=given).steps]


@pytest.mark.parametrize("name", ["fashion-28", "things-16"])
def test_a_picture_is_taken_apart_into_the_same_tokens(folder, name):
    model = loaded(name, folder)
    samples = load_samples(model.config)[:4]
    calls = []
    for sample in samples:
        rgb = (sample.image * 255).round().to(torch.uint8).expand(3, -1, -1)
        rgba = torch.cat([rgb, torch.full_like(rgb[:1], 255)]).permute(1, 2, 0)
        calls.append(["tokenize", name, {"width": rgba.shape[1], "height": rgba.shape[0], "data": rgba.flatten().tolist()}])
    for sample, found in zip(samples, run(folder, *calls), strict=True):
        steps = tokenize_picture(model, sample.image).steps
        assert [scale["ids"] for scale in found["scales"]] == [step.token_ids[0].tolist() for step in steps]


def test_a_stopped_run_leaves_the_engine_ready(folder):
    before, stopped, after = run(folder, ["draw", RUN], ["stopped", RUN], ["draw", RUN])
    assert stopped == {"name": "AbortError", "seen": [1, 2]}
    assert [s["ids"] for s in after["scales"]] == [s["ids"] for s in before["scales"]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": "none"}, "model = \"none\": must be one of styled, fashion-28, things-16."),
        ({"label": 3}, "class = 3: must be a whole number from 0 to 2."),
        ({"class": "dog"}, "class = \"dog\": must be a whole number from 0 to 2."),
        ({"style": "pen"}, "style = \"pen\": must be a whole number from 0 to 2."),
        ({"seed": 2**32}, "seed = 4294967296: must be a whole number from 0 to 4294967295."),
        ({"seed": None}, "seed = null: must be a whole number from 0 to 4294967295."),
        ({"seed": "1e99"}, "seed = \"1e99\": must be a whole number"),
        ({"temperature": 0}, "temperature = 0: must be a number from 0.01 to 10."),
        ({"guidance": "x"}, "guidance = \"x\": must be a number from 0 to 100."),
        ({"attention": "pool-2"}, "attention = \"pool-2\": here it must be one of exact, poly-2, landmark-16"),
        ({"forced": [1]}, "forced: must hold ids and where of every scale, 1, 4, 9 of them."),
    ],
)  # fmt: skip
def test_bad_settings_end_in_one_sentence(folder, change, sentence):
    (found,) = run(folder, ["draw", RUN | change])
    assert found["error"].startswith(sentence)


def test_bad_files_end_in_one_sentence(folder, tmp_path):
    weights = (folder / "styled" / "model.safetensors").read_bytes()
    infinite = bytearray((folder / "fashion-28" / "model.safetensors").read_bytes())
    infinite[-2:] = np.array([np.inf], np.float16).tobytes()
    spoilt = {
        "cut off": weights[: len(weights) // 2],
        "is no model file": b"GIF89a, not a model",
        "does not fit the model": (folder / "things-16" / "model.safetensors").read_bytes(),
        "no model file, or was cut off": b"",
    }
    for number, (sentence, content) in enumerate(spoilt.items()):
        target = tmp_path / str(number)
        shutil.copytree(folder, target)
        (target / "styled" / "model.safetensors").write_bytes(content)
        bad, good = run(target, ["draw", RUN], ["draw", {"model": "things-16", "class": 0}])
        assert sentence in bad["error"] and "\n" not in bad["error"]
        assert len(good["scales"]) == 4  # another model still draws
    assert json.loads((folder / "styled" / "model.json").read_text())["format"] == "var-mini-browser-1"
    (target / "fashion-28" / "model.safetensors").write_bytes(infinite)
    assert "holds numbers that are not finite" in run(target, ["draw", {"model": "fashion-28", "class": 0}])[0]["error"]


def test_a_model_that_the_engine_cannot_compute_is_refused(tiny_folder, tmp_path):
    with pytest.raises(ValueError, match=r"model = 'tiny': the engine in JavaScript needs shared AdaLN"):
        export(tiny_folder, tmp_path)
