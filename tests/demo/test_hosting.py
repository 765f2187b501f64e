"""Names, paths, proxies and frames: what the door lets through before Gradio sees it, and what a shared link shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from demo import __main__ as command
from demo import app, bodies, guard, preview, sessions, visitors
from demo.hosting import Hosting
from demo.uploads import Uploads
from tests.demo.asgi import ask, asking, run

API = bodies.API


class Inner:
    """Stands for Gradio: notes what reaches it."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        self.seen.append((scope["path"], dict(request.headers), visitors.of(request), await request.body()))
        await JSONResponse(["/somewhere"])(scope, receive, send)


@pytest.fixture
def door(tmp_path):
    def build(**options):
        def ask(query):
            return query

        blocks = {3: SimpleNamespace(), 4: SimpleNamespace(server_fns=[ask])}
        line = SimpleNamespace(
            pending_messages_per_session={"abc": None}, session_of={"run-1": "abc"}.get, listening=contextlib.nullcontext
        )
        page = SimpleNamespace(fns={0: SimpleNamespace(api_name="generate")}, blocks=blocks, _queue=line)
        built = guard.Door(page, Hosting(**options), Uploads(tmp_path, set()))
        built.app = Inner()
        return built

    return build


def post(built, headers=(), body=(b"{}",), path=f"{API}/queue/join", **more):
    given = {"content-length": str(sum(map(len, filter(None, body))))} | dict(headers)
    return ask(built, "POST", path, given, body, **more)


# -- host and origin -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost", "[::1]:7860", "192.168.1.9", socket.gethostname(), "LOCALHOST:1"]
)
def test_names_that_cannot_be_another_site_s_are_served(door, host):
    assert ask(door(), headers={"host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a b", "[::1", "localhost.evil.example:7860"])
def test_a_name_that_nobody_allowed_is_refused(door, host):
    built = door(allowed_hosts=("page.example",))
    answer = ask(built, headers={"host": host})
    assert answer.status == 421 and not built.app.seen and "--allowed-host" in json.loads(answer.body)["detail"]
    assert ask(built, headers={"host": "page.example:80"}).status == 200


def test_a_star_allows_names_below_it_or_all(door):
    assert Hosting(allowed_hosts=("*.gradio.live",)).allows("abc.gradio.live")
    assert not Hosting(allowed_hosts=("*.gradio.live",)).allows("gradio.live.evil.example")
    anything = Hosting(allowed_hosts=("*", "me.hf.space"))
    assert anything.allows("anything.example") and not anything.same_site("http://evil.example", "anything.example")
    assert anything.same_site("https://me.hf.space", "anything.example")
    assert Hosting(root_path="https://page.example/x").allows("page.example")


def test_below_a_star_other_people_have_names_too():
    shared = Hosting(allowed_hosts=("*.gradio.live", "*"))
    assert not shared.same_site("https://evil.gradio.live", "127.0.0.1:7860")
    assert not shared.same_site("https://evil.gradio.live", "mine.gradio.live")
    assert shared.same_site("https://mine.gradio.live", "mine.gradio.live")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "file://", "http://127.0.0.1.evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_other_sites_get_nothing(door, origin, method):
    built = door(allowed_hosts=("page.example",))
    headers = {"host": "127.0.0.1:7860", "origin": origin, "content-length": "2" if method == "POST" else "0"}
    answer = ask(built, method, f"{API}/upload", headers, (b"{}",) if method == "POST" else (b"",))
    assert answer.status == 403 and not built.app.seen
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_page_itself_may_ask_under_each_of_its_names(door):
    for host, origin in (("127.0.0.1:7860", "http://127.0.0.1:7860"), ("127.0.0.1:7860", "https://page.example")):
        assert post(door(allowed_hosts=("page.example",)), {"host": host, "origin": origin}).status == 200


