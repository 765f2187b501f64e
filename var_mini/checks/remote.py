"""The grader's end of the talk with the process that runs a student's notebook. Nothing that comes from there is trusted."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time

from .isolation import Isolation, shut_in
from .registry import names_for_worker

MAX_ANSWER_BYTES = 4 * 1024 * 1024  # what one question may bring in all; the largest right answer has some 50 kB
PART = 1 << 16


class WorkerLost(Exception):  # noqa: N818 (it names what happened)
    """The student's process ran too long, died or talks nonsense; the message says which."""


class Worker:
    """A process that runs cells and calls functions, shut in as `isolation` says the system can."""

    def __init__(self, memory_mb: int, isolation: Isolation):
        with contextlib.ExitStack() as held:
            command, environment = held.enter_context(shut_in(isolation, memory_mb, ["-m", f"{__package__}.worker"]))
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment | names_for_worker(),
                bufsize=0,
                start_new_session=True,
            )
            self.held = held.pop_all()
        self.asked = 0
        self.rest = b""
        os.set_blocking(self.process.stdin.fileno(), False)
        os.set_blocking(self.process.stdout.fileno(), False)

    def ask(self, request: dict, seconds: float) -> dict:
        """One request and the answer to it; both must be through within `seconds`. Raises WorkerLost."""
        self.asked += 1
        deadline = time.monotonic() + seconds
        try:
            for line in self._lines(json.dumps({**request, "id": self.asked}).encode() + b"\n", deadline):
                answer = _read(line)
                if answer.get("id") == self.asked:  # others were written by the notebook itself
                    return answer
        except TimeoutError:
            raise WorkerLost(f"time limit: not done after {seconds:.0f} s; does a loop never end?") from None
        except OSError:
            pass
        raise WorkerLost("the process ended (out of memory, or the code ended Python itself)")

    def _lines(self, request: bytes, deadline: float):
        """Writes the request while it reads lines, whichever is possible, so that neither side can make the other wait."""
        source, target, received, request = self.process.stdout, self.process.stdin, 0, memoryview(request)
        with selectors.DefaultSelector() as ready:
            ready.register(source, selectors.EVENT_READ)
            ready.register(target, selectors.EVENT_WRITE)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                for key, _ in ready.select(left):
                    if key.fileobj is target:
                        request = request[os.write(target.fileno(), request[:PART]) :]
                        if not len(request):
                            ready.unregister(target)
                        continue
                    part = os.read(source.fileno(), PART)
                    received += len(part)
                    if not part or received > MAX_ANSWER_BYTES:
                        raise OSError("closed")
                    *lines, self.rest = (self.rest + part).split(b"\n")
                    yield from lines

    def close(self) -> None:
        """Ends the process and all that it started."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what is left where the keeper itself was killed
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        self.held.close()


def _read(line: bytes) -> dict:
    """The object in one line, or an empty one: nested a thousand deep, numbers of thousands of digits, no JSON at all."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError, MemoryError):
        return {}
    return answer if isinstance(answer, dict) else {}
