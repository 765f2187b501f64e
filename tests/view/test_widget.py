"""The explorer as a widget, without a browser: what it sends, what it answers, and what stands in for it."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini.analysis.inspection import attention_blocks, attention_row
from var_mini.view.widget import answer, explorer


@pytest.fixture(scope="module")
def trace(tiny):
    return tiny.trace(1, 5)


@pytest.fixture
def widget(tiny, trace):
    return explorer(tiny, trace)


def asked(widget, content) -> dict:
    """Sends a message as the browser does and returns what goes back."""
    sent = []
    widget.send = sent.append
    widget._handle_custom_msg(content, [])
    assert len(sent) == 1
    return sent[0]


def weights(answered) -> torch.Tensor:
    shares = np.frombuffer(base64.b64decode(answered["weights"]), "<u2").astype(np.float64) / 65535
    return torch.from_numpy(shares).reshape(answered["shape"])


def test_it_carries_the_run_and_its_words(widget, trace):
    assert [scale["ids"] for scale in widget.run["scales"]] == [step.token_ids[0].tolist() for step in trace.steps]
    assert widget.run["subject"] == "bee" and set(widget.words) == {"en", "zh"}
    used = set(re.findall(r"words\.(\w+)", widget._esm))
    assert len(used) > 30 and used == set(widget.words["en"]) == set(widget.words["zh"])


def test_a_click_on_a_token_is_answered_with_its_row(widget, tiny, trace):
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    answered = asked(widget, {"number": 3, "kind": "row", "scale": 2, "token": 4})
    assert answered["number"] == 3
    assert torch.allclose(weights(answered), attention_row(tiny, ids, 1, 2, 4).double(), atol=1 / 65535)
    answered = asked(widget, {"number": 4, "kind": "blocks"})
    assert torch.allclose(weights(answered), attention_blocks(tiny, ids, 1).double(), atol=1 / 65535)


@pytest.mark.parametrize(
    "content",
    [
        None, [], "row", {}, {"kind": "row"}, {"kind": "row", "scale": 9, "token": 0}, {"kind": "row", "scale": 0, "token": 1},
        {"kind": "row", "scale": True, "token": 0}, {"kind": "row", "scale": float("nan"), "token": 0}, {"kind": ["row"]},
        {"kind": "row", "scale": "2", "token": [1]}, {"kind": "__class__"},
    ],
)  # fmt: skip
def test_a_foreign_question_is_answered_with_an_error(tiny, trace, content):
    told = answer(tiny, trace, content)
    assert "must be" in told["error"] and "weights" not in told


def test_another_run_in_the_same_place(widget, tiny):
    other = tiny.trace(2, 6)
    widget.show(other)
    assert widget.run["subject"] == "cow"
    ids = torch.cat([step.token_ids[0] for step in other.steps])
    answered = asked(widget, {"number": 1, "kind": "row", "scale": 1, "token": 0})
    assert torch.allclose(weights(answered), attention_row(tiny, ids, 2, 1, 0).double(), atol=1 / 65535)
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
