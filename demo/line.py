"""Gradio's queue with three things it lacks: fair turns, limits by address, and nothing kept for those who do not listen.

Gradio serves first come, first served, counts nobody, and keeps every message of a run until somebody reads it. Here a run
starts only while its visitor listens, a visitor who is away for long loses the place, and so the memory of runs is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gradio import queueing
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import run_coro_in_background

from . import uploads, visitors, wording
from .hosting import Hosting
from .visitors import Turns, Visitor

AWAY = 120.0  # seconds after which what a visitor does not listen to is dropped
TIDY_EVERY = 5.0
WAITING_BYTES = 128 * 1024**2  # of the requests of all open runs; one address may hold half of it
STOPPED_S = 10.0  # for so long after a run was cancelled, Stop may say so


@dataclass(frozen=True)
class Held:
    """A run that waits, is computed, or has not been read to its end."""

    visitor: Visitor  # with the session that the run belongs to
    counted: Visitor  # as the request named itself: a program's call may name no session
    kind: str | None  # concurrency_id
    size: int = 0  # bytes of the request


class Line(queueing.Queue):
    """See above. `hosting` sets the limits."""

    def __init__(self, hosting: Hosting, **options):
        super().__init__(**options)
        self.hosting, self.turns = hosting, Turns()
        self.held: dict[str, Held] = {}  # by event id
        self.listeners: Counter[str] = Counter()  # streams that are read now, by session
        self.away: dict[str, float] = {}  # session -> since when nobody listens
        self.stopped_runs: dict[str, float] = {}  # session -> when a run of it was last cancelled
        self.lasting: set[str] = set()  # cancelled runs that still compute
        self.entry = asyncio.Lock()  # or many requests at once would all find the limit not yet reached

    # -- joining

    async def push(self, body, request, username):
        visitor, kind, size = visitors.of(request), self._kind(body), int(request.headers.get("content-length", 0))
        async with self.entry:
            if not self._is_queued(body):
                return False, wording.text("class_no_page", visitor.language), "error"
            if self._exceeds(visitor, kind) or self._fills(visitor, size):
                return False, wording.text("class_busy", visitor.language), "queue_full"
            if not await self._has_room(visitor.address):
                return False, wording.text("class_full", visitor.language), "queue_full"
            done, event_id, state = await super().push(body, request, username)
            if done and event_id in self.event_ids_to_events:
                event = self.event_ids_to_events[event_id]
                own = Visitor(visitor.address, event.session_hash, visitor.language)
                self.held[event_id] = Held(own, visitor, event.concurrency_id, size)
                self._arrange(event.concurrency_id)
                self.broadcast_estimations(event.concurrency_id)
        return done, event_id, state

    def _kind(self, body) -> str | None:
        fn = self.blocks.fns.get(body.fn_index)
        return fn.concurrency_id if fn is not None else None

    def _is_queued(self, body) -> bool:
        """Whether the function waits in line at all; what the browser calls directly must not take places here."""
        fn = self.blocks.fns.get(body.fn_index)
        return fn is None or bool(fn.queue)

    async def _has_room(self, address: str) -> bool:
        """Whether a place is free for an address. Of a full line the address that holds most gives its last place up, unless it
        is this one or holds no more than this one then would: or a few addresses could shut all others out.
        """
        waiting = [event for line in self.event_queue_per_concurrency_id.values() for event in line.queue]
        if self.max_size is None or len(waiting) < self.max_size:
            return True
        places = Counter(self._visitor(event).address for event in waiting)
        most, count = places.most_common(1)[0]
        if count <= places[address] + 1:
            return False
        last = [event for event in waiting if self._visitor(event).address == most][-1]
        await super().remove_from_queue(last._id)
        told = {"error": wording.text("class_gave_way", self._visitor(last).language)}
        self.send_message(last, ProcessCompletedMessage(output=told, success=False))
        return True

    def open_runs(self, kind: str | None = None) -> list[Held]:
        """What is waiting, running (if only until it can be stopped) or unread, of one kind or of all."""
        for event_id in [i for i, held in self.held.items() if not self._is_open(i, held)]:
            del self.held[event_id]
        return [held for held in self.held.values() if kind in (None, held.kind)]

    def _is_open(self, event_id: str, held: Held) -> bool:
        return event_id in self.lasting or event_id in self.pending_event_ids_session.get(held.visitor.session, ())

    def _exceeds(self, visitor: Visitor, kind: str | None) -> bool:
        """An address is counted over all kinds; a window by each, so that Stop is heard where runs take all its places."""
        same = [held for held in self.open_runs() if held.visitor.address == visitor.address]
        own = sum(held.counted == visitor and held.kind == kind for held in same) if visitor.session else 0
        return own >= self.hosting.per_visitor or len(same) >= self.hosting.per_address

    def _fills(self, visitor: Visitor, size: int) -> bool:
        """Whether a request of so many bytes would be too much to keep until its turn comes."""
        sizes = [(held.visitor.address, held.size) for held in self.open_runs()]
        own = sum(held for address, held in sizes if address == visitor.address)
        return sum(held for _, held in sizes) + size > WAITING_BYTES or own + size > WAITING_BYTES // 2

    def _arrange(self, kind: str | None) -> None:
        """Puts those who wait in the order of their turns."""
        waiting = self.event_queue_per_concurrency_id[kind].queue
        waiting[:] = self.turns.order(sorted(waiting, key=lambda event: event.enqueue_time), self._visitor)

    def _visitor(self, event: queueing.Event) -> Visitor:
        held = self.held.get(event._id)
        return held.visitor if held else Visitor("", event.session_hash)

    def files(self) -> set[str]:
        """The files that runs wait with."""
        waiting = [event for line in self.event_queue_per_concurrency_id.values() for event in line.queue]
        return {file["path"] for event in waiting for file in uploads.files_in(event.data.data)}

    # -- whose turn it is

    def get_events(self):
        """The first in turn who listens."""
        for kind, line in self.event_queue_per_concurrency_id.items():
            if line.concurrency_limit is not None and line.current_concurrency >= line.concurrency_limit:
                continue
            event = next((event for event in line.queue if self.listeners[event.session_hash]), None)
            if event is not None:
                line.queue.remove(event)
                self.turns.served(self._visitor(event))
                self._arrange(kind)
                return [event], False, kind
        return None

    async def process_events(self, events, *args) -> None:
        visitors.CURRENT.set(self._visitor(events[0]))  # in this task alone
        await super().process_events(events, *args)

    # -- listening, leaving, tidying up

    @contextlib.contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """While the block runs, somebody reads the messages of a session."""
        self.listeners[session] += 1
        try:
            yield
        finally:
            self.listeners[session] -= 1
            if not self.listeners[session]:
                del self.listeners[session]

    def session_of(self, event_id: str) -> str | None:
        held = self.held.get(event_id)
        return held.visitor.session if held else None

    async def remove_from_queue(self, event_id: str) -> None:
        """A visitor cancelled a run."""
        held = self.held.get(event_id)
        if held is not None and self._is_open(event_id, held):
            self.stopped_runs[held.visitor.session] = time.monotonic()
        await super().remove_from_queue(event_id)

    def lasts(self, event_id: str | None, work: asyncio.Task) -> None:
        """A cancelled run cannot be stopped before `work` is over: until then its slot is taken, and it counts."""
        held = self.held.get(event_id)
        if held is None:
            return
        line = self.event_queue_per_concurrency_id[held.kind]

        def over(_) -> None:
            line.current_concurrency -= 1
            self.lasting.discard(event_id)

        line.current_concurrency += 1  # before Gradio, which knows that the run was cancelled, subtracts its own
        self.lasting.add(event_id)
        work.add_done_callback(over)

    def was_running(self, session: str, kind: str) -> bool:
        """Whether a run of this session is going on, or was cancelled a moment ago; asked once per cancelling."""
        running = any(held.visitor.session == session for held in self.open_runs(kind))
        return time.monotonic() - self.stopped_runs.pop(session, -STOPPED_S) < STOPPED_S or running

    def start(self) -> None:
        super().start()
        run_coro_in_background(self._keep_tidy)

    async def _keep_tidy(self) -> None:
        while not self.stopped:
            await self.tidy(time.monotonic())
            await asyncio.sleep(TIDY_EVERY)

    async def tidy(self, now: float) -> None:
        """Forgets the sessions that nobody has listened to for AWAY seconds, with all that was kept for them."""
        known = {*self.pending_messages_per_session, *self.pending_event_ids_session}
        for session in known:
            if self.listeners[session]:
                self.away.pop(session, None)
            elif now - self.away.setdefault(session, now) > AWAY:
                await self.clean_events(session_hash=session)
                self.pending_messages_per_session.pop(session, None)
                self.pending_event_ids_session.pop(session, None)
        self.away = {session: since for session, since in self.away.items() if session in self.pending_messages_per_session}
        self.stopped_runs = {session: at for session, at in self.stopped_runs.items() if now - at < STOPPED_S}
        self.open_runs()  # drops what is over