def test_every_answer_says_what_a_browser_may_do_with_it(door):
    for path, status in (("/", 200), ("/nothing", 404)):
        answer = ask(door(frame_ancestors=("https://school.example",)), path=path)
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert answer.status == status and policy["frame-ancestors"] == "'self' https://school.example"
        assert policy["object-src"] == "'none'" and policy["connect-src"] == "'self' data: blob:"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in ask(door()).headers["content-security-policy"]
    assert Hosting(frame_ancestors=("*",)).policy().endswith("frame-ancestors *")


# -- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["queue/join", "run/generate", "component_server", "upload", "cancel"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "10", "transfer-encoding": "chunked"}, 411),
        ({"transfer-encoding": "chunked"}, 411),
        ({"content-length": "0x10"}, 411),
        ({"content-length": "-1"}, 411),
        ({"content-length": "9" * 30}, 413),
        ({"content-length": str(bodies.MAX_UPLOAD + 1)}, 413),
        ({}, 411),
    ],
)
def test_a_request_that_does_not_say_its_one_length_is_not_read(door, path, headers, status):
    built, pieces = door(), [b"x"]
    answer = ask(built, "POST", f"{API}/{path}", headers, pieces)
    assert answer.status == status and not built.app.seen


@pytest.mark.parametrize("path", [f"{API}/queue/join", f"{API}/upload"])
def test_more_than_was_announced_is_cut(door, path, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_BODY", 1000)
    monkeypatch.setattr(bodies, "MAX_UPLOAD", 1000)
    built = door()
    headers = {"content-length": "10", "content-type": "multipart/form-data; boundary=edge"}
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    assert post(built, headers, [head] + [b"x" * 400] * 9, path).status == 413 and not built.app.seen


def test_a_body_with_a_get_is_refused(door):
    assert ask(door(), "GET", "/config", {"content-length": "5"}, (b"hello",)).status == 413


# -- who asks --------------------------------------------------------------------------------------------------------


def test_a_request_carries_its_visitor(door):
    built = door()
    post(built, {"accept-language": "zh-CN"}, (b'{"session_hash": "abc"}',), client=("192.0.2.1", 7))
    _, _, visitor, body = built.app.seen[0]
    assert visitor == visitors.Visitor("192.0.2.1", "abc") and visitor.language == "zh"
    assert body == b'{"session_hash": "abc"}' and visitors.CURRENT.get() == visitors.NOBODY
    for forged in (b"[]", b'{"session_hash": 7}', b'{"session_hash": {}}', b"\xff", b"[" * 40_000):
        assert post(built, body=(forged,)).status == 200 and built.app.seen[-1][2].session == ""


@pytest.mark.parametrize("session", ["x" * 101, "a<gradio-sep>b", "a b", "", "\ud800", "\u00e9", "a/b"])
def test_a_session_is_named_as_a_browser_names_it(door, session):
    """Its name is kept, and Gradio takes others apart that it wrote it into."""
    built = door()
    for path in ("queue/join", "cancel", "component_server", "run/predict"):
        assert post(built, body=(json.dumps({"session_hash": session}).encode(),), path=f"{API}/{path}").status == 404
    for query in ("session_hash", "upload_id"):  # as text, and written as an address
        for value in {quote(session, safe="", errors="surrogatepass"), session.encode(errors="replace").decode("latin1")} - {""}:
            for method, path in (("GET", "queue/data"), ("GET", "upload_progress"), ("POST", "upload")):
                answer = ask(built, method, f"{API}/{path}", {"content-length": "0"}, query=f"{query}={value}")
                assert answer.status == 404, (method, path, value)
    assert not built.app.seen
    assert post(built, body=(b'{"session_hash": "aZ09_-"}',)).status == 200
    assert ask(built, path=f"{API}/upload_progress", query="upload_id=x").status == 200


def test_a_stream_of_a_run_that_there_is_not_is_not_begun(door):
    built = door()
    for path, query in (
        ("queue/data", "session_hash=nothing"),
        ("queue/data", ""),
        ("call/generate/run-2", ""),
        ("call/v2/x/y", ""),
    ):
        assert ask(built, path=f"{API}/{path}", query=query).status == 404 and not built.app.seen
    for path, query in (("queue/data", "session_hash=abc"), ("call/generate/run-1", ""), ("call/v2/generate/run-1", "")):
        assert ask(built, path=f"{API}/{path}", query=query).status == 200


def test_one_address_has_so_many_requests_at_a_time(door):
    async def story():
        built = door(per_address=1)
        go_on = asyncio.Event()

        async def slow(scope, receive, send):
            await go_on.wait()
            await JSONResponse({})(scope, receive, send)

        built.app = slow
        headers = {"content-length": "2"}
        first = [
            asyncio.create_task(asking(built, "POST", f"{API}/cancel", headers, (b"{}",), ("192.0.2.1", i))) for i in range(2)
        ]
        await asyncio.sleep(0)
        third = await asking(built, "POST", f"{API}/cancel", headers, (b"{}",), ("192.0.2.1", 9))
        other = asyncio.create_task(asking(built, "POST", f"{API}/cancel", headers, (b"{}",), ("192.0.2.2", 9)))
        await asyncio.sleep(0)
        go_on.set()
        return [answer.status for answer in (*await asyncio.gather(*first), third, await other)]

    assert run(story()) == [200, 200, 503, 200]


def test_what_a_visitor_forwards_is_not_believed_unless_a_proxy_is_trusted(door):
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-for": "203.0.113.9", "x-gradio-server": "http://evil.example"}
    built = door()
    assert ask(built, headers=forged).status == 200
    assert not set(forged) & set(built.app.seen[0][1])
    trusting = door(trusted_proxies=("127.0.0.1",))
    assert ask(trusting, headers=forged).status == 421  # then the forwarded name is the one that counts
    assert ask(trusting, headers={"x-forwarded-host": "localhost"}).status == 200
    assert "x-gradio-server" not in trusting.app.seen[0][1]


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"fn_index": 7}, "queue/join"),
        ({"fn_index": "0"}, "run/predict"),
        ({"fn_index": [0]}, "queue/join"),
        ({"data": []}, "call/nothing"),
        ({"data": []}, "call/v2/nothing"),
        ({"data": []}, "run/nothing"),
        ({"component_id": 9, "fn_name": "x"}, "component_server"),
        ({"component_id": {}, "fn_name": "x"}, "component_server"),
        ({"component_id": 3, "fn_name": "ask"}, "component_server"),
        ({"component_id": 4, "fn_name": "__init__"}, "component_server"),
        ({"component_id": 4, "fn_name": ["ask"]}, "component_server"),
    ],
)
def test_a_function_that_there_is_not_is_a_page_that_there_is_not(door, told, path):
    built = door()
    assert post(built, body=(json.dumps(told).encode(),), path=f"{API}/{path}").status == 404 and not built.app.seen


