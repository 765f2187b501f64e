"""Checkpoints survive saving; every damaged, foreign or unsafe file is refused by name."""

import json
import pickle
from pathlib import Path

import pytest
import torch
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
    "config unknown entry": (edit_config(lambda c: c.update(evil=1)), "unknown entries: evil"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tiny_folder, tmp_path, name):
    change, message = DAMAGE[name]
    with pytest.raises(ValueError, match=message):
        checkpoints.load(damaged(tiny_folder, tmp_path, change))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"model = 'nonesuch': must be one of .*var_d16"):
        checkpoints.load("nonesuch")


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
