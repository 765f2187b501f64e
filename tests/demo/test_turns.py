"""Turns at a served page: nobody fills the queue, skips it, or computes twice at once."""

from __future__ import annotations

import inspect
import json
import threading
import uuid

import pytest

from demo import app, guard, models, runs, wording
from demo.chapters import lowrank_limits
from demo.hosting import Hosting
from tests.demo.wire import API, Wire, until

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
LIMITS = Hosting(per_visitor=3, per_address=6)


@pytest.fixture(scope="module")
def wire(tiny):
    page = app.launch(tiny, port=None, hosting=LIMITS, prevent_thread_lock=True, quiet=True)
    yield Wire(page, tiny)
    page.close()


def generate_index(wire) -> int:
    (index,) = [i for i, listener in wire.page.fns.items() if listener.api_name == "generate"]
    return index


def test_nobody_fills_the_queue_alone(wire, tiny, monkeypatch):
    """A window, and an address with however many windows, holds so many places at most; somebody else still gets one."""
    index, line = generate_index(wire), wire.page._queue
    crowd, elsewhere = (Wire(wire.page, tiny, address) for address in ("127.0.0.3", "127.0.0.2"))  # fresh ones

    def join(visitor: Wire, session: str | None, seed: int) -> int:
        data = [tiny, 0, seed, 0, 1, 0, 1, "exact"]
        if session is None:
            return visitor.ask("POST", f"{API}/call/generate", {"data": data})[0]
        return visitor.ask("POST", f"{API}/queue/join", {"fn_index": index, "data": data, "session_hash": session})[0]

    greedy = uuid.uuid4().hex  # nobody listens, so nothing starts
    assert [join(crowd, greedy, seed) for seed in range(LIMITS.per_visitor + 2)] == [200] * LIMITS.per_visitor + [503] * 2
    sessions = [uuid.uuid4().hex, None, uuid.uuid4().hex, None, uuid.uuid4().hex, None, uuid.uuid4().hex]
    left = LIMITS.per_address - LIMITS.per_visitor
    assert [join(crowd, session, 0) for session in sessions] == [200] * left + [503] * (len(sessions) - left)
    other = uuid.uuid4().hex
    assert join(elsewhere, other, 0) == 200
    waiting = line.event_queue_per_concurrency_id["model"].queue
    assert [event.session_hash for event in waiting].index(other) <= 1  # not behind the crowd
    _, stream = elsewhere.ask("GET", f"{API}/queue/data?session_hash={other}")
    assert b'"success":true' in stream
    # who never listens loses the places, and what was kept for them
    monkeypatch.setattr("demo.line.AWAY", -1.0)
    until(lambda: not line.pending_event_ids_session and not line.pending_messages_per_session)
    assert line.open_runs() == [] and not waiting
    wire.still_right()


def test_a_cancelled_run_that_computes_on_keeps_its_turn_and_its_slot(wire, tiny, monkeypatch):
    """Joining and cancelling again and again computes one thing at a time: a thread cannot be stopped."""
    index, line, at_once, most = generate_index(wire), wire.page._queue, [], []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def slow(_):
        at_once.append(1)
        most.append(len(at_once))
        begun.release()
        go_on.acquire()
        at_once.pop()
        raise ValueError("over")

    monkeypatch.setattr(runs, "trace", slow)
    waiting, streams = [], []
    for seed in range(LIMITS.per_visitor):
        session, data = uuid.uuid4().hex, [tiny, 0, seed, 0, 1, 0, 1, "exact"]
        _, answer = wire.ask("POST", f"{API}/queue/join", {"fn_index": index, "data": data, "session_hash": session})
        waiting.append((json.loads(answer)["event_id"], session))
        stream = threading.Thread(target=wire.ask, args=("GET", f"{API}/queue/data?session_hash={session}"))
        stream.start()
        streams.append(stream)
    sessions = dict(waiting)
    for _ in range(LIMITS.per_visitor):
        begun.acquire()
        (event_id,) = {event._id for job in line.active_jobs if job for event in job}
        body = {"fn_index": index, "event_id": event_id, "session_hash": sessions[event_id]}
        assert wire.ask("POST", f"{API}/cancel", body)[0] == 200
        assert line.lasting == {event_id} and line.event_queue_per_concurrency_id[guard.MODEL].current_concurrency == 1
        go_on.release()
    for stream in streams:
        stream.join()
    until(lambda: not line.lasting)
    monkeypatch.undo()
    assert most == [1] * LIMITS.per_visitor and line.open_runs() == []
    wire.still_right()


def test_what_skips_the_line_takes_no_place_in_it(wire):
    for index in [i for i, listener in wire.page.fns.items() if not listener.queue]:
        body = {"fn_index": index, "data": [], "session_hash": uuid.uuid4().hex}
        status, answer = wire.ask("POST", f"{API}/queue/join", body)
        assert status == 400 and json.loads(answer)["detail"] == EN["class_no_page"]
    assert wire.page._queue.open_runs() == []


def test_what_skips_the_line_computes_nothing(wire, tiny, monkeypatch):
    """Listeners outside of the queue, and functions for the browser without a turn at the gate, need no model."""

    def forbidden(*_, **__):
        raise AssertionError("a model was used")

    monkeypatch.setattr(models, "load_model", forbidden)
    monkeypatch.setattr(lowrank_limits, "_unit", forbidden)
    monkeypatch.setattr(guard, "log", lambda error: pytest.fail(repr(error)))
    skipping = [i for i, listener in wire.page.fns.items() if listener.fn is not None and not listener.queue]
    assert len(skipping) > 10
    for index in skipping:
        answer = wire.call(index, [getattr(one, "value", None) for one in wire.page.fns[index].inputs])
        assert "data" in answer or answer["error"] != EN["class_unexpected"]
    queued = {listener.name for listener in wire.page.fns.values() if listener.queue and listener.concurrency_id != guard.MODEL}
    assert queued == {"stop"}
    ungated = {
        function.__name__
        for block in wire.page.blocks.values()
        for function in getattr(block, "server_fns", [])
        if not inspect.iscoroutinefunction(function)
    }
    assert ungated == {"plan"}


def test_a_crowd_of_clicks_is_refused_beyond_the_limit(wire, tiny):
    """Forty exports at once, each of a run that was never drawn."""
    (number,) = [
        n for n, block in wire.page.blocks.items() if any(f.__name__ == "export" for f in getattr(block, "server_fns", []))
    ]
    answers, elsewhere = [], Wire(wire.page, tiny, "127.0.0.2")

    def click(visitor, seed):
        query = {"settings": runs.checked(tiny, 0, seed, 0, 1, 0, 1).to_dict(), "kind": "png"}
        body = {"data": query, "component_id": number, "session_hash": "crowd", "fn_name": "export"}
        return json.loads(visitor.ask("POST", f"{API}/component_server", body)[1])

    threads = [threading.Thread(target=lambda seed=seed: answers.append(click(wire, seed))) for seed in range(100, 140)]
    for thread in threads:
        thread.start()
    assert click(elsewhere, 7)["name"].endswith("-7.png")
    for thread in threads:
        thread.join()
    told = {answer.get("error") for answer in answers}
    assert len(answers) == 40 and told <= {None, EN["class_busy"]}
    wire.still_right()