def test_a_server_function_is_asked_by_its_name(door):
    assert post(door(), body=(b'{"component_id": 4, "fn_name": "ask"}',), path=f"{API}/component_server").status == 200


def test_made_up_sessions_push_out_nobody_at_another_address(monkeypatch):
    monkeypatch.setattr(sessions, "Slim", lambda blocks: object())
    kept = sessions.Sessions()
    kept.set_blocks(SimpleNamespace(state_session_capacity=6))

    def come(address, session):
        token = visitors.CURRENT.set(visitors.Visitor(address, session))
        kept[session]
        visitors.CURRENT.reset(token)

    come("10.0.0.1", "early")
    for i in range(50):
        come("10.0.0.2", f"made-up-{i}")
        come("10.0.0.3", f"other-{i % 2}")
    assert set(kept.session_data) == {"early", "other-0", "other-1", *(f"made-up-{i}" for i in (47, 48, 49))}
    assert set(kept.address) == set(kept.time_last_used) == set(kept.session_data)


def test_an_error_inside_is_a_sentence_and_its_log_is_short(capsys):
    async def broken(scope, receive, send):
        raise KeyError("x" * 3_000_000)

    answer = ask(guard.Sentences(broken), headers={"accept-language": "zh"})
    assert answer.status == 500 and "xxx" not in answer.body.decode() and json.loads(answer.body)["error"]
    assert 0 < len(capsys.readouterr().err) <= guard.LOGGED + 10


