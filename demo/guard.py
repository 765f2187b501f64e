"""What stands between the network and the page: a strict list of addresses, sizes and turns, and errors that tell nothing inside.

Gradio serves much that this page never uses (a proxy for other sites, recordings, run history, editing of its own source).
`Door`, around everything, lets through only what the page and gradio_client need, from visitors who may ask. `Page` and
`Sentences` turn every unforeseen exception into one sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import sys
import time
import traceback
from functools import partial
from urllib.parse import parse_qs

import gradio as gr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse

from . import bodies, front, gate, heap, preview, sessions, uploads, visitors, wording
from .bodies import API, Intake, RefusedError
from .hosting import Hosting
from .line import TIDY_EVERY, Line
from .uploads import Uploads
from .visitors import Visitor

SESSION = re.compile(r"[\w-]{1,100}", re.ASCII)  # Gradio writes it into names that it takes apart again; a browser's has 11
ADDRESSES = re.compile(
    rf"/|{preview.PATH}|{front.PREFIX}[\w./-]+|/(config|theme\.css|manifest\.json|robots\.txt|favicon\.ico|pwa_icon(/\d+)?)/?|/(assets|static|svelte)/.+"
    rf"|{API}/(info|openapi\.json|startup-events|app_id|theme\.css|cancel|reset|upload|upload_progress|component_server)/?"
    rf"|{API}/heartbeat/{SESSION.pattern}|{API}/(queue|run|api|call)/.+"
    rf"|{API}/file=(?!https?:).+",  # Gradio would fetch any address of the internet for whoever asks
    re.IGNORECASE | re.DOTALL,
)
NAMED = re.compile(rf"{API}/(?:run|api|call|call/v2)/([^/]+)/?")  # calls that name a function
LISTENING = re.compile(rf"{API}/(?:queue/data|call/(?:v2/)?[^/]+/([^/]+))/?")
FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "forwarded")
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "strict-origin-when-cross-origin"}
LONGEST = 600  # characters of an error
LOGGED = 4000  # characters of what the log says of an error
MODEL = "model"  # the concurrency_id of everything that computes with a model
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Page(gr.Blocks):
    """Blocks whose errors a visitor can read, and whose runs wait in one fair line and pass one gate."""

    def queue(self, hosting: Hosting | None = None, **options) -> Page:
        super().queue(**options)
        plain = self._queue
        self._queue = Line(
            hosting or Hosting(),
            live_updates=plain.live_updates,
            concurrency_count=plain.max_thread_count,
            update_intervals=plain.update_intervals,
            max_size=plain.max_size,
            blocks=self,
            default_concurrency_limit=plain.default_concurrency_limit,
        )
        return self

    async def process_api(self, block_fn, inputs, *args, **options) -> dict:
        request = options.get("request")
        try:
            if options.get("iterator") is None:  # the first step of a run
                self._check_files(inputs, wording.language(request))
            work = partial(super().process_api, block_fn, inputs, *args, **options)
            if getattr(block_fn, "concurrency_id", None) != MODEL:
                return await work()
            # its visitor was counted on joining the line, and only one of the line comes here at a time
            left = partial(self._left, options.get("event_id"), options.get("session_hash"))
            return await gate.here().compute(visitors.of(request), work, limited=False, left=left)
        except gr.Error as error:
            error.print_exception = False
            error.message = _shortened(str(error.message))
            raise
        except Exception as error:
            log(error)
            raise gr.Error(wording.text("class_unexpected", wording.language(request)), print_exception=False) from None

    def _check_files(self, inputs: list, language: str) -> None:
        """Raises gr.Error for an address of the internet, which Gradio would download, and for a file that is gone."""
        for file in uploads.files_in(inputs):
            if re.match(r"\s*\w+://", file["path"]):
                raise gr.Error(wording.text("class_no_address", language))
            if file.get("meta") and file["path"] not in self.upload_file_set:
                raise gr.Error(wording.text("class_file_gone", language))

    def _left(self, event_id: str | None, session: str | None, work: asyncio.Task) -> None:
        """A run was cancelled that computes on: it keeps its slot until that is over, and nothing is kept for its next step."""

        def over(work: asyncio.Task) -> None:
            if not work.cancelled() and work.exception() is None:
                self._drop_run_streams(session, work.result()["iterator"])

        self._queue.lasts(event_id, work)
        work.add_done_callback(over)


def was_running(request: gr.Request | None) -> bool:
    """Whether a run of this visitor is going on or was cancelled a moment ago."""
    app = getattr(getattr(request, "request", None), "app", None)
    return app is not None and app.get_blocks()._queue.was_running(request.session_hash, MODEL)


def log(error: Exception) -> None:
    """For whoever runs the server: either a mistake of the page or a forged request. What a visitor sent is cut short."""
    lines = [line if len(line) <= LONGEST else f"{line[:LONGEST]} ...\n" for line in traceback.format_exception(error)]
    print("".join(lines)[-LOGGED:], file=sys.stderr, flush=True)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


async def _refuse(scope, receive, send, status: int, name: str) -> None:
    sentence = wording.text(name, wording.language(Request(scope)))
    # where the end of a body is unknown the connection ends; otherwise the rest is taken and dropped, so that the answer is read
    headers = {"connection": "close"} if status == 411 else None
    await JSONResponse({"detail": sentence, "error": sentence}, status, headers)(scope, receive, send)


class Sentences:
    """ASGI middleware inside Gradio's own, and around uploads: an unforeseen exception becomes a status and a sentence."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        begun = False

        async def noted(message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            if isinstance(error, RefusedError):
                await _refuse(scope, receive, send, error.status, error.name)
            elif isinstance(error, OSError) and error.errno in FULL:
                log(error)
                await _refuse(scope, receive, send, 507, "class_no_room")
            else:
                log(error)
                await _refuse(scope, receive, send, 500, "class_unexpected")


class Door:
    """ASGI application around the whole Gradio app of `page`."""

    def __init__(self, page: gr.Blocks, hosting: Hosting, uploads: Uploads):
        self.app = None  # known once the server starts
        self.page, self.hosting, self.uploads = page, hosting, uploads
        self.intake = Intake(hosting.per_address)

    @property
    def line(self) -> Line:
        return self.page._queue

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        scope = self._inside(scope)
        scope[visitors.SCOPE] = Visitor(visitors.address_of(scope), "", wording.language(Request(scope)))
        send = bodies.impatient(self._with_headers(send))
        try:
            self._check(scope)
            await self._admit(scope, receive, send)
        except RefusedError as error:
            await _refuse(scope, receive, send, error.status, error.name)

    def _inside(self, scope: dict) -> dict:
        """The request as Gradio sees it: without the path that a proxy may have left in front, and without forged headers."""
        path, prefix = scope["path"], self.hosting.prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :] or "/"
        untrusted = ("x-gradio-server", *(() if self.hosting.trusted_proxies else FORWARDED))
        headers = [(name, value) for name, value in scope["headers"] if name.decode("latin1") not in untrusted]
        return scope | {"path": path, "raw_path": path.encode(), "headers": headers}

    def _check(self, scope: dict) -> None:
        """Raises RefusedError for what can be told from the first lines of a request."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        host = headers.get("x-forwarded-host", headers.get("host", "")).split(",")[0].strip()
        if not self.hosting.allows(host):
            raise RefusedError(421, "class_no_host")
        origin = headers.get("origin")
        if origin is not None and not self.hosting.same_site(origin, host):
            raise RefusedError(403, "class_other_site")
        query = parse_qs(scope["query_string"].decode("latin1"))
        kept = [*query.get("session_hash", []), *query.get("upload_id", [])]  # names that Gradio remembers
        if not ADDRESSES.fullmatch(path) or not all(map(SESSION.fullmatch, kept)):
            raise RefusedError(404, "class_no_page")
        # of two lengths that contradict each other, some reader always believes the wrong one
        if "transfer-encoding" in headers:
            raise RefusedError(411, "class_no_length")
        if method in ("GET", "HEAD", "OPTIONS"):
            if headers.get("content-length", "0") != "0":
                raise RefusedError(413, "class_too_large")
            return
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise RefusedError(411, "class_no_length")
        if len(length) > 9 or int(length) > bodies.largest(path):
            raise RefusedError(413, "class_too_large")

    async def _admit(self, scope, receive, send) -> None:
        path, visitor = scope["path"], scope[visitors.SCOPE]
        if path == preview.PATH:
            await preview.picture()(scope, receive, send)
        elif path.startswith(front.PREFIX):
            await front.serve(scope, receive, send)
        elif scope["method"] != "POST":
            with self._listening(scope):
                await self.app(scope, receive, send)
        elif bodies.UPLOAD.fullmatch(path):
            with self.intake.admitted(visitor.address, True):
                await Sentences(self._upload)(scope, receive, send)
        else:
            with self.intake.admitted(visitor.address, False):
                body = await self.intake.read(receive, bodies.largest(path))
                own = Visitor(visitor.address, self._check_call(path, body), visitor.language)
                scope[visitors.SCOPE] = own
                token = visitors.CURRENT.set(own)
                try:
                    await self.app(scope, bodies.replayed(body, receive), send)
                finally:
                    visitors.CURRENT.reset(token)

    async def _upload(self, scope, receive, send) -> None:
        request = Request(scope, bodies.counted(receive, bodies.MAX_UPLOAD))
        path = await self.uploads.take(request, scope[visitors.SCOPE].address)
        await JSONResponse([path])(scope, receive, send)

    def _check_call(self, path: str, body: bytes) -> str:
        """The session that a call names, or "". The parsed body is not kept while the call waits.

        Raises RefusedError for a function that there is not (Gradio would answer with a traceback in the log, or remember the
        session first), and for a session that no browser would have.
        """
        told = bodies.parsed(body)
        named, index, session = NAMED.fullmatch(path), told.get("fn_index"), told.get("session_hash")
        names = {fn.api_name for fn in self.page.fns.values()}
        unknown = (
            (named and told.get("fn_index") is None and named[1] not in names)
            or (index is not None and (not isinstance(index, int) or index not in self.page.fns))
            # files that come with such a call would stay in the system's temporary folder: no function here takes any
            or (bodies.SERVER.fullmatch(path) and not self._is_served(told.get("component_id"), told.get("fn_name")))
        )
        if unknown or (isinstance(session, str) and not SESSION.fullmatch(session)):
            raise RefusedError(404, "class_no_page")
        return session if isinstance(session, str) else ""

    def _is_served(self, block, name) -> bool:
        """Whether a component has a server function of this name."""
        component = self.page.blocks.get(block) if isinstance(block, int) else None
        return any(function.__name__ == name for function in getattr(component, "server_fns", ()))

    def _listening(self, scope):
        """While the stream of a run is open, the line knows that somebody reads it.

        Raises RefusedError where there is no such run: Gradio would find out after the answer has begun, with a traceback.
        """
        found = LISTENING.fullmatch(scope["path"])
        if not found:
            return contextlib.nullcontext()
        if found[1] is None:
            session = parse_qs(scope["query_string"].decode("latin1")).get("session_hash", [None])[0]
        else:
            session = self.line.session_of(found[1])
        if session not in self.line.pending_messages_per_session:
            raise RefusedError(404, "class_no_page")
        return self.line.listening(session)

    def _with_headers(self, send):
        policy = self.hosting.policy()

        async def send_with_headers(message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = policy
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        return send_with_headers

    @contextlib.asynccontextmanager
    async def around(self, app):
        """For Gradio's lifespan: puts this outside of all its middleware, and keeps sessions slim and uploads tidy."""
        self.app = app.middleware_stack
        app.middleware_stack = self
        gate.open_gate(self.hosting)
        sessions.slim(app, self.page)
        tidying = asyncio.create_task(self._tidy())
        try:
            yield
        finally:
            tidying.cancel()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            self.uploads.tidy(time.time())
            await asyncio.to_thread(heap.trim)  # ctypes lets go of the interpreter meanwhile
