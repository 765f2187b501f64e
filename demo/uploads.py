"""Files that visitors send: a folder of this process alone, a share of the disk for each address, nothing left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from gradio.route_utils import GradioMultiPartParser, GradioUploadFile
from gradio.routes import file_upload_statuses as progress
from gradio_client.utils import strip_invalid_filename_characters
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from .bodies import MAX_FILE, RefusedError
from .hosting import Hosting

# What an address keeps here for each run that it may have waiting; its oldest files make room for new ones.
SHARE = 4 * 1024**2  # bytes
FILES = 2  # however small
IN_ALL = 512 * 1024**2  # bytes of everybody; then the oldest of whoever has most goes
DISK_LEFT = 256 * 1024**2  # bytes that stay free for others on this machine
KEPT_S = 3600.0


def private_folder() -> None:
    """Gives uploads a folder of this process alone, unless one is named: /tmp/gradio is shared with every other Gradio app."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="var-mini-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def files_in(value, depth: int = 0) -> Iterator[dict]:
    """What may be a file among the inputs of a call: {path, ...}, with {meta} as Gradio writes it; anybody may write anything."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list) and depth < 20:
        for one in value:
            yield from files_in(one, depth + 1)


class Uploads:
    """Receives files and knows what lies in the folder, by whom. `known` is Gradio's own set of uploaded files, `wanted` tells
    those that runs wait with: of an address they go last.

    Gradio's own way to receive them takes a thousand files of a request, and keeps the pieces of those that break off.
    """

    def __init__(self, folder: Path | str, known: set, per_address: int = Hosting.per_address, wanted: Callable[[], set] = set):
        self.folder, self.known, self.wanted = Path(folder), known, wanted
        self.most_bytes, self.most_files = per_address * SHARE, per_address * FILES  # of an address
        self.files: dict[str, tuple[str, int, float]] = {}  # path -> address, bytes, time; oldest first
        self.of: defaultdict[str, dict[str, None]] = defaultdict(dict)  # address -> its paths, oldest first
        self.held: Counter[str] = Counter()  # address -> bytes
        self.total = 0  # bytes
        self.coming: Counter[str] = Counter()  # names under which the progress of uploads is watched
        self.watched: set[str] = set()  # such names that no upload had any more when it was last looked

    async def take(self, request: Request, address: str) -> str:
        """Receives the one file of a request; its path. Raises RefusedError for all else, and where the disk has no room."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free - self.coming.total() * MAX_FILE < DISK_LEFT:
            raise RefusedError(507, "class_no_room")
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise RefusedError(400, "class_one_file")
        name = request.query_params.get("upload_id", "")
        watched = {"upload_id": name, "upload_progress": progress} if name else {}
        parser = GradioMultiPartParser(
            request.headers,
            request.stream(),
            max_files=1,
            max_fields=0,
            upload_dir=self.folder,
            max_file_size=MAX_FILE,
            **watched,
        )
        self.coming[name] += 1
        try:
            files = (await parser.parse()).getlist("files")
            if len(files) != 1:
                raise RefusedError(400, "class_one_file")
            return self._place(files[0], address)
        except MultiPartException as error:
            too_large = "maximum allowed size" in error.message
            raise RefusedError(413 if too_large else 400, "class_too_large" if too_large else "class_one_file") from None
        except ClientDisconnect:
            raise RefusedError(400, "class_broken_off") from None
        finally:
            self.coming -= Counter([name])
            for piece in parser._files_to_close_on_error:
                piece.close()
                Path(piece.name).unlink(missing_ok=True)  # where it was not moved to its place

    def _place(self, file: GradioUploadFile, address: str) -> str:
        """Moves a file that is whole to where Gradio looks for it, in a folder named after the content."""
        name = strip_invalid_filename_characters(Path(file.filename or "").name)
        folder = self.folder / file.sha.hexdigest()
        folder.mkdir(exist_ok=True)
        path = str(folder / ("file" if name in ("", ".", "..") else name))
        file.file.close()
        os.replace(file.file.name, path)
        self.keep(path, address)
        return path

    def keep(self, path: str, address: str) -> None:
        """Counts a file to an address, and deletes what is too much then."""
        self._forget(path)
        size = Path(path).stat().st_size
        self.files[path] = address, size, time.time()
        self.of[address][path] = None
        self.held[address] += size
        self.total += size
        self.known.add(path)
        while self.held[address] > self.most_bytes or len(self.of[address]) > self.most_files:
            self._drop(self._oldest(address))
        while self.total > IN_ALL:
            self._drop(self._oldest(max(self.held, key=self.held.__getitem__)))

    def _oldest(self, address: str) -> str:
        """The oldest that no run waits with. If there is none but the newest, whose run is about to come, the oldest of all."""
        *older, newest = self.of[address]
        wanted = self.wanted()
        return next((path for path in older if path not in wanted), older[0] if older else newest)

    def _forget(self, path: str) -> None:
        if path not in self.files:
            return
        address, size, _ = self.files.pop(path)
        self.total -= size
        self.held[address] -= size
        del self.of[address][path]
        if not self.of[address]:
            del self.of[address], self.held[address]

    def _drop(self, path: str) -> None:
        self._forget(path)
        self.known.discard(path)
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()  # named after the content; fails where another file of that content is left

    def tidy(self, now: float) -> None:
        """Deletes what is older than an hour, and what Gradio remembers of the progress of uploads that are over.

        Whoever asks for the progress of an upload has its name remembered, even if there is none; what is looked at lasts
        three seconds, so a name goes when it is found a second time.
        """
        while self.files and now - next(iter(self.files.values()))[2] > KEPT_S:
            self._drop(next(iter(self.files)))
        over = {*progress._statuses, *progress._signals} - set(self.coming)
        for name in over & self.watched:
            progress._statuses.pop(name, None)
            progress._signals.pop(name, None)
        self.watched = over
