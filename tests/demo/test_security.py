"""What nobody should be able to do: read a file, skip or fill the queue, or be told of the server's inside."""

from __future__ import annotations

import base64
import io
import json
import socket
import uuid
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import app, bodies, guard, models, runs, wording
from demo.chapters import cost, gallery
from demo.hosting import Hosting
from tests.demo.wire import API, JSON, ROOT, Wire, forged, readable, until
from var_mini import checkpoints
from var_mini.generation import Trace
from var_mini.view.images import strip

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
LIMITS = Hosting(per_visitor=3, per_address=6)
SECRET = b"the-marker-of-a-secret-file"


@pytest.fixture(scope="module")
def wire(tiny):
    page = app.launch(tiny, port=None, hosting=LIMITS, prevent_thread_lock=True, quiet=True)
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


def test_a_file_that_is_gone_is_to_be_opened_again(wire, tmp_path):
    """Deleted after an hour, or for others of its address; a file that was never uploaded is told no other way."""
    (path,) = json.loads(wire.upload("run.trace", b"content")[1])
    wire.page.upload_file_set.discard(path)
    Path(path).unlink()
    (tmp_path / "x.trace").write_bytes(b"content")
    (index,) = [i for i, one in wire.page.fns.items() if one.fn is gallery.open_trace]
    for name in (path, str(tmp_path / "x.trace"), "/nothing"):
        assert wire.call(index, [forged(name)])["error"] == EN["class_file_gone"]
    (path,) = json.loads(wire.upload("run.trace", b"content")[1])
    assert "error" in (answer := wire.call(index, [forged(path)])) and answer["error"] != EN["class_file_gone"]


def test_a_file_is_not_fetched_from_an_address(wire):
    for index, listener in wire.page.fns.items():
        if listener.fn is not None and listener.inputs:
            answer = wire.call(index, [forged("http://127.0.0.1:1/x.png") for _ in listener.inputs])
            assert answer.get("error") == EN["class_no_address"], index


# -- sizes and turns -------------------------------------------------------------------------------------------------


def test_large_requests_are_refused_before_they_are_read(wire):
    status, answer = wire.upload("big.bin", b"0" * (bodies.MAX_UPLOAD + 1))
    assert status == 413 and json.loads(answer)["detail"] == EN["class_too_large"]
    for address in ("queue/join", "run/predict", "call/generate", "component_server"):
        status, answer = wire.ask("POST", f"{API}/{address}", b"[" * (bodies.MAX_BODY + 1), JSON)
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


def test_what_a_visitor_sends_does_not_fill_the_log(wire, capfd):
    name = "x" * 200_000
    for index, listener in wire.page.fns.items():
        if listener.fn is not None and listener.inputs:
            wire.call(index, [name] * len(listener.inputs))
    for path in ("call/generate", "call/v2/generate", "run/generate", "run/predict", "component_server", "queue/join"):
        wire.ask("POST", f"{API}/{path}", {"data": [name] * 8, "fn_index": None, "model": name, "session_hash": "x"})
    wire.ask("POST", f"{API}/call/{'x' * 60_000}", {"data": []})
    assert len("".join(capfd.readouterr())) < 100_000


def test_the_queue_cannot_be_skipped(wire, tiny):
    body = {"data": [tiny, 0, 0, 0, 1, 0, 1, "exact"]}
    for address in ("run/generate", "api/generate"):
        status, answer = wire.ask("POST", f"{API}/{address}", body)
        assert status == 404 and b"scales" not in answer


def test_an_upload_of_a_thousand_parts_keeps_nothing(wire):
    part = b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="x"\r\n\r\n\r\n'
    kind, folder = {"Content-Type": "multipart/form-data; boundary=edge"}, Path(wire.page.app.uploaded_file_dir)
    before = set(folder.rglob("*"))
    for body in (part % b"files" * 990, part % b"other" * 990, part % b"other"):
        status, answer = wire.ask("POST", f"{API}/upload", body + b"--edge--\r\n", kind)
        assert status == 400 and json.loads(answer)["detail"] == EN["class_one_file"]
    assert set(folder.rglob("*")) == before


