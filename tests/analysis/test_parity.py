"""Numbers of the official implementation, and the command that shows them."""

import json

import numpy as np
import pytest

from var_mini.__main__ import main
from var_mini.analysis.parity import TOLERANCE, compare, rule

FILES = ["official_adaln.npz", "official_shared_adaln.npz"]


@pytest.fixture
def data(request):
    return request.path.parents[1] / "data"


@pytest.mark.parametrize("name", FILES)
def test_golden_arrays_are_reproduced(data, name):
    result = compare(data / name)
    assert result["ids_equal"] and result["generated_ids_equal"] and result["ok"]
    with np.load(data / name) as golden:
        floats = {key for key in golden.files if golden[key].dtype == np.float32} - {"image"}
    assert set(result["max_abs"]) == floats  # everything the file records is compared
    assert max(result["max_abs"].values()) <= TOLERANCE


@pytest.mark.parametrize("key", ["teacher_forced_logits", "reconstruction", "token_ids", "generated_ids"])
def test_one_changed_entry_is_noticed(data, tmp_path, capsys, key):
    arrays = dict(np.load(data / FILES[0]))
    arrays[key] = arrays[key].copy()
    arrays[key].flat[-1] += 1
    np.savez(tmp_path / "changed.npz", **arrays)
    assert main(["parity", str(tmp_path / "changed.npz"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] is False


def test_the_command_prints_one_json_object_last(data, capsys):
    assert main(["parity", str(data / FILES[0]), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["ok"] is True and {"ids_equal", "generated_ids_equal", "max_abs", "machine"} <= set(result)


def test_the_rule_fills_every_kind_of_tensor():
    assert rule("blocks.0.attn.scale_mul_1H11", (1, 2000, 1, 1)).mean() == pytest.approx(np.log(4), abs=0.05)
    assert rule("encoder.norm_out.weight", (2000,)).mean() == pytest.approx(1, abs=0.02)
    assert rule("head.bias", (2000,)).std() == pytest.approx(0.1, rel=0.1)
    assert rule("blocks.1.ada_gss", (1, 1, 6, 500)).std() == pytest.approx(0.5, rel=0.1)
    assert rule("head.weight", (50, 400)).std() == pytest.approx(1 / 20, rel=0.1)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"], ids=["empty", "text", "broken zip"])
def test_a_foreign_file_is_bad_input(tmp_path, capsys, content):
    path = tmp_path / "file.npz"
    path.write_bytes(content)
    assert main(["parity", str(path)]) == 2
    assert "file.npz" in capsys.readouterr().err
    assert main(["parity", str(tmp_path / "missing.npz")]) == 2


def test_a_file_without_an_entry_is_bad_input(data, tmp_path, capsys):
    arrays = dict(np.load(data / FILES[0]))
    del arrays["label"]
    np.savez(tmp_path / "short.npz", **arrays)
    assert main(["parity", str(tmp_path / "short.npz")]) == 2
    assert "label" in capsys.readouterr().err
