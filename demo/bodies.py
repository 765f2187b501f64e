"""Bodies of requests, read with limits that do not trust what is announced: bytes as they come, time, and memory in all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator

API = "/gradio_api"
UPLOAD = re.compile(rf"{API}/upload/?")
SERVER = re.compile(rf"{API}/component_server/?")  # questions of the browser
MAX_BODY = 4 * 1024**2  # bytes of a request that is no upload
MAX_QUESTION = 5 * 1024**2 // 4  # of one to SERVER; the largest holds a picture of 512 x 512 as bytes in base64
MAX_VALUES = 50_000  # of a request in JSON: [] takes three bytes of it, and many times as much in memory; a run has 2,240 tokens
MAX_FILE = 16 * 1024**2  # bytes of a file
MAX_UPLOAD = MAX_FILE + 1024**2  # of an upload with its headers
BODY_S, UPLOAD_S = 60.0, 300.0  # seconds until a body must be there
STALLED_S = 120.0  # seconds that one piece of an answer may take to leave
MAX_HELD = 64 * 1024**2  # bytes of all bodies that are being read, without uploads: those go to disk


class RefusedError(Exception):
    """A request that is not answered: a status and the name of the sentence that says why."""

    def __init__(self, status: int, name: str):
        super().__init__(name)
        self.status, self.name = status, name


def largest(path: str) -> int:
    """Bytes that a request to this address may have."""
    if UPLOAD.fullmatch(path):
        return MAX_UPLOAD
    return MAX_QUESTION if SERVER.fullmatch(path) else MAX_BODY


def parsed(body: bytes) -> dict:
    """The JSON object of a body; empty where it is none, which Gradio refuses by itself.

    Raises RefusedError for more values than any request of the page has, before they are made.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise RefusedError(413, "class_too_large")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


class Intake:
    """Counts what is being read at a moment, of every address and in all."""

    def __init__(self, per_address: int):
        """An address has one upload at once for each run that it may have waiting, and two other requests."""
        self.per_address = per_address
        self.requests: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.held = 0  # bytes

    @contextlib.contextmanager
    def admitted(self, address: str, upload: bool) -> Iterator[None]:
        """Counts one request of an address for the block. Raises RefusedError where it has too many already."""
        counter, most = (self.uploads, self.per_address) if upload else (self.requests, 2 * self.per_address)
        if counter[address] >= most:
            raise RefusedError(503, "class_busy")
        counter[address] += 1
        try:
            yield
        finally:
            counter[address] -= 1
            if not counter[address]:
                del counter[address]

    async def read(self, receive, limit: int, seconds: float = BODY_S) -> bytes:
        """The whole body. Raises RefusedError where it is too large, too slow, or too much together with others."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(seconds):
                async for part in _parts(receive):
                    size += len(part)
                    self.held += len(part)
                    parts.append(part)
                    if size > limit:
                        raise RefusedError(413, "class_too_large")
                    if self.held > MAX_HELD:
                        raise RefusedError(503, "class_busy")
        except TimeoutError:
            raise RefusedError(408, "class_too_slow") from None
        finally:
            self.held -= size
        return b"".join(parts)


async def _parts(receive):
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "class_broken_off")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def counted(receive, limit: int, seconds: float = UPLOAD_S):
    """A `receive` that passes on an upload piece by piece and raises RefusedError where it gets too large or too slow."""
    size, end = 0, time.monotonic() + seconds

    async def next_piece():
        nonlocal size
        try:
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise RefusedError(408, "class_too_slow") from None
        size += len(message.get("body", b""))
        if size > limit:
            raise RefusedError(413, "class_too_large")
        return message

    return next_piece


def replayed(body: bytes, receive):
    """A `receive` that gives the body once and then goes on with the connection."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return messages.pop() if messages else await receive()

    return again


def impatient(send, seconds: float = STALLED_S):
    """A `send` that gives up on a visitor who does not take the answer, or its bytes would stay in memory."""

    async def send_in_time(message) -> None:
        try:
            async with asyncio.timeout(seconds):
                await send(message)
        except TimeoutError:
            raise OSError("the visitor does not read the answer") from None

    return send_in_time
