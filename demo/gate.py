"""The one gate that everything passes which computes with a model: one at a time, in fair turns, with a limit per visitor.

Two computations at once would only slow each other down, and their memory would add up. A run that draws scale by scale passes
the gate once per scale, so a click of somebody else waits for a scale, not for a picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.to_thread

from . import visitors, wording
from .hosting import Hosting
from .visitors import Turns, Visitor

T = TypeVar("T")


class BusyError(Exception):
    """A visitor asks for more at once than one may."""


@dataclass(eq=False)
class _Waiting:
    visitor: Visitor
    arrived: asyncio.Future = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Gate:
    """Used in one event loop; `hosting` sets how many computations of one visitor may wait."""

    def __init__(self, hosting: Hosting):
        self.hosting, self.turns = hosting, Turns()
        self.waiting: list[_Waiting] = []
        self.taken = False
        self.computing: set[asyncio.Task] = set()  # the event loop alone would not keep them

    @contextlib.asynccontextmanager
    async def turn(self, visitor: Visitor, limited: bool = True) -> AsyncIterator[None]:
        """Waits for this visitor's turn and keeps it for the block. Raises BusyError beyond the limit, if `limited`."""
        if limited and self._exceeds(visitor):
            raise BusyError
        if self.taken:
            own = _Waiting(visitor)
            self.waiting.append(own)
            try:
                await own.arrived
            except asyncio.CancelledError:
                if own in self.waiting:
                    self.waiting.remove(own)
                else:
                    self._next()  # the turn came at the same moment: pass it on
                raise
        self.taken = True
        self.turns.served(visitor)
        try:
            yield
        finally:
            self._next()

    async def compute(
        self,
        visitor: Visitor,
        work: Callable[[], Coroutine[None, None, T]],
        limited: bool = True,
        left: Callable[[asyncio.Task], None] | None = None,
    ) -> T:
        """The result of `work()`, which runs in this visitor's turn; raises as `turn` does.

        A thread that computes cannot be stopped: who is cancelled after the work has begun leaves at once, and the turn lasts
        until the work is over. `left` is then called with its task.
        """
        begun = False

        async def in_turn() -> T:
            nonlocal begun
            async with self.turn(visitor, limited):
                begun = True
                return await work()

        task = asyncio.create_task(in_turn())
        self.computing.add(task)
        task.add_done_callback(self.computing.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not begun:
                task.cancel()
            elif left is not None:
                left(task)
            raise

    def _exceeds(self, visitor: Visitor) -> bool:
        same = [one.visitor for one in self.waiting if one.visitor.address == visitor.address]
        own = sum(one == visitor for one in same) if visitor.session else 0
        return own >= self.hosting.per_visitor or len(same) >= self.hosting.per_address

    def _next(self) -> None:
        if not self.waiting:
            self.taken = False
            return
        first = self.turns.order(self.waiting, lambda one: one.visitor)[0]
        self.waiting.remove(first)
        if not first.arrived.done():  # one that gave up in this very moment passes the turn on itself
            first.arrived.set_result(None)  # `taken` stays true: nobody slips in between


_GATES: dict[asyncio.AbstractEventLoop, Gate] = {}  # a server has one loop; tests run several servers in a process


def open_gate(hosting: Hosting) -> Gate:
    """The gate of the server whose event loop this runs in."""
    for loop in [loop for loop in _GATES if loop.is_closed()]:
        del _GATES[loop]
    return _GATES.setdefault(asyncio.get_running_loop(), Gate(hosting))


def here() -> Gate:
    """The gate of the running event loop, with the usual limits where none was opened."""
    return open_gate(Hosting())


def served(function: Callable) -> Callable:
    """A function for the browser (`server_functions`) that computes with a model: it waits for its visitor's turn.

    Beyond the limit it answers {error} without computing anything.
    """

    @functools.wraps(function)
    async def answer(query):
        visitor = visitors.CURRENT.get()
        try:
            return await here().compute(visitor, lambda: anyio.to_thread.run_sync(function, query))
        except BusyError:
            return {"error": wording.text("class_busy", visitor.language)}

    return answer
