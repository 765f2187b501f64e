"""One request to an ASGI application without a server, written as freely as a forger would."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor


class Answer:
    def __init__(self):
        self.status, self.headers, self.body = 0, {}, b""


def run(coroutine):
    """Its result, in a thread of its own: Playwright keeps an event loop running in the main one once a test has used it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def ask(app, method="GET", path="/", headers=(), body=(b"",), client=("127.0.0.1", 1), query="") -> Answer:
    """`body` are the pieces as they arrive, of which None stands for a visitor who goes away."""
    return run(asking(app, method, path, headers, body, client, query))


async def asking(app, method="GET", path="/", headers=(), body=(b"",), client=("127.0.0.1", 1), query="") -> Answer:
    answer, pieces = Answer(), list(body)
    given = {"host": "127.0.0.1"} | {name.lower(): value for name, value in dict(headers).items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": client,
        "headers": [(name.encode(), value.encode("latin1")) for name, value in given.items()],
    }

    async def receive():
        if not pieces:
            await asyncio.Event().wait()  # nothing more comes, and the visitor stays
        piece = pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin1") for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer
