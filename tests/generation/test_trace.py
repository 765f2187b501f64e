"""A trace survives saving; a damaged or forged one is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from var_mini import checkpoints
from var_mini.generation import Sampling, Trace
from var_mini.generation.trace import ARRAYS


@pytest.fixture(scope="module")
def trace(tiny):
    return tiny.trace(1, 5, capture="blocks")


@pytest.fixture
def saved(trace, tmp_path):
    trace.save(tmp_path / "run.trace")
    return tmp_path / "run.trace"


def test_round_trip(trace, saved):
    read = Trace.load(saved)
    assert read.settings == trace.settings and read.seconds == pytest.approx(trace.seconds)
    for a, b in zip(read.steps, trace.steps, strict=True):
        for name in ARRAYS:
            assert torch.equal(getattr(a, name), getattr(b, name)), name
        assert (a.side, a.state_bytes, a.attention_kind) == (b.side, b.state_bytes, b.attention_kind)
    assert torch.equal(Trace.load(saved.read_bytes()).image, trace.image)


def test_settings_reproduce_the_run(tiny, tiny_folder, tmp_path):
    """All from the file: a run of far-from-default settings, rebuilt with nothing but what `settings` says."""
    model = checkpoints.load(tiny_folder)
    given = {"guidance": 3.5, "temperature": 1.7, "top_k": 9, "top_p": 0.8}
    model.trace([1, 0], [5, 6], Sampling(**given), attention="exact").save(tmp_path / "run.trace")
    read = Trace.load(tmp_path / "run.trace")
    s = dict(read.settings)
    assert s.pop("model") == tiny.config.name and given.items() <= s.items()
    label, seed, attention = s.pop("label"), s.pop("seed"), s.pop("attention")
    again = model.trace(label, seed, Sampling(**s), attention)
    assert all(torch.equal(a.token_ids, b.token_ids) for a, b in zip(again.steps, read.steps, strict=True))
    assert torch.equal(again.image, read.image)
    for name in given:  # every one of them matters here, so none can be lost unnoticed
        other = model.trace(label, seed, Sampling(**{k: v for k, v in s.items() if k != name}))
        assert not torch.equal(other.image, read.image), name


@pytest.mark.parametrize(
    ("label", "seed"), [(np.int64(1), np.int64(5)), (torch.tensor(1).numpy()[()], [np.uint32(5)]), ([np.int8(1)], 5)]
)
def test_numpy_integers_are_saved_as_plain_ones(tiny, trace, tmp_path, label, seed):
    tiny.trace(label, seed).save(tmp_path / "run.trace")
    read = Trace.load(tmp_path / "run.trace")
    flat = [np.ravel(read.settings[name]).tolist() for name in ("label", "seed")]
    assert flat == [[1], [5]] and torch.equal(read.image, trace.image)


def parts(saved):
    raw = saved.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return load(raw), json.loads(raw[8 : 8 + length])["__metadata__"]


def forge(saved, change) -> bytes:
    tensors, meta = parts(saved)
    change(tensors, meta)
    return save(tensors, metadata=meta)


FORGERIES = {
    "missing ids": lambda t, m: t.pop("1.token_ids"),
    "no final image": lambda t, m: t.pop("2.image"),
    "extra array": lambda t, m: t.update({"9.image": torch.zeros(1)}),
    "wrong length": lambda t, m: t.update({"2.token_ids": torch.zeros(1, 8, dtype=torch.int64)}),
    "negative id": lambda t, m: t.update({"2.token_ids": torch.full((1, 9), -1)}),
    "wrong type": lambda t, m: t.update({"2.token_ids": torch.zeros(1, 9)}),
    "nan": lambda t, m: t.update({"2.entropy": torch.full((1, 9), torch.nan)}),
    "another batch": lambda t, m: t.update({"2.token_ids": torch.zeros(2, 9, dtype=torch.int64)}),
    "no candidates": lambda t, m: t.update({"2.top_ids": torch.zeros(1, 9, 0, dtype=torch.int64)}),
    "image without pixels": lambda t, m: t.update({"2.image": torch.zeros(1, 0, 0, 0)}),
    "first image in colour": lambda t, m: t.update({"0.image": torch.zeros(1, 3, 12, 12)}),
    "last image in colour": lambda t, m: t.update({"2.image": torch.zeros(1, 3, 12, 12)}),
    "f_hat of other channels": lambda t, m: t.update({"1.f_hat": torch.zeros(1, 5, 3, 3)}),
    "no attention": lambda t, m: t.pop("1.attention"),
    "attention unannounced": lambda t, m: m.update(steps=m["steps"].replace('"blocks"', '"none"')),
    "attention of other scales": lambda t, m: t.update({"2.attention": torch.zeros(1, 2, 2, 2)}),
    "attention too flat": lambda t, m: t.update({"2.attention": torch.zeros(1, 2, 3)}),
    "attention of the other kind": lambda t, m: m.update(steps=m["steps"].replace('"blocks"', '"full"')),
    "deep settings": lambda t, m: m.update(settings="[" * 200_000),
    "deep steps": lambda t, m: m.update(steps="[" * 200_000),
    "foreign format": lambda t, m: m.update(format="other"),
    "no steps": lambda t, m: m.update(steps="[]"),
    "steps no list": lambda t, m: m.update(steps="7"),
    "broken json": lambda t, m: m.update(settings="{"),
    "sides not rising": lambda t, m: m.update(steps=m["steps"].replace('"side": 3', '"side": 2')),
    "huge side": lambda t, m: m.update(steps=m["steps"].replace('"side": 3', '"side": 1000000')),
    "infinite time": lambda t, m: m.update(steps=m["steps"].replace('"seconds_decoder": ', '"seconds_decoder": 1e999, "x": ')),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_is_refused(saved, name):
    with pytest.raises(ValueError, match=r"trace|patch_nums|seconds_decoder"):
        Trace.load(forge(saved, FORGERIES[name]))


@pytest.mark.parametrize("content", [b"", b"\x80\x04}q\x00.", b"PK", b"\xff" * 100], ids=["empty", "pickle", "zip", "noise"])
def test_foreign_bytes_are_refused(tmp_path, content):
    path = tmp_path / "x.trace"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="trace"):
        Trace.load(path)


def test_truncated_and_missing_files_are_refused(saved, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(ValueError, match="trace"):
        Trace.load(saved)
    with pytest.raises(ValueError, match="no such file"):
        Trace.load(tmp_path / "none")
