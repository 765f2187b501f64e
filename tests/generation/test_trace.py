"""A trace survives saving; a damaged or forged one is refused."""

import json

import pytest
import torch
from safetensors.torch import load, save

from var_mini.generation import Trace
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


def test_settings_reproduce_the_run(tiny, trace):
    s = trace.settings
    again = tiny.trace(s["label"], s["seed"])
    assert torch.equal(again.image, trace.image)


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
