"""The queue: who listens is served, in fair turns, and nothing is kept for who has gone."""

from __future__ import annotations

import asyncio
from asyncio import Queue as Messages
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gradio.queueing import EventQueue

from demo import line as module
from demo import wording
from demo.hosting import Hosting
from demo.line import Held, Line
from demo.visitors import Visitor
from tests.demo.asgi import run


@pytest.fixture
def line() -> Line:
    built = Line(
        Hosting(), live_updates=False, concurrency_count=4, update_intervals=1, max_size=9, blocks=SimpleNamespace(fns={})
    )
    built.event_queue_per_concurrency_id["another"] = EventQueue("another", 1)
    built.event_queue_per_concurrency_id["model"] = EventQueue("model", 1)
    return built


def add(line: Line, session: str, address: str = "10.0.0.1", number: int = 0, kind: str = "model") -> SimpleNamespace:
    """An event that waits, as Gradio's push leaves it."""
    event_id = f"{session}-{number}"
    event = SimpleNamespace(_id=event_id, session_hash=session, enqueue_time=len(line.held), concurrency_id=kind, alive=True)
    line.event_queue_per_concurrency_id[kind].queue.append(event)
    line.event_ids_to_events[event_id] = event
    line.pending_event_ids_session.setdefault(session, set()).add(event_id)
    if session not in line.pending_messages_per_session:
        line.pending_messages_per_session[session] = Messages()
    who = Visitor(address, session)
    line.held[event_id] = Held(who, who, kind)
    line._arrange(kind)
    return event


def served(line: Line) -> list[str]:
    found = []
    while (got := line.get_events()) is not None:
        events, batch, kind = got
        assert len(events) == 1 and not batch and kind == "model"
        found.append(events[0]._id)
    return found


def test_a_run_starts_only_while_somebody_listens(line):
    for session in ("deaf", "one"):
        add(line, session)
    assert line.get_events() is None
    with line.listening("one"):
        assert served(line) == ["one-0"]
        with line.listening("deaf"), line.listening("deaf"):
            pass
        assert not line.listeners["deaf"] and line.get_events() is None
    line.event_queue_per_concurrency_id["model"].current_concurrency = 1
    with line.listening("deaf"):
        assert line.get_events() is None  # the worker is busy
        line.event_queue_per_concurrency_id["model"].current_concurrency = 0
        assert served(line) == ["deaf-0"]


def test_a_crowd_at_one_address_does_not_hold_up_another(line):
    for i in range(6):
        add(line, f"crowd{i % 2}", number=i)
    add(line, "other", "10.0.0.2")
    places = [event._id for event in line.event_queue_per_concurrency_id["model"].queue]
    assert places.index("other-0") == 1
    with line.listening("crowd0"), line.listening("crowd1"), line.listening("other"):
        order = served(line)
    assert order == places == ["crowd0-0", "other-0", "crowd1-1", "crowd0-2", "crowd1-3", "crowd0-4", "crowd1-5"]


def test_who_has_gone_is_forgotten_with_all_messages(line):
    add(line, "gone")
    add(line, "here")
    with line.listening("here"):
        for now in (100.0, 100.0 + module.AWAY, 101.0 + module.AWAY):
            assert "gone" in line.pending_messages_per_session
            run(line.tidy(now))
    assert set(line.pending_messages_per_session) == set(line.pending_event_ids_session) == {"here"}
    assert [held.visitor.session for held in line.open_runs()] == ["here"]
    assert [event.session_hash for event in line.event_queue_per_concurrency_id["model"].queue] == ["here"]
    assert set(line.away) <= {"here"}


def test_a_moment_of_listening_starts_the_time_anew(line):
    add(line, "one")
    run(line.tidy(100.0))
    with line.listening("one"):
        run(line.tidy(150.0))
    run(line.tidy(160.0))
    run(line.tidy(160.0 + module.AWAY))
    assert "one" in line.pending_messages_per_session
    run(line.tidy(161.0 + module.AWAY))
    assert not line.pending_messages_per_session and not line.away


def test_limits_count_the_window_and_the_address_until_a_run_is_read(line):
    line.hosting = Hosting(per_visitor=2, per_address=4)
    one, none = Visitor("10.0.0.1", "one"), Visitor("10.0.0.1")
    for i in range(2):
        assert not line._exceeds(one, "model")
        add(line, "one", number=i)
    assert line._exceeds(one, "model") and not line._exceeds(one, "another")
    assert not line._exceeds(Visitor("10.0.0.1", "two"), "model") and not line._exceeds(none, "model")
    for i in range(2):
        add(line, f"call{i}")
    assert line._exceeds(none, "model") and line._exceeds(Visitor("10.0.0.1", "new"), "model")
    assert not line._exceeds(Visitor("10.0.0.2", "one"), "model")
    line.pending_event_ids_session["one"].clear()  # both were read to their end
    assert not line._exceeds(one, "model") and not line._exceeds(none, "model")


