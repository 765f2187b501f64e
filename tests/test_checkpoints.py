"""Checkpoints survive saving; every damaged, foreign or unsafe file is refused by name."""

import hashlib
import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.test_official_names import small
from var_mini import checkpoints, files


def test_round_trip(tiny, tmp_path):
    checkpoints.save(tiny, tmp_path / "m", dtype=torch.float32)
    read = checkpoints.load(tmp_path / "m")
    assert read.config == tiny.config
    for part in ("tokenizer", "transformer"):
        ours, theirs = getattr(read, part).state_dict(), getattr(tiny, part).state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
    *_, a = read.generate(1, 2)
    *_, b = tiny.generate(1, 2)
    assert torch.equal(a.image, b.image)


def test_half_precision_on_disk_computes_in_float32(tiny_folder):
    assert all(t.dtype == torch.float16 for t in load_file(tiny_folder / "model.safetensors").values())
    assert checkpoints.load(tiny_folder).transformer.head.weight.dtype == torch.float32


def test_tokenizer_alone(tiny, tiny_folder, tmp_path, tiny_images):
    checkpoints.save_tokenizer(tiny.tokenizer, tmp_path / "t")
    for folder, tolerance in ((tmp_path / "t", 0), (tiny_folder, 2e-2)):
        read = checkpoints.load_tokenizer(folder)
        torch.testing.assert_close(read.encode(tiny_images), tiny.tokenizer.encode(tiny_images), atol=tolerance, rtol=0)


def damaged(folder: Path, tmp_path: Path, change) -> Path:
    target = tmp_path / "damaged"
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    change(target)
    return target