def test_a_forged_trace_is_seen_by_its_owner_alone(wire, tiny):
    settings = runs.checked(tiny, 1, 4242, 0, 1, 0, 1)
    forged_run = Trace(settings.to_dict(), list(runs.draw(runs.checked(tiny, 2, 1, 0, 1, 0, 1))))
    assert not torch.equal(forged_run.image, checkpoints.load(tiny).trace(1, 4242, settings.sampling).image)
    shown = gallery.open_trace(forged_run.to_bytes())["run"]
    ids = [step.token_ids[0].tolist() for step in forged_run.steps]
    assert shown["opened"] is True and [scale["ids"] for scale in shown["scales"]] == ids
    # everybody else gets what these settings draw
    _, answer = wire.ask("POST", f"{API}/call/generate", {"data": [tiny, 1, 4242, 0, 1, 0, 1, "exact"]})
    _, stream = wire.ask("GET", f"{API}/call/generate/{json.loads(answer)['event_id']}")
    drawn = json.loads(stream.decode().split("event: complete\ndata: ")[1].split("\n")[0])[0]
    true = checkpoints.load(tiny).trace(1, 4242, settings.sampling)
    assert [scale["ids"] for scale in drawn["scales"]] == [step.token_ids[0].tolist() for step in true.steps] != ids
    # its owner's files show it as it was opened
    query = {"settings": forged_run.settings, "ids": ids}
    saved = base64.b64decode(gallery.export(query | {"kind": "png"})["data"])
    seen = np.asarray(Image.open(io.BytesIO(saved)))
    codebook = models.load_model(tiny).model.tokenizer.quantize.embedding.weight
    assert np.array_equal(seen, strip(forged_run, codebook))
    assert gallery.export(query | {"kind": "trace"}) == {"error": EN["export_opened"]}
    for wrong in ([], [[0]], [[0], [1] * 4, [999] * 9], "x"):
        assert "error" in gallery.export(query | {"kind": "png", "ids": wrong})


def test_of_a_visitor_the_choices_are_remembered_and_little_else(wire):
    """What else is timed has other methods: Gradio refuses one that its choices do not have."""
    prepare, show = (next(i for i, one in wire.page.fns.items() if one.fn is listener) for listener in (cost.prepare, cost.show))
    session, asked = uuid.uuid4().hex, [None, None, [8], ["raster-cached"]]  # kind and head dimension are the session's own
    assert wire.call(prepare, asked, session_hash=session)["status"] == 500
    kind = {"what": "raster", "head_dim": 8}
    assert wire.call(show, [None], session_hash=session, event_data=kind)["status"] == 200
    assert wire.call(prepare, asked, session_hash=session)["status"] == 200
    kept = wire.page.app.state_holder.session_data
    assert session in kept and not any(state.config_values for state in kept.values())


def test_a_published_model_is_no_visitor_s_to_download(wire, monkeypatch):
    monkeypatch.setattr("var_mini.checkpoints.load_official", lambda *_, **__: pytest.fail("a download began"))
    _, answer = wire.ask("POST", f"{API}/call/generate", {"data": ["var_d16", 0, 0, 0, 1, 0, 1, "exact"]})
    _, stream = wire.ask("GET", f"{API}/call/generate/{json.loads(answer)['event_id']}")
    assert b"model = 'var_d16': must be one of" in stream


def test_an_upload_that_breaks_off_leaves_nothing(wire):
    folder = Path(wire.page.app.uploaded_file_dir)
    with socket.create_connection((wire.address.hostname, wire.address.port)) as connection:
        head = 'Content-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
        connection.sendall(
            f"POST {API}/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
            f"Content-Type: multipart/form-data; boundary=edge\r\n\r\n--edge\r\n{head}".encode()
            + b"x" * 200_000
        )
        until(lambda: any(path.is_file() for path in folder.glob("tmp*")))
    until(lambda: not any(path.is_file() for path in folder.glob("tmp*")))


def test_two_lengths_at_once_are_refused(wire):
    """Of a length and a transfer encoding the server would believe the second."""
    for address in ("queue/join", "component_server", "run/predict", "upload"):
        with socket.create_connection((wire.address.hostname, wire.address.port)) as connection:
            head = f"POST {API}/{address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head.encode())
            assert b" 411 " in connection.makefile("rb").readline()


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
