"""Ctrl-C and SIGTERM while training: the running step ends, the state is saved, and what was lost is said truthfully."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run that was stopped from outside; the text says what is kept."""

    def __init__(self, text: str, number: int):
        super().__init__(text)
        self.number = number  # of the signal


class Noted:
    """Which signal has come, 0 for none."""

    number = 0


@contextlib.contextmanager
def _handled(handler) -> Iterator[None]:
    """Inside, the two signals call `handler(number, frame)`, unless they are ignored on purpose (nohup) or out of our hands."""
    kept = {}
    if threading.current_thread() is threading.main_thread():
        known = {number: signal.getsignal(number) for number in SIGNALS}
        kept = {number: old for number, old in known.items() if old not in (signal.SIG_IGN, None)}
    for number in kept:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in kept.items():
            signal.signal(number, old)


@contextlib.contextmanager
def noted_signals() -> Iterator[Noted]:
    """Inside, the first signal is only noted, so that a step can end and be saved; a second Ctrl-C interrupts."""
    noted = Noted()

    def note(number: int, _frame) -> None:
        if noted.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted.number = noted.number or number
        with contextlib.suppress(OSError):  # no print: a signal may come in the middle of one
            os.write(2, b"\nstopping after this step and saving; Ctrl-C once more stops at once\n")

    with _handled(note):
        yield noted


@contextlib.contextmanager
def between_steps() -> Iterator[None]:
    """Around a whole training command: where no step is running, either signal ends it and says that no step is lost."""
    text = "stopped while no step was running: none is lost; what was saved before is kept, and the same command goes on from it"

    def stop(number: int, _frame) -> None:
        raise Stopped(text, number)

    with _handled(stop):
        yield
