"""What nobody should be able to do: read a file, skip or fill the queue, or be told of the server's inside."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import app, guard, runs, wording
from tests.demo.wire import API, JSON, ROOT, Wire, forged, readable

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
SECRET = b"the-marker-of-a-secret-file"


@pytest.fixture(scope="module")
def wire(tiny):
    page = app.launch(tiny, port=None, prevent_thread_lock=True, quiet=True)
    yield Wire(page, tiny)
    page.close()


# -- reading files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> list[str]:
    """Files that exist and that nobody may read: of the machine, of the repository, and one with a marker."""
    marked = tmp_path_factory.mktemp("outside") / "secret.txt"
    marked.write_bytes(SECRET)
    return [str(marked), str(ROOT / "demo" / "app.py"), str(ROOT / "README.md"), "/etc/passwd", "/proc/self/environ"]


def spellings(path: str) -> list[str]:
    """One path in the ways that slip past careless checks."""
    climb = "../" * 12 + path.lstrip("/")
    return [
        path,
        quote(path),
        quote(path, safe=""),
        quote(quote(path, safe=""), safe=""),
        climb,
        climb.replace("../", "..%2f"),
        climb.replace("../", "%2e%2e/"),
        climb.replace("../", "%252e%252e%252f"),
        climb.replace("../", "....//"),
        climb.replace("/", "\\").replace("\\", "%5c"),
        "/" + path,
        f"file://{path}",
        f"{path}%00.png",
        f".{path}",
    ]


ROUTES = (
    *("/file=", "/file/", "/static/", "/assets/", "/svelte/", "/"),
    *(f"{API}/{route}" for route in ("file=", "file/", "proxy=", "proxy=file://", "stream/a/b/0/", "deep_link/")),
    f"{API}/custom_component/0/client/component/",
)


def test_no_address_gives_a_file_away(wire, secrets):
    contents = [Path(path).read_bytes() for path in secrets[:4]]
    for route in ROUTES:
        for path in secrets:
            for spelling in spellings(path):
                for method in ("GET", "HEAD") if spelling == path else ("GET",):
                    status, answer = wire.ask(method, f"{route}{spelling}".replace(" ", "%20"))
                    assert not any(content[:200] in answer for content in contents), (route, spelling)
                    assert b"root:" not in answer and b"PATH=" not in answer, (route, spelling)
                    if route.endswith("file="):
                        assert status in (400, 403, 404), (route, spelling, status)


def test_an_uploaded_file_alone_can_be_read_back(wire):
    status, answer = wire.upload("picture.png", b"\x89PNG not really")
    assert status == 200
    (path,) = json.loads(answer)
    assert wire.ask("GET", f"{API}/file={path}")[1] == b"\x89PNG not really"
    beside = Path(path).parent / ".." / ".." / "nothing"
    assert wire.ask("GET", f"{API}/file={beside}")[0] in (403, 404)
    assert str(Path(path)).startswith(str(Path(wire.page.GRADIO_CACHE)))


@pytest.mark.parametrize(
    "address",
    [
        f"{API}/file=http://127.0.0.1:1/x",
        f"{API}/file=HTTPS://example.com/x",
        f"{API}/proxy=https://example.com/x",
        f"{API}/deep_link?session_hash=x",
        f"{API}/runs",
        f"{API}/run-history/buckets",
        f"{API}/vibe-code",
        f"{API}/token",
        f"{API}/dev/reload",
        "/monitoring",
        "/monitoring/summary",
        "/.git/config",
        "/docs",
        "/gradio_api",
    ],
)
def test_what_the_page_does_not_use_is_not_there(wire, address):
    status, answer = wire.ask("GET", address)
    assert status == 404 and json.loads(answer)["detail"] == EN["class_no_page"]


def test_no_listener_reads_a_file_that_was_not_uploaded(wire, tiny, tmp_path):
    """A trace and a picture that any handler would take gladly, but which lie outside of the uploads."""
    *_, run = list(runs.draw(runs.checked(tiny, 0, 5, 0, 1, 0, 1))), runs.checked(tiny, 0, 5, 0, 1, 0, 1)
    (tmp_path / "x.trace").write_bytes(runs.trace(run).to_bytes())
    Image.fromarray(np.full((12, 12, 3), 77, np.uint8)).save(tmp_path / "x.png")
    for index, listener in wire.page.fns.items():
        for place, component in enumerate(listener.inputs):
            for name in ("x.trace", "x.png"):
                for value in (forged(str(tmp_path / name)), [forged(str(tmp_path / name))], str(tmp_path / name)):
                    if not isinstance(component, gr.Image | gr.ImageEditor | gr.File | gr.UploadButton | gr.Gallery):
                        continue
                    data = [getattr(one, "value", None) for one in listener.inputs]
                    data[place] = value
                    answer = wire.call(index, data)
                    assert answer["status"] != 200 and "data" not in answer, (index, name)
                    readable(answer.get("error") or answer.get("detail"))


def test_a_file_is_not_fetched_from_an_address(wire):
    for index, listener in wire.page.fns.items():
        if listener.fn is not None and listener.inputs:
            answer = wire.call(index, [forged("http://127.0.0.1:1/x.png") for _ in listener.inputs])
            assert answer.get("error") == EN["class_no_address"], index


# -- sizes and turns -------------------------------------------------------------------------------------------------


def test_large_requests_are_refused_before_they_are_read(wire):
    status, answer = wire.upload("big.bin", b"0" * (guard.MAX_UPLOAD + 1))
    assert status == 413 and json.loads(answer)["detail"] == EN["class_too_large"]
    for address in ("queue/join", "run/predict", "call/generate", "component_server"):
        status, answer = wire.ask("POST", f"{API}/{address}", b"[" * (guard.MAX_BODY + 1), JSON)
        assert status == 413 and json.loads(answer)["detail"] == EN["class_too_large"]
    status, _ = wire.ask("POST", f"{API}/queue/join", b"0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    assert status == 411
    wire.still_right()


@pytest.mark.parametrize("name", ["../../../../tmp/x.png", "/etc/x", "a\0b", "x" * 5000, "CON", ".", "é<script>.png"])
def test_a_strange_name_of_an_upload_stays_in_its_folder(wire, name):
    status, answer = wire.upload(name.replace("\0", "%00"), b"content")
    if status == 200:
        (path,) = json.loads(answer)
        assert Path(path).resolve().is_relative_to(Path(wire.page.GRADIO_CACHE).resolve())


def test_deeply_nested_and_broken_bodies_are_answered(wire):
    for body in (
        b"[" * 100_000,
        b"{" * 1000,
        b"\xff\xfe",
        b"",
        b"null",
        b"7",
        b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ):
        for address in ("queue/join", "run/predict", "call/generate", "component_server", "cancel"):
            status, answer = wire.ask("POST", f"{API}/{address}", body, JSON)
            assert 400 <= status < 500, (address, body[:20], status)
            assert b"Traceback" not in answer and str(ROOT).encode() not in answer
    wire.still_right()


def test_the_queue_cannot_be_skipped(wire, tiny):
    body = {"data": [tiny, 0, 0, 0, 1, 0, 1, "exact"]}
    for address in ("run/generate", "api/generate"):
        status, answer = wire.ask("POST", f"{API}/{address}", body)
        assert status == 404 and b"scales" not in answer


def test_nobody_fills_the_queue_alone(wire, tiny):
    """One visitor holds at most so many places; somebody else still gets one."""
    (index,) = [i for i, listener in wire.page.fns.items() if listener.api_name == "generate"]
    held = wire.page._queue.event_queue_per_concurrency_id["model"]

    def join(session: str, seed: int) -> int:
        data = [tiny, 0, seed, 0, 1, 0, 1, "exact"]
        return wire.ask("POST", f"{API}/queue/join", {"fn_index": index, "data": data, "session_hash": session})[0]

    held.current_concurrency += 1  # the worker is busy with another visitor
    greedy, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert [join(greedy, seed) for seed in range(guard.WAITING + 3)] == [200] * guard.WAITING + [503] * 3
    assert join(other, 0) == 200 and guard.waiting(wire.page, greedy) == guard.WAITING
    held.current_concurrency -= 1
    for session in (greedy, other):
        _, stream = wire.ask("GET", f"{API}/queue/data?session_hash={session}")
        assert b'"success":true' in stream
    wire.still_right()


# -- errors ----------------------------------------------------------------------------------------------------------


def test_an_unforeseen_error_is_one_sentence_that_tells_nothing(capsys):
    """The three places where a request can break: before, in and after a handler; the log has the rest."""

    def broken(_):
        return {"secret": 1}["missing"]

    def endless(_):
        raise gr.Error("long " * 1000)

    def inside(_):
        raise RuntimeError(f"inside {ROOT}")

    with guard.Page(analytics_enabled=False) as page:
        number, bad = gr.Number(), gr.Number()
        bad.preprocess = bad.postprocess = inside
        number.input(broken, number, number, queue=False)
        number.input(endless, number, number, queue=False)
        number.input(lambda x: x, bad, number, queue=False)
        number.input(lambda x: x, number, bad, queue=False)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        for index in range(4):
            body = {"fn_index": index, "data": [1], "session_hash": "x"}
            _, answer = Wire(page, "").ask("POST", f"{API}/run/predict", body, {"Accept-Language": "zh-CN"})
            told = json.loads(answer)["error"]
            if index == 1:
                assert told.startswith("long long") and len(told) == guard.LONGEST
            else:
                assert told == wording.text("class_unexpected", "zh")
    finally:
        page.close()
    assert "KeyError: 'missing'" in capsys.readouterr().err
