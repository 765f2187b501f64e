"""A folder on an address of this machine, as any static host would serve it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_) -> None:
        """Says nothing of each request."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        """Says nothing of visitors who leave in the middle of an answer, either."""


@contextlib.contextmanager
def serving(folder: Path | str, port: int = 0) -> Iterator[str]:
    """Serves `folder` until the block ends; yields the address. Port 0 takes a free one. Raises OSError where it is taken."""
    server = _Server(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