def edit_weights(change):
    def run(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return run


def edit_config(change):
    def run(folder):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return run


def truncate(folder):
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[: len(raw) // 2])


DAMAGE = {
    "truncated": (truncate, "not a readable safetensors file"),
    "pickle": (lambda f: (f / "model.safetensors").write_bytes(pickle.dumps({"a": 1})), "not a readable safetensors file"),
    "missing tensor": (edit_weights(lambda t: t.pop("transformer.head.bias")), "missing transformer.head.bias"),
    "extra tensor": (edit_weights(lambda t: t.update({"tokenizer.x": torch.zeros(1)})), "extra tokenizer.x"),
    "foreign part": (edit_weights(lambda t: t.update({"other.x": torch.zeros(1)})), "extra other.x"),
    "misshapen": (edit_weights(lambda t: t.update({"transformer.head.bias": torch.zeros(7)})), r"head.bias has shape \(7,\)"),
    "nan": (edit_weights(lambda t: t["transformer.head.bias"].fill_(torch.nan)), "not finite: head.bias"),
    "integers": (edit_weights(lambda t: t.update({"transformer.head.bias": torch.zeros(24, dtype=torch.int32)})), "head.bias"),
    "config no json": (lambda f: (f / "config.json").write_bytes(b"\xff{"), "not a readable JSON file"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "must be a JSON object"),
    "config of another shape": (edit_config(lambda c: c["transformer"].update(width=64)), "has shape"),
    "config deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "not a readable JSON file"),
    "config unknown entry": (edit_config(lambda c: c.update(evil=1)), "unknown entries: evil"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tiny_folder, tmp_path, name):
    change, message = DAMAGE[name]
    with pytest.raises(ValueError, match=message):
        checkpoints.load(damaged(tiny_folder, tmp_path, change))


def test_a_config_of_terabytes_is_refused_without_asking_for_them(tiny_folder, tmp_path):
    huge = edit_config(lambda c: c["transformer"].update(width=65_536, depth=64, heads=1024, head_dim=64))
    with pytest.raises(ValueError, match=r"missing transformer\.blocks\.2\..*and \d+ more") as caught:
        checkpoints.load(damaged(tiny_folder, tmp_path, huge))
    assert str(caught.value).count(";") == 10
    small = edit_config(lambda c: c["tokenizer"].update(channels=4096, vocab_size=1 << 20))
    (tmp_path / "second").mkdir()
    folder = damaged(tiny_folder, tmp_path / "second", small)
    (folder / "model.safetensors").write_bytes(b"0123456789")
    for load in (checkpoints.load, checkpoints.load_tokenizer):
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            load(folder)


def test_loading_draws_no_random_number_and_leaves_nothing_without_a_value(tiny_folder):
    before = torch.random.get_rng_state()
    model = checkpoints.load(tiny_folder)
    assert torch.equal(torch.random.get_rng_state(), before)
    for part in (model.tokenizer, model.transformer):
        assert all(t.device.type == "cpu" for t in (*part.parameters(), *part.buffers()))


WRAPPED = {
    "distributed": lambda name: name.replace(".", ".module.", 1),
    "compiled": lambda name: "_orig_mod." + name,
    "compiled blocks": lambda name: name.replace("blocks.0.", "blocks.0._orig_mod."),
    "both": lambda name: "module._orig_mod." + name,
    "any prefix": lambda name: "student.net." + name,
}


@pytest.mark.parametrize("how", WRAPPED)
def test_what_other_trainers_put_around_names_is_taken_off(tiny_folder, tmp_path, how):
    def change(tensors):
        for name in list(tensors):
            tensors[WRAPPED[how](name)] = tensors.pop(name)

    read = checkpoints.load(damaged(tiny_folder, tmp_path, edit_weights(change)))
    for part in ("tokenizer", "transformer"):
        ours, theirs = getattr(read, part).state_dict(), getattr(checkpoints.load(tiny_folder), part).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_name_that_is_there_wrapped_and_bare_is_refused(tiny_folder, tmp_path):
    change = edit_weights(lambda t: t.update({"module.transformer.head.bias": t["transformer.head.bias"].clone()}))
    with pytest.raises(ValueError, match=r"has transformer\.head\.bias twice"):
        checkpoints.load(damaged(tiny_folder, tmp_path, change))


def test_of_many_foreign_names_ten_are_listed(tiny_folder, tmp_path):
    change = edit_weights(lambda t: t.update({f"tokenizer.extra{i}": torch.zeros(1) for i in range(40)}))
    with pytest.raises(ValueError, match="and 30 more") as caught:
        checkpoints.load(damaged(tiny_folder, tmp_path, change))
    assert str(caught.value).count("extra tokenizer") == 10


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"model = 'nonesuch': must be one of .*var_d16"):
        checkpoints.load("nonesuch")


def test_a_checkpoint_that_is_no_model_to_draw_with_is_called_as_the_command_calls_it():
    for load in (lambda: checkpoints.load_tokenizer("nonesuch"), lambda: checkpoints.find("nonesuch", "tokenizer")):
        with pytest.raises(ValueError, match=r"tokenizer = 'nonesuch': must be one of fashion-28, ") as caught:
            load()
        assert "var_d16" not in str(caught.value)
    with pytest.raises(ValueError, match="start = 'var_d16': published models cannot be trained further here"):
        checkpoints.load_tokenizer("var_d16", "start")


# -- calibrated tables belong to the weights that they were made of ----------------------------------------------------


@pytest.fixture
def calibrated(calibrated_folder, tmp_path):
    return Path(shutil.copytree(calibrated_folder, tmp_path / "calibrated"))


def landmarks(folder: Path) -> set[int]:
    """Those that a model has, loaded without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return set(checkpoints.load(folder).transformer.calibration.landmarks)


def test_a_save_keeps_the_tables_of_the_same_transformer_alone(calibrated):
    model = checkpoints.load(calibrated)
    with torch.no_grad():
        model.tokenizer.post_quant_conv.weight.add_(1)  # as `train decoder` does
    for dtype in (torch.float16, torch.float32):
        checkpoints.save(model, calibrated, dtype)
        assert landmarks(calibrated) == {16, 32, 64}
    with torch.no_grad():
        model.transformer.head.bias[0] += 1
    with pytest.warns(UserWarning, match=r"calibration\.safetensors was made for the weights .*landmarks --model .*calibrated"):
        checkpoints.save(model, calibrated)
    assert not (calibrated / checkpoints.CALIBRATION).exists() and landmarks(calibrated) == set()


def test_a_load_leaves_tables_of_other_weights_aside(calibrated):
    edit_weights(lambda t: t["transformer.head.bias"].add_(1))(calibrated)  # by whatever, such as a copied file
    with pytest.warns(UserWarning, match="was made for other weights, and is left aside; `python -m var_mini train landmarks"):
        model = checkpoints.load(calibrated)
    assert not model.transformer.calibration.landmarks and not model.transformer.calibration.coefficients
    with pytest.raises(ValueError, match="attention = 'landmark-16': this model has not been calibrated"):
        model.generate(0, 0, attention="landmark-16")
    checkpoints.save_calibration(checkpoints.load(calibrated, calibrated=False), calibrated)
    assert landmarks(calibrated) == set()  # an empty file, but one of these weights


def test_tables_of_an_older_file_that_does_not_say_whose_they_are_are_taken(calibrated):
    path = calibrated / checkpoints.CALIBRATION
    save_file(load_file(path), path)
    assert landmarks(calibrated) == {16, 32, 64}
    checkpoints.save(checkpoints.load(calibrated), calibrated)
    assert landmarks(calibrated) == {16, 32, 64}


@pytest.mark.parametrize("name", checkpoints.available())
def test_shipped_tables_say_that_they_are_of_the_shipped_weights(name):
    """SHA-256 over names and 16-bit values of the transformer, in the order of their names, from the file of weights."""
    folder = checkpoints.ASSETS / name
    weights = {
        n.removeprefix("transformer."): t for n, t in load_file(folder / checkpoints.WEIGHTS).items() if "transformer." in n
    }
    sha = hashlib.sha256()
    for key in sorted(weights):
        values = weights[key].numpy().astype(np.float16)
        sha.update(key.encode() + np.where(values == 0, np.float16(0), values).tobytes())
    with safe_open(folder / checkpoints.CALIBRATION, "pt") as file:
        assert file.metadata() == {"transformer": sha.hexdigest()[:16]}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic_write(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# -- published weights ---------------------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A folder of small files with the published names, and the state dicts in them. Loading is in test_official_names.py."""
    official = small()
    monkeypatch.setattr(checkpoints, "official_config", lambda name: official.config)
    for name, state in official.states.items():
        torch.save(state, tmp_path / name)
    return tmp_path, official.states


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.bias"), "missing head.bias"),
        (lambda s: s.update(surplus=torch.zeros(2)), "extra surplus"),
        (lambda s: s.update({"pos_start": torch.zeros(1, 2, 64)}), r"pos_start has shape \(1, 2, 64\), must be \(1, 1, 64\)"),
        (lambda s: s.update({"head.bias": "text"}), "must map names to tensors"),
        (lambda s: s.update({7: torch.zeros(2)}), "must map names to tensors"),
    ],
)
def test_a_published_file_that_does_not_fit_is_refused(published, change, message):
    folder, states = published
    change(states["var_d16.pth"])
    torch.save(states["var_d16.pth"], folder / "var_d16.pth")
    with pytest.raises(ValueError, match=message):
        checkpoints.load_official("var_d16", folder)


