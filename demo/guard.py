"""What stands between the network and the page: a strict list of addresses, sizes and turns, and errors that tell nothing inside.

Gradio serves much that this page never uses (a proxy for other sites, recordings, run history, editing of its own source).
`Guard` lets through only what the page and gradio_client need. `Page` turns every unforeseen exception into one sentence.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import tempfile
import traceback

import gradio as gr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse

from . import wording

API = "/gradio_api"
ADDRESSES = re.compile(
    r"/|/(config|theme\.css|manifest\.json|robots\.txt|favicon\.ico|pwa_icon(/\d+)?)/?|/(assets|static|svelte)/.+"
    rf"|{API}/(info|openapi\.json|startup-events|app_id|theme\.css|cancel|reset|upload|upload_progress|component_server)/?"
    rf"|{API}/(queue|heartbeat|run|api|call)/.+"
    rf"|{API}/file=(?!https?:).+",  # Gradio would fetch any address of the internet for whoever asks
    re.IGNORECASE | re.DOTALL,
)
ENQUEUE = re.compile(rf"{API}/(queue/join|call/.+)")
MAX_BODY = 4 * 1024**2  # bytes of a request that is no upload
MAX_UPLOAD = 17 * 1024**2  # bytes of an upload with its headers; of the file itself, app.MAX_FILE_SIZE
WAITING = 6  # runs of one visitor that may wait in the queue: more would only delay the others
LONGEST = 600  # characters of an error


def private_folder() -> None:
    """Gives uploads a folder of this process alone, unless one is named: /tmp/gradio is shared with every other Gradio app."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="var-mini-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


class Page(gr.Blocks):
    """Blocks whose errors a visitor can read: those meant for them as they are, all others as one general sentence."""

    async def process_api(self, block_fn, inputs, *args, **options) -> dict:
        try:
            if _names_an_address(inputs):
                raise gr.Error(wording.text("class_no_address", wording.language(options.get("request"))))
            return await super().process_api(block_fn, inputs, *args, **options)
        except gr.Error as error:
            error.print_exception = False
            error.message = _shortened(str(error.message))
            raise
        except Exception as error:
            log(error)
            told = wording.text("class_unexpected", wording.language(options.get("request")))
            raise gr.Error(told, print_exception=False) from None


def log(error: Exception) -> None:
    """For whoever runs the server: either a mistake of the page or a forged request."""
    traceback.print_exception(error)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _names_an_address(value, depth: int = 0) -> bool:
    """Whether a file in the inputs is an address of the internet, which Gradio would download."""
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and re.match(r"\s*\w+://", path):
            return True
        value = list(value.values())
    return isinstance(value, list) and depth < 20 and any(_names_an_address(one, depth + 1) for one in value)


def waiting(page: gr.Blocks, session) -> int:
    """How many runs of a visitor wait in the queue."""
    queues = page._queue.event_queue_per_concurrency_id.values()
    return sum(event.session_hash == session for one in queues for event in one.queue)


class Guard:
    """ASGI middleware around the Gradio app of `page`."""

    def __init__(self, app, page: gr.Blocks):
        self.app, self.page = app, page

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        path = scope["path"]
        refused = self._refused(scope["method"], path, Headers(scope=scope))
        if refused is None and scope["method"] == "POST" and ENQUEUE.fullmatch(path):
            body = await _read(receive)
            receive = _replay(body, receive)
            if waiting(self.page, _session(body)) >= WAITING:
                refused = 503, "class_busy"
        if refused is None:
            await self.app(scope, receive, send)
            return
        status, name = refused
        sentence = wording.text(name, wording.language(Request(scope)))
        await JSONResponse({"detail": sentence, "error": sentence}, status)(scope, receive, send)

    @staticmethod
    def _refused(method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        if not ADDRESSES.fullmatch(path):
            return 404, "class_no_page"
        if method not in ("GET", "HEAD", "OPTIONS"):
            length = headers.get("content-length", "")
            if not length.isdecimal():
                return 411, "class_no_length"
            if int(length) > (MAX_UPLOAD if path.startswith(f"{API}/upload") else MAX_BODY):
                return 413, "class_too_large"
        return None


async def _read(receive) -> bytes:
    """The whole body; the server has checked it against its announced length, which is bounded."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False) and message["type"] == "http.request"
    return b"".join(parts)


def _replay(body: bytes, receive):
    """A `receive` that gives the body once and then goes on with the connection."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return messages.pop() if messages else await receive()

    return again


def _session(body: bytes):
    """The visitor's session as the request names it; None where it names none, and is a visitor of its own."""
    try:
        session = json.loads(body).get("session_hash")
    except (ValueError, AttributeError, RecursionError):
        return None
    return session if isinstance(session, str) else None
