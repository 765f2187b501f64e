"""The explorer as a widget, without a browser: what it sends, what it answers, and what stands in for it."""

import base64
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER, awake
from var_mini.analysis.inspection import attention_blocks, attention_row
from var_mini.config import ModelConfig
from var_mini.model import Model
from var_mini.view.widget import UI, answers, explorer


@pytest.fixture(scope="module")
def trace(tiny):
    return tiny.trace(1, 5)


@pytest.fixture
def widget(tiny, trace):
    return explorer(tiny, trace)


def asked(widget, content) -> list[dict]:
    """Sends a message as the browser does and returns what goes back."""
    sent = []
    widget.send = sent.append
    widget._handle_custom_msg(content, [])
    return sent


def about(trace, **rest) -> dict:
    """A question about a run, as engines/kernel.js asks it."""
    settings = {name: value for name, value in trace.settings.items() if not isinstance(value, list)}
    return {"number": 3, "settings": settings, "ids": [step.token_ids[0].tolist() for step in trace.steps], **rest}


def floats(text: str) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").copy())


def test_it_carries_the_run_the_words_of_the_page_and_its_bundle(widget, trace):
    assert [scale["ids"] for scale in widget.run["scales"]] == [step.token_ids[0].tolist() for step in trace.steps]
    assert widget.run["subject"] == "bee" and widget.words == json.loads((UI / "words.json").read_text())
    assert widget._esm == (UI / "dist" / "notebook.js").read_text() and widget._css == (UI / "style.css").read_text()


def test_a_click_on_a_token_is_answered_with_its_attention(widget, tiny, trace):
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    (answered,) = asked(widget, about(trace, kind="attention", scale=2, token=4, layer=1, head=0))
    assert answered["number"] == 3 and answered["dim"] == tiny.config.transformer.head_dim
    weights = floats(answered["weights"])
    assert torch.allclose(weights, attention_row(tiny, ids, 1, 2, 4)[1, 0], atol=1e-6)
    values = floats(answered["values"]).reshape(len(weights), -1)
    assert torch.allclose(weights @ values, floats(answered["output"]), atol=1e-5)
    (answered,) = asked(widget, about(trace, kind="blocks"))
    shares = np.frombuffer(base64.b64decode(answered["weights"]), "<u2").astype(np.float64) / 65535
    assert np.allclose(shares.reshape(answered["shape"]), attention_blocks(tiny, ids, 1), atol=1 / 65535)
    (answered,) = asked(widget, {"number": 4, "kind": "code", "code": 3})
    assert torch.equal(floats(answered["vector"]), tiny.tokenizer.quantize.embedding.weight[3].detach())


def test_attention_is_that_of_the_run_s_style():
    """Of a model with styles the row depends on the style that was drawn."""
    config = ModelConfig("styled", TINY_TOKENIZER, replace(TINY_TRANSFORMER, num_styles=2), style_names=("flat", "round"))
    styled = awake(Model.build(config))
    trace = styled.trace(1, 5, style=1)
    (told,) = answers(styled, about(trace, kind="attention", scale=1, token=2, layer=0, head=1))
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    rows = [attention_row(styled, ids, 1, 1, 2, style=style)[0, 1] for style in (0, 1)]
    assert torch.allclose(floats(told["weights"]), rows[1], atol=1e-6) and not torch.allclose(rows[0], rows[1], atol=1e-4)


def test_a_new_seed_is_drawn_scale_by_scale_and_becomes_the_widget_s_run(widget, tiny, trace):
    sent = asked(widget, {"number": 7, "kind": "draw", "settings": trace.settings | {"seed": 6}})
    wanted = [step.token_ids[0].tolist() for step in tiny.trace(1, 6).steps]
    assert [len(told["run"]["scales"]) for told in sent] == [1, 2, 3] and {told["number"] for told in sent} == {7}
    assert [scale["ids"] for scale in sent[-1]["run"]["scales"]] == wanted
    assert [scale["ids"] for scale in widget.run["scales"]] == wanted and widget.trace.settings["seed"] == 6


@pytest.mark.parametrize(
    "content",
    [
        None, [], "row", {}, {"kind": "row"}, {"kind": ["code"]}, {"kind": "__class__"},
        {"kind": "attention"}, {"kind": "code", "code": 99},
        {"kind": "code"}, {"kind": "draw"}, {"kind": "draw", "settings": {"label": 1}}, {"kind": "draw", "settings": []},
    ],
)  # fmt: skip
def test_a_foreign_question_is_answered_with_an_error(tiny, content):
    (told,) = answers(tiny, content)
    assert "must be" in told["error"] and set(told) == {"number", "error"}


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 9}, {"scale": 0, "token": 1}, {"scale": True}, {"scale": float("nan")}, {"scale": "2"},
        {"layer": 2}, {"head": None},
        {"ids": None}, {"ids": [[0]]}, {"ids": [[0], [0] * 4, [99] * 9]}, {"settings": None}, {"settings": {"label": [1, 2]}},
    ],
)  # fmt: skip
def test_a_question_out_of_range_is_answered_with_an_error(tiny, trace, change):
    (told,) = answers(tiny, about(trace, kind="attention", **({"scale": 2, "token": 4, "layer": 0, "head": 0} | change)))
    assert "must be" in told["error"] and "weights" not in told


def test_of_a_batch_the_first_picture_is_shown_with_its_own_settings(tiny):
    widget = explorer(tiny, tiny.trace([2, 1], [8, 9]))
    assert (widget.run["subject"], widget.run["settings"]["label"], widget.run["settings"]["seed"]) == ("cow", 2, 8)


def test_another_run_in_the_same_place(widget, tiny):
    other = tiny.trace(2, 6)
    widget.show(other)
    assert widget.run["subject"] == "cow"
    other.steps.pop()
    with pytest.raises(ValueError, match="trace has sides"):
        widget.show(other)


def test_a_picture_stands_in_where_no_widget_runs(widget):
    data, about = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "bee" in data["text/plain"] and about["image/png"]["alt"] == data["text/plain"]
    with Image.open(io.BytesIO(data["image/png"])) as picture:
        assert picture.format == "PNG" and picture.width > 100 and picture.convert("L").getextrema()[0] < 250


def test_neither_the_library_nor_the_widget_file_imports_widgets():
    code = (
        "import sys, var_mini, var_mini.checks, var_mini.view.widget, var_mini.view.plates;"
        "slow = {'anywidget', 'ipywidgets', 'matplotlib', 'gradio', 'IPython'} & set(sys.modules); assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