def nested(states: dict) -> dict:
    """As the published trainer saves: both models, the optimizer and more in one file."""
    var = {f"module.{name}": tensor for name, tensor in states["var_d16.pth"].items()}
    vae = states["vae_ch160v4096z32.pth"]
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.zeros(1)}}, "groups": [1]}
    return {"epoch": 3, "trainer": {"var_wo_ddp": var, "vae_local": vae, "var_opt": optimizer}, "args": {"depth": 16}}


def test_a_published_trainers_own_file_is_read(published):
    folder, states = published
    expected = checkpoints.load_official("var_d16", folder)
    (folder / "own").mkdir()  # not over the files themselves: tensors are read from them as they are used
    for name in states:
        torch.save(nested(states), folder / "own" / name)
    read = checkpoints.load_official("var_d16", folder / "own")
    for part in ("tokenizer", "transformer"):
        ours, theirs = getattr(read, part).state_dict(), getattr(expected, part).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_two_state_dicts_that_fit_alike_are_named(published):
    folder, states = published
    torch.save({"model": states["var_d16.pth"], "ema": states["var_d16.pth"]}, folder / "var_d16.pth")
    with pytest.raises(ValueError, match="has 2 state dicts that fit alike: model, ema"):
        checkpoints.load_official("var_d16", folder)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.write_bytes(pickle.dumps(Evil())),
        lambda p: torch.save({"a": Evil()}, p),
        lambda p: p.write_bytes(p.read_bytes()[:200]),
        lambda p: p.write_bytes(b""),
    ],
    ids=["pickle", "torch pickle", "truncated", "empty"],
)
def test_an_unsafe_or_broken_file_is_refused_and_not_run(published, monkeypatch, tmp_path, write):
    folder, _ = published
    monkeypatch.chdir(tmp_path)
    write(folder / "var_d16.pth")
    with pytest.raises(ValueError, match="not a readable state dict"):
        checkpoints.load_official("var_d16", folder)
    assert not (tmp_path / "evil-was-here").exists()


def test_a_missing_published_file_and_a_failed_download_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"has no file vae_ch160v4096z32\.pth"):
        checkpoints.load_official("var_d16", tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="could not be downloaded from the Hub repository FoundationVision/var"):
        checkpoints.load_official("var_d16")


@pytest.mark.parametrize(
    ("name", "depth", "tokens", "shared"), [("var_d16", 16, 680, False), ("var_d30", 30, 680, False), ("var_d36", 36, 2240, True)]
)
def test_published_configurations(name, depth, tokens, shared):
    config = checkpoints.official_config(name)
    t = config.transformer
    assert (t.depth, t.width, t.heads, t.head_dim, t.shared_adaln) == (depth, 64 * depth, depth, 64, shared)
    assert config.pyramid.tokens == tokens
