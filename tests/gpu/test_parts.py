"""The runner with parts that fail or hang, too little memory, the verdict on differing ids, and what is refused at once."""

import importlib
import json
import subprocess
import sys
import textwrap

import jsonschema
import pytest
import torch

from var_mini.__main__ import main
from var_mini.gpu import generate, merge, models, runner, scaling, timing
from var_mini.gpu.report import Report, write_json

from . import schemas

drawing = importlib.import_module("var_mini.generation.generate")  # the package has a function of this name
PART = """
    import json, os, sys, time
    checks = [{"name": "first", "ok": True, "detail": ""}]
    def save(state):
        found = {"part": sys.argv[1], "dry": True, "state": state, "seconds": 0, "checks": checks, "skipped": []}
        with open(sys.argv[2], "w") as file:
            json.dump(found | {"result": {"so_far": 1}}, file)
    save("running")
"""


@pytest.fixture
def part(monkeypatch):
    """Replaces what a part does by some lines, still in a process of its own, which starts without torch."""

    def replace(lines: str):
        code, popen = textwrap.dedent(PART) + textwrap.dedent(lines), subprocess.Popen
        monkeypatch.setattr(
            runner.subprocess, "Popen", lambda command, **how: popen([sys.executable, "-c", code, *command[3:]], **how)
        )

    return replace


def ended(tmp_path) -> dict:
    found = json.loads((tmp_path / "facts.json").read_text())
    jsonschema.validate(found, schemas.PART)
    return found


def test_a_part_that_crashes_leaves_what_it_had_and_fails_the_run(part, tmp_path, capsys):
    part("os._exit(7)")
    assert runner.run(tmp_path, only="facts", dry=True) == 1
    found = ended(tmp_path)
    assert found["state"] == "failed: exit status 7" and found["result"] == {"so_far": 1} and len(found["checks"]) == 1
    assert "facts     FAILED" in capsys.readouterr().out


