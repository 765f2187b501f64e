"""Anything to everything: wrong, huge and broken input at random to every listener, server function, link and trace file.

After each round one image is drawn as any visitor would, and is the library's.
"""

from __future__ import annotations

import json
import math
import traceback
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from demo import app, guard, runs
from demo.chapters import gallery
from tests.demo.wire import API, ROOT, Wire, forged, readable

PASSED_BY = ("guard.py", "gate.py", "line.py", "preview.py")  # every request passes these
FEW = settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],  # no shrinking: each round is a hundred requests
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def unforeseen():
    """Collects the exceptions that our own code did not foresee; Gradio's refusals of what is no call at all do not count."""
    found = []

    def log(error):
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        if any(
            Path(file).is_relative_to(ROOT / part)
            for file in files
            for part in ("demo", "var_mini")
            if Path(file).name not in PASSED_BY
        ):
            found.append(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "log", log)
        yield found


@pytest.fixture(scope="module")
def wire(tiny, unforeseen):
    page = app.launch(tiny, port=None, prevent_thread_lock=True, quiet=True)
    yield Wire(page, tiny)
    page.close()


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.sampled_from([1e9, 10**9, -1, 10**30, math.nan, math.inf, -math.inf, 0.5, -0.0, 1e-300])
    | st.text(max_size=30)
    | st.sampled_from(["", "x" * 50_000, "../../etc/passwd", "a\0b", "\u202e", "<img src=x onerror=alert(1)>"])
    | st.sampled_from(["exact", "poly-2", "landmark-64", "fashion-28", "var_d16", "/etc", "data:image/png;base64,AAAA"])
    | st.just({"__type__": "update", "value": 3})
    | st.just(forged("/etc/passwd"))
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)


def usual(component):
    """What a component sends when nobody has touched it."""
    value = getattr(component, "value", None)
    return value if isinstance(value, str | int | float | bool | None.__class__) else None


@st.composite
def inputs_of(draw, listener):
    """Mostly the usual values with one or two spoilt, so that what lies behind the first check is reached."""
    kind = draw(st.sampled_from(["one", "one", "two", "all", "count"]))
    if kind == "count":
        return draw(st.lists(ANYTHING, max_size=3))
    data = [usual(one) for one in listener.inputs]
    places = range(len(data)) if kind == "all" else draw(st.lists(st.integers(0, max(0, len(data) - 1)), min_size=1, max_size=2))
    for place in places:
        if data:
            data[place] = draw(ANYTHING)
    return data


@pytest.mark.slow
@settings(FEW, max_examples=4)
@given(data=st.data())
def test_every_listener_survives_anything(wire, unforeseen, data):
    for index, listener in wire.page.fns.items():
        if listener.fn is None:
            continue
        answer = wire.call(
            index,
            data.draw(inputs_of(listener), label=f"{index} {listener.name}"),
            event_data=data.draw(st.none() | ANYTHING) if data.draw(st.booleans()) else None,
        )
        if answer["status"] == 422:
            continue  # a shape that is no call at all; FastAPI says which part
        if "data" not in answer:
            readable(answer.get("error") or answer.get("detail"))
        assert unforeseen == []
    wire.still_right()


@pytest.mark.slow
@settings(FEW, max_examples=25)
@given(data=st.data())
def test_every_server_function_survives_anything(wire, tiny, data):
    good = {"settings": runs.checked(tiny, 0, 5, 0, 1, 0, 1).to_dict(), "scale": 0, "token": 0, "kind": "png"}
    good |= {"name": "norm", "value": 1}
    for number, block in wire.page.blocks.items():
        for function in getattr(block, "server_fns", []):
            query = data.draw(
                ANYTHING | st.dictionaries(st.sampled_from(list(good)), ANYTHING, max_size=3).map(lambda d: good | d)
            )
            body = {"data": query, "component_id": number, "session_hash": "f", "fn_name": function.__name__}
            status, answer = wire.ask("POST", f"{API}/component_server", body)
            assert status == 200, (function.__name__, query)
            told = json.loads(answer)
            if isinstance(told, dict) and "error" in told:
                readable(told["error"])
    wire.still_right()


def test_only_server_functions_can_be_called_from_the_browser(wire):
    for name in (
        "preprocess",
        "__init__",
        "launch",
        "postprocess",
        "__class__",
        "get_config",
        "value",
        "x" * 1000,
        None,
        7,
        ["row"],
    ):
        for number in (*list(wire.page.blocks)[:3], -1, 10**9, "0", None, [1]):
            body = {"data": {}, "component_id": number, "session_hash": "f", "fn_name": name}
            status, answer = wire.ask("POST", f"{API}/component_server", body)
            assert status >= 400 and b"Traceback" not in answer and str(ROOT).encode() not in answer, (name, number)


NAMES = ("model", "label", "seed", "guidance", "temperature", "top_k", "top_p", "attention", "scale")


@pytest.mark.slow
@settings(FEW, max_examples=15)
@given(
    query=st.dictionaries(st.sampled_from([*NAMES, "__theme", "x"]), LEAVES.map(lambda v: str(v)[:2000]), max_size=9),
    own=st.booleans(),
)
def test_a_tampered_link_opens_the_page(wire, unforeseen, tiny, query, own):
    if own:
        query = {
            "model": tiny,
            "label": "0",
            "seed": "1",
            "guidance": "0",
            "temperature": "1",
            "top_k": "0",
            "top_p": "1",
        } | query
    text = urlencode(query, errors="replace")
    status, answer = wire.ask("GET", f"/?{text}")
    assert status == 200 and b"gradio" in answer and b"Traceback" not in answer
    loads = [i for i, one in wire.page.fns.items() if any(event == "load" for _, event in one.targets) and one.fn is not None]
    assert loads
    for index in loads:
        answer = wire.call(index, [], f"?{text}")
        if "data" not in answer:
            readable(answer.get("error"))
    assert unforeseen == []


# -- trace files -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tiny) -> bytes:
    settings_ = runs.checked(tiny, 1, 3, 0, 1, 0, 1)
    return runs.trace(settings_).to_bytes()


@settings(FEW, max_examples=200)
@given(data=st.data())
def test_a_spoilt_trace_is_an_error_or_a_whole_run(whole, tiny, data):
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        # half of the flips hit the header, which says what the rest is
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(2000, len(content) - 1)))
        content[place] ^= data.draw(st.integers(1, 255))
    content = bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    content += data.draw(st.just(b"") | st.binary(max_size=20))
    try:
        run = gallery.open_trace(content)["run"]
    except gr.Error as error:
        readable(error.message[: guard.LONGEST])
        assert not error.print_exception
    else:
        assert [scale["side"] for scale in run["scales"]] == [1, 2, 3]
        assert all(0 <= i < 24 for scale in run["scales"] for i in scale["ids"])
        json.dumps(run)


NO_TRACES = (
    b"",
    b"\x80\x04\x95nonsense.",
    b"PK\x03\x04",
    b"\xff" * 9,
    b"\x08" + b"\0" * 7 + b"{}      ",
    None,
    7,
    [],
    "/etc/passwd",
    "no",
)


@pytest.mark.parametrize("content", NO_TRACES)
def test_what_is_no_trace_is_refused(content):
    with pytest.raises(gr.Error) as caught:
        gallery.open_trace(content)
    readable(caught.value.message)
    assert "root:" not in caught.value.message
