"""`python -m demo.measure`: what it prints, and what it says where it cannot measure."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import numpy as np
import pytest

from demo import measure, memory, runs
from var_mini import checkpoints

TIME = {"type": "number", "exclusiveMinimum": 0}
SPREAD = {"type": "number", "minimum": 0}
TIMES = ("server_start_s", "first_paint_s", "lcp_s", "click_to_first_scale_s", "click_to_final_s", "token_click_s")
MODELS = ["fashion-28", "fashion-28-bounded"]  # two of the shipped ones: each is drawn with in the same way
IN_SIGHT = {size: {"const": True} for size in measure.VIEWPORTS}
BY_MODEL = {"type": "object", "minProperties": 1, "additionalProperties": TIME}
SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys([*TIMES, "server_first_start_s", "first_paint_of_first_visitor_s"], TIME),
        **dict.fromkeys([f"{name}_spread" for name in TIMES], SPREAD),
        "click_to_final_by_model": BY_MODEL,
        "first_click_to_final_by_model": BY_MODEL,
        "picture_in_first_screen": {"type": "object", "properties": IN_SIGHT, "required": list(IN_SIGHT)},
        "plays_on_load": {"const": True},
        "bundle_kb": {"type": "number", "exclusiveMinimum": 0, "maximum": 400},
        "outside_requests": {"const": 0},
        "console_errors": {"const": 0},
        "outside_urls": {"const": []},
        "console_texts": {"const": []},
        "repetitions": {"const": 1},
        "model": {"const": MODELS[0]},
        "machine": {"type": "object", "required": ["processor", "threads", "device", "torch", "date"]},
    },
}
SCHEMA["required"] = list(SCHEMA["properties"])


def apart(arguments: list[str]) -> int:
    """The command in a thread of its own, since Playwright drives one browser per thread and the other tests' may be open."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(measure.main, arguments).result()


@pytest.mark.slow
def test_it_prints_one_object_with_every_figure(capsys, monkeypatch):
    pytest.importorskip("playwright.sync_api")
    monkeypatch.setattr(checkpoints, "available", lambda: MODELS)  # in this process; the server is another one
    if apart(["--repeat", "1", "--model", MODELS[0]]) == 2:
        told = capsys.readouterr().err
        assert "no browser" in told
        pytest.skip(told)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    jsonschema.validate(result, SCHEMA)
    assert result["click_to_final_s"] == result["click_to_final_by_model"][MODELS[0]]
    assert list(result["click_to_final_by_model"]) == MODELS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeat", "0"], "repeat = 0: must be a whole number from 1 to 100"),
        (["--repeat", "1000000000"], "repeat = 1000000000"),
        (["--memory", "0"], "memory = 0: must be a whole number from 1 to 100000"),
        (["--repeat", "nan"], "invalid int value"),
        (["--model", "no-such-model"], "model = 'no-such-model': must be one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message, capsys):
    try:
        code = measure.main(arguments)
    except SystemExit as stopped:  # how argparse leaves
        code = stopped.code
    assert code == 2 and message in capsys.readouterr().err


def test_without_a_browser_it_says_so(tmp_path, monkeypatch, capsys):
    pytest.importorskip("playwright.sync_api")
    monkeypatch.setattr(measure, "SYSTEM_CHROMIUM", str(tmp_path / "chromium"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert apart(["--repeat", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("demo.measure: no browser") and "apt install chromium" in error and error.count("\n") == 1


def test_without_playwright_it_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    assert measure.main(["--repeat", "1"]) == 2
    assert "pip install -r requirements-dev.txt" in capsys.readouterr().err


def test_a_server_that_ends_is_an_error_with_its_words(tmp_path, monkeypatch):
    """In place of the page a program that refuses its model as the page does (see test_page), but at once."""
    (tmp_path / "demo.py").write_text("import sys\nprint('refused:', sys.argv[-1])\nsys.exit(2)\n")
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match=r"ended with code 2.*refused: no-such-model"), measure.serve("no-such-model"):
        pass


@pytest.mark.slow
def test_memory_is_read_before_and_after_so_many_runs(server, monkeypatch):
    told = []
    monkeypatch.setattr(checkpoints, "available", lambda: ["fashion-28"])
    monkeypatch.setattr(memory, "SETTLED_S", 0.0)
    found = memory.grown(server, os.getpid(), 4, told.append)  # the server is in this very process
    jsonschema.validate(found, {"required": ["every_kind_once_bytes"], "properties": {"runs": {"const": 4}}})
    assert found["grown_bytes"] == found["end_bytes"] - found["start_bytes"] and found["models"] == ["fashion-28"]
    drawn = [settings for settings in runs._RUNS if settings.seed >= 1_000_000]
    assert len(drawn) == 4 and len({settings.attention for settings in drawn}) == 3
    with pytest.raises(RuntimeError, match="memory of another process"):
        memory.resident(2**30)


def test_medians_and_spreads():
    values = [3.0, 1.0, 2.0, 10.0, 4.0]
    low, middle, high = np.percentile(values, (25, 50, 75))
    assert measure._median("x", values) == {"x": middle, "x_spread": high - low}
    assert measure._median("x", [2.0]) == {"x": 2.0, "x_spread": 0.0}


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://127.0.0.1:5000/config", True),
        ("data:image/png;base64,AA", True),
        ("blob:http://127.0.0.1:5000/1", True),
        ("http://127.0.0.1:5001/", False),
        ("https://fonts.example/x.css", False),
        ("http://127.0.0.1:5000.example/", False),
    ],
)
def test_what_counts_as_outside(url, inside):
    assert measure._inside(url, "http://127.0.0.1:5000/") is inside