def test_the_limit_of_an_address_counts_runs_of_every_kind(line):
    line.hosting = Hosting(per_visitor=9, per_address=4)
    for i, kind in enumerate(("model", "another") * 2):
        assert not line._exceeds(Visitor("10.0.0.1", "new"), "model")
        add(line, f"s{i}", kind=kind)
    for kind in ("model", "another", "a third"):
        assert line._exceeds(Visitor("10.0.0.1", "new"), kind) and not line._exceeds(Visitor("10.0.0.2", "new"), kind)


def test_of_a_full_line_who_holds_most_gives_the_last_place_up(line):
    """Two addresses fill it with runs of two kinds; a third still gets in, until all three hold as much."""
    line.max_size = 8
    for number in range(4):
        for address, kind in (("10.0.0.1", "model"), ("10.0.0.2", "another")):
            assert run(line._has_room(address))
            add(line, address, address, number, kind)
    places = []
    for number in range(4):
        if run(line._has_room("10.0.0.3")):
            add(line, "late", "10.0.0.3", number)
        waiting = [event for queue in line.event_queue_per_concurrency_id.values() for event in queue.queue]
        places.append(sorted(Counter(event.session_hash for event in waiting).values()))
    assert places == [[1, 3, 4], [2, 3, 3], [2, 3, 3], [2, 3, 3]] and not run(line._has_room("10.0.0.1"))
    told = [line.pending_messages_per_session[address].get_nowait() for address in ("10.0.0.1", "10.0.0.2")]
    assert sorted(message.event_id for message in told) == ["10.0.0.1-3", "10.0.0.2-3"]  # each its last one
    assert all(not message.success and message.output["error"] == wording.text("class_gave_way") for message in told)


def test_what_does_not_wait_in_line_takes_no_place(line):
    line.blocks.fns[0] = SimpleNamespace(queue=False, concurrency_id="direct")
    request = SimpleNamespace(headers={}, scope={"client": ("10.0.0.1", 1)})
    done, told, state = run(line.push(SimpleNamespace(fn_index=0), request, None))
    assert (done, told, state) == (False, wording.text("class_no_page"), "error") and not line.held


def test_a_cancelled_run_that_computes_on_keeps_its_slot_and_counts(line):
    line.hosting, queue = Hosting(per_visitor=1), line.event_queue_per_concurrency_id["model"]
    add(line, "one")

    async def story():
        with line.listening("one"):
            line.get_events()
        queue.current_concurrency, over = 1, asyncio.Event()
        work = asyncio.create_task(over.wait())
        line.lasts("one-0", work)
        queue.current_concurrency -= 1  # as Gradio does
        line.pending_event_ids_session["one"].clear()  # its end was told and read
        add(line, "two", "10.0.0.2")
        with line.listening("two"):
            assert line.get_events() is None and line._exceeds(Visitor("10.0.0.1", "one"), "model")
            over.set()
            await work
            await asyncio.sleep(0)
            assert line.get_events() is not None and not line._exceeds(Visitor("10.0.0.1", "one"), "model")

    run(story())
    assert queue.current_concurrency == 0 and not line.lasting


def test_the_files_that_runs_wait_with_are_known(line):
    file = {"path": "/folder/a.png", "meta": {"_type": "gradio.FileData"}}
    add(line, "one").data = SimpleNamespace(data=[1, "x", None, [[file]]])
    add(line, "two", kind="another").data = SimpleNamespace(
        data=[{"record": {"path": 7}}, {"a": file | {"path": "/folder/b.png"}}]
    )
    assert line.files() == {"/folder/a.png", "/folder/b.png"}


def test_large_requests_that_wait_share_a_memory(line, monkeypatch):
    monkeypatch.setattr(module, "WAITING_BYTES", 1000)
    for i, address in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.2")):
        event = add(line, f"s{i}", address)
        line.held[event._id] = replace(line.held[event._id], size=200)
    ten = [Visitor(f"10.0.0.{i}") for i in range(4)]
    assert not line._fills(ten[1], 300) and line._fills(ten[1], 301)  # half of it for one address
    assert not line._fills(ten[2], 100) and line._fills(ten[2], 101)
    assert not line._fills(ten[3], 400) and line._fills(ten[3], 401)  # and the whole for all


def test_stop_knows_whether_there_was_anything_to_stop(line):
    assert not line.was_running("one", "model")
    add(line, "one")
    assert line.was_running("one", "model") and not line.was_running("two", "model")
    run(line.remove_from_queue("one-0"))
    line.pending_event_ids_session["one"].clear()
    assert line.was_running("one", "model") and not line.was_running("one", "model")  # asked once
    run(line.remove_from_queue("one-0"))
    assert not line.was_running("one", "model")  # it was over already