def test_a_part_that_hangs_is_stopped_and_the_next_one_runs(part, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GRACE", 0.0)
    part("time.sleep(600 if sys.argv[1] == 'facts' else 0); save('finished')")
    assert runner.run(tmp_path, minutes=0.001, only="facts,speed", dry=True) == 1
    assert ended(tmp_path)["state"].startswith("failed: hung: stopped after")
    whole = json.loads((tmp_path / "gpu.json").read_text())
    assert not whole["parts"]["facts"]["ok"] and whole["parts"]["speed"]["ok"]


def test_a_failed_check_fails_the_run_and_is_named(part, tmp_path, capsys):
    part("checks.append({'name': 'ids', 'ok': False, 'detail': 'share 0.5'}); save('finished')")
    assert runner.run(tmp_path, only="facts", dry=True) == 1
    out = capsys.readouterr().out
    assert "ids: share 0.5" in out and "1/2 checks" in out


def test_a_file_of_an_earlier_run_does_not_pass_for_this_one(tmp_path, part):
    write_json(tmp_path / "facts.json", {"part": "facts", "state": "finished", "checks": []})
    part("os.unlink(sys.argv[2]); os._exit(1)")
    assert runner.run(tmp_path, only="facts", dry=True) == 1
    assert ended(tmp_path)["result"] == {} and ended(tmp_path)["checks"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dry", "--only", "kernels,speeed"], "part = 'speeed': must be one of facts, generate, kernels, scaling"),
        (["--dry", "--only", ""], "part = ''"),
        (["--dry", "--minutes", "0"], "minutes = 0"),
        (["--dry", "--minutes", "nan"], "minutes = nan"),
    ],
)
def test_bad_input_exits_with_two_and_one_line(tmp_path, capsys, arguments, message):
    assert main(["gpu", "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runner.subprocess, "Popen", lambda *given, **how: pytest.fail("a part was started"))
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", "/proc/none"):
        assert main(["gpu", "--dry", "--out", str(folder)]) == 2
        said = capsys.readouterr().err
        assert "cannot be written" in said and said.count("\n") == 1


def test_without_cuda_one_line_names_the_dry_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["gpu", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no CUDA device" in said and "gpu --dry --out FOLDER" in said and said.count("\n") == 1


def test_numbers_that_are_not_finite_become_null(tmp_path):
    write_json(tmp_path / "x.json", {"a": [float("nan"), float("inf"), 1.5], "b": {1: float("-inf")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, None, 1.5], "b": {"1": None}}


def test_too_little_memory_skips_a_size_and_names_it(tmp_path, monkeypatch):
    def full(*given, **how):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(scaling, "measure", full)
    report = Report(tmp_path / "scaling.json", "scaling", 60, dry=True)
    scaling.run(report)
    assert report.skipped and {entry["why"] for entry in report.skipped} <= {"too little memory"} | {
        entry["why"] for entry in report.skipped if "sdpa" in entry["what"] or "triton" in entry["what"]
    }
    memory = [entry["what"] for entry in report.skipped if entry["why"] == "too little memory"]
    assert "transformer, float32, head dimension 8, batch x heads 1, side 4: exact by sdpa" in memory
    assert [check["ok"] for check in report.checks] == [False]  # nothing at all was measured


def test_what_cannot_be_measured_has_a_reason():
    def refused():
        raise RuntimeError("No available kernel. Aborting execution.\nmore")

    assert timing.fitting(refused) == (None, "No available kernel. Aborting execution.")
    assert timing.fitting(lambda: {"a": 1}) == ({"a": 1}, "")


def test_measured_times_are_medians_of_all_runs(monkeypatch):
    spent = iter([0.5, 0.1, 0.3])
    monkeypatch.setattr(timing, "_by_clock", lambda run: next(spent))
    runs = []
    found = timing.measure(lambda: runs.append(1), torch.device("cpu"), seconds=0.55)
    assert found["median_s"] == 0.3 and found["rounds"] == 3 and found["spread_s"] == pytest.approx(0.2) and len(runs) == 2


class TestDifferingIds:
    """Two copies of one model; the second is changed, or its scores are."""

    def test_equal_copies_are_equal(self):
        found = generate.compare(models.tiny(), models.tiny(), "exact")
        assert found["share_equal"] == 1 and found["verdict"] == "equal" and found["first_scale"] is None

    def test_other_weights_are_a_fault(self):
        other = models.tiny()
        with torch.no_grad():
            other.transformer.head.weight.neg_()
        found = generate.compare(models.tiny(), other, "exact")
        assert found["verdict"] == "fault" and found["share_equal"] < 1 and found["first_scale"] is not None

    def test_the_same_logits_but_another_code_is_a_fault_with_its_gap(self, monkeypatch):
        """What a broken argmax or another noise would look like."""
        here, there, draw, calls = models.tiny(), models.tiny(), drawing.draw, []
        first = next(here.generate([0], [0], keep_logits=True))

        def shifted(filtered, generators):
            calls.append(1)
            ids = draw(filtered, generators)
            return (ids + 1) % filtered.shape[-1] if len(calls) == 3 else ids  # the first of the second copy's two scales

        monkeypatch.setattr(drawing, "draw", shifted)
        monkeypatch.setattr(generate, "IMAGES", 1)
        found = generate.compare(here, there, "exact")
        noise = torch.empty(1, 24).exponential_(generator=torch.Generator().manual_seed(0))
        scores = (first.logits[0] - noise.log())[0]
        code = int(scores.argmax())
        assert found["verdict"] == "fault" and found["first_scale"] == 1 and found["logits_differ_by"] == 0
        assert found["gap"] == pytest.approx((scores[code] - scores[(code + 1) % 24]).item(), abs=1e-5)

    def test_a_tie_is_told_from_a_fault(self, monkeypatch):
        """The second copy's logits differ by so much as decides between two codes."""
        monkeypatch.setattr(generate, "IMAGES", 1)
        monkeypatch.setattr(generate, "_gap", lambda *given: 3e-3)
        other = models.tiny()
        with torch.no_grad():
            other.transformer.head.bias[0] += 1e-3
        monkeypatch.setattr(torch, "equal", lambda a, b: False)
        found = generate.compare(models.tiny(), other, "exact")
        assert found["first_scale"] == 1 and 1e-4 < found["logits_differ_by"] < 2e-2 and found["verdict"] == "tie"
        monkeypatch.setattr(generate, "_gap", lambda *given: 0.5)
        assert generate.compare(models.tiny(), other, "exact")["verdict"] == "fault"


def test_the_headline_takes_the_best_of_the_low_rank_rows():
    rows = [
        {"method": "exact", "side": 16, "head_dim": 8, "speedup_vs_best_sdpa": 1.0},
        {"method": "poly-2", "side": 64, "head_dim": 8, "speedup_vs_best_sdpa": 2.5},
        {"method": "poly-2", "side": 16, "head_dim": 8, "speedup_vs_best_sdpa": None},
    ]
    part = {"ok": True, "state": "finished", "seconds": 3.0, "checks": 1, "failed": [], "skipped": []}
    line = merge.table({"parts": {"scaling": part}, "scaling": {"rows": rows}}, ["scaling"])
    assert line.endswith("3 rows; poly-2 at best 2.5x the fastest SDPA (side 64, head dimension 8)")
