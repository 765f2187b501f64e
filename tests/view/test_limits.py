"""The page of limits shows what the stored results say, and every experiment has a stored result."""

import json

import pytest

from var_mini.checkpoints import ASSETS
from var_mini.theory.__main__ import NAMES
from var_mini.view import limits

RESULTS = ASSETS / "results"
PAGE = ASSETS.parent / "docs" / "limits.md"


def test_every_table_of_the_page_is_what_the_results_give():
    text = PAGE.read_text(encoding="utf-8")
    assert {found[1] for found in limits.MARKED.findall(text)} == set(limits.TABLES)
    assert limits.refreshed(text, RESULTS) == text, "run `python -m var_mini.view.limits`"


def test_every_experiment_has_a_stored_result_with_its_machine_and_a_row():
    table = limits.limits_table(RESULTS)
    assert set(limits.PLACES) == set(NAMES)
    for name, (number, *_) in limits.PLACES.items():
        stored = json.loads((RESULTS / f"limits-{name}.json").read_text())
        assert stored["experiment"] == name and {"processor", "threads", "torch", "date"} <= set(stored["machine"])
        assert f"arxiv.org/abs/{number}), `{name}`" in table


def test_a_changed_result_changes_the_page(tmp_path):
    for path in RESULTS.glob("limits-*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    stored = json.loads((RESULTS / "limits-lora.json").read_text())
    stored["errors"][0]["relative_error"] = 0.123
    (tmp_path / "limits-lora.json").write_text(json.dumps(stored))
    page = "<!-- table: gradient-errors -->\nold\n<!-- end -->"
    assert "1.2e-01" in limits.refreshed(page, tmp_path) and "old" not in limits.refreshed(page, tmp_path)
    with pytest.raises(KeyError):
        limits.refreshed("<!-- table: nothing -->\n<!-- end -->", tmp_path)


def test_what_the_page_says_of_the_numbers_is_so():
    """The sentences around the tables, held against the stored numbers."""
    found = {name: json.loads((RESULTS / f"limits-{name}.json").read_text()) for name in NAMES}
    errors = {(e["bound"], e["degree"]): e["logits"] for e in found["var_pass"]["errors"]}
    assert errors[1.0, 6] < errors[1.0, 2] / 1000 and errors[3.0, 6] > errors[3.0, 2] / 10
    rows = {r["interpolation"]: r["largest"] for r in found["var_pass"]["interpolation"]}
    assert rows["bicubic"] > 1 == rows["nearest"] == rows["bilinear"]
    accuracy = found["circuits"]["accuracy"]
    assert accuracy["transformer"]["F20"][-1] < 0.3 and min(values[-1] for values in accuracy["gru"].values()) > 0.99
    assert {h["depth"] for h in found["circuits"]["heads"]} == {10} and all(h["equal"] == 1 for h in found["circuits"]["heads"])
    trained = {(t["norm"], t["degree"]): t for t in found["lora"]["trained"]}
    assert trained[4.0, 2]["diverged"] and not trained[1.0, 2]["diverged"] and not trained[4.0, None]["diverged"]
    series = found["forecasting"]["trained"]
    assert all(run["sign_accuracy"] == 0 for run in series["1 head"])
    assert all(run["sign_accuracy"] > 0.95 for name in ("2 heads", "4-head block with positions") for run in series[name])
    frozen = series["512 frozen heads, no positions"]
    assert all(run["train_nmse"] > 0.5 and run["sign_accuracy"] == 1 for run in frozen)  # a success by signs, no fit at all
    assert all(c["found"] == c["expected"] for c in found["fixed_points"]["counts"])
    coupled = {row["strength"]: row["found"] for row in found["fixed_points"]["coupling"]}
    assert min(coupled[0.1]) == 256 and max(coupled[0.3]) < 256
