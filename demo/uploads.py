"""Files that visitors send: a folder of this process alone, a share of the disk for each address, nothing left behind."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter, OrderedDict
from pathlib import Path

from .bodies import UPLOAD_S, RefusedError

OF_ADDRESS = 128 * 1024**2  # bytes that one address keeps here; its oldest files make room for new ones
IN_ALL = 512 * 1024**2  # of everybody; then the oldest of whoever has most goes
DISK_LEFT = 256 * 1024**2  # bytes that stay free for others on this machine
KEPT_S = 3600.0


def private_folder() -> None:
    """Gives uploads a folder of this process alone, unless one is named: /tmp/gradio is shared with every other Gradio app."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="var-mini-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


class Uploads:
    """What lies in the folder, by whom. `known` is Gradio's own set of uploaded files."""

    def __init__(self, folder: Path | str, known: set):
        self.folder, self.known = Path(folder), known
        self.files: OrderedDict[str, tuple[str, int, float]] = OrderedDict()  # path -> address, bytes, time; oldest first
        self.coming = 0  # uploads under way

    @contextlib.contextmanager
    def arriving(self, address: str):
        """For the time of an upload; yields a function that takes the server's answer, the list of its files.

        Raises RefusedError where the disk has no room. What a broken upload leaves is deleted.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < DISK_LEFT:
            raise RefusedError(507, "class_no_room")
        self.coming += 1
        try:
            yield lambda answer: self._keep(address, answer)
        finally:
            self.coming -= 1
            self.tidy(time.time())

    def _keep(self, address: str, answer: bytes) -> None:
        with contextlib.suppress(ValueError, OSError, TypeError):
            for path in json.loads(answer):
                self.files.pop(path, None)
                self.files[path] = address, Path(path).stat().st_size, time.time()
        while self._bytes(address) > OF_ADDRESS:
            self._drop(next(path for path, (owner, _, _) in self.files.items() if owner == address))
        while sum(size for _, size, _ in self.files.values()) > IN_ALL:
            held = Counter()
            for owner, size, _ in self.files.values():
                held[owner] += size
            most = held.most_common(1)[0][0]
            self._drop(next(path for path, (owner, _, _) in self.files.items() if owner == most))

    def _bytes(self, address: str) -> int:
        return sum(size for owner, size, _ in self.files.values() if owner == address)

    def _drop(self, path: str) -> None:
        self.files.pop(path, None)
        self.known.discard(path)
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()  # named after the content; fails where another file of that content is left

    def tidy(self, now: float) -> None:
        """Deletes what is older than an hour, and the pieces of uploads that never came to their end.

        Gradio writes an upload to a file directly in the folder and moves it into one of its own when it is whole.
        """
        for path in [path for path, (_, _, at) in self.files.items() if now - at > KEPT_S]:
            self._drop(path)
        for piece in self.folder.glob("tmp*"):
            with contextlib.suppress(OSError):
                if piece.is_file() and (not self.coming or now - piece.stat().st_mtime > UPLOAD_S):
                    piece.unlink()