# -- below a path ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/lessons/var-mini", "https://page.example/lessons/var-mini", "/lessons/var-mini/"])
def test_below_a_path_it_answers_whether_or_not_the_proxy_cuts_the_path_off(door, root):
    built = door(root_path=root)
    for path, seen in (
        ("/lessons/var-mini/config", "/config"),
        ("/config", "/config"),
        ("/lessons/var-mini", "/"),
        ("/lessons/var-mini/", "/"),
        ("/", "/"),
    ):
        assert ask(built, path=path).status == 200 and built.app.seen[-1][0] == seen
    assert ask(built, path="/lessons/var-miniature").status == 404


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root_path": "lessons"}, "root_path = 'lessons': must be like"),
        ({"root_path": "/a b"}, "root_path"),
        ({"root_path": "/a/../b?x"}, "root_path"),
        ({"trusted_proxies": ("nginx",)}, "trusted_proxy = 'nginx': must be an address"),
        ({"trusted_proxies": ("*",)}, "trusted_proxy"),
        ({"allowed_hosts": ("a b",)}, "allowed_host = 'a b'"),
        ({"frame_ancestors": ("'none'; script-src *",)}, "frame_ancestor"),
        ({"per_visitor": 0}, "per_visitor = 0: must be a whole number from 1 to 64"),
        ({"per_address": 10**6}, "per_address"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Hosting(**options)


def test_the_command_passes_its_options_on(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(command, "check_address", lambda *_: None)
    monkeypatch.setattr(app, "launch", lambda *given: calls.append(given[4]))
    given = "--root-path /x --trusted-proxy 127.0.0.1 --trusted-proxy 10.0.0.0/8 --allowed-host a.example --per-visitor 2"
    assert command.main([*given.split(), "--per-address", "9", "--frame-ancestor", "https://b.example"]) == 0
    assert calls == [Hosting("/x", ("127.0.0.1", "10.0.0.0/8"), ("a.example",), ("https://b.example",), 2, 9)]
    assert command.main(["--root-path", "x"]) == 2 and "root_path = 'x'" in capsys.readouterr().err and len(calls) == 1


# -- a shared link ---------------------------------------------------------------------------------------------------

TAGS = '<meta property="og:title" content="Gradio" />\n<meta name="twitter:creator" content="@Gradio" />\n'
PAGE = f'<html><head>\n{TAGS}<base href="./">'
DATA = '<script>window.gradio_config = "<meta property="og:title" />"</script>'


def test_a_shared_link_shows_this_page_s_own_title_and_picture():
    async def inner(scope, receive, send):
        await HTMLResponse(PAGE + DATA + "</head><body class='x'><p></body>")(scope, receive, send)

    def added(language):
        return f"<link href='{language}.css' />", "<h1>first</h1>"

    answer = ask(preview.Renamed(inner, Hosting(root_path="/sub"), added), headers={"host": "localhost:1"})
    html = answer.body.decode()
    assert html.count("og:title") == 2 and "Gradio" not in html  # one of them is data
    assert "<base href=\"./\">\n<link href='en.css' />" in html
    assert html.endswith(f"{DATA}</head><body class='x'><h1>first</h1><p></body>")
    assert '<meta property="og:image" content="http://localhost:1/sub/preview.png" />' in html
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert preview.root_of({"headers": []}, Hosting(root_path="https://page.example/x/")) == "https://page.example/x"


def test_the_picture_of_a_shared_link_is_there(door):
    answer = ask(door(), path=preview.PATH)
    assert answer.status == 200 and answer.headers["content-type"] == "image/png" and answer.body[:8] == b"\x89PNG\r\n\x1a\n"
