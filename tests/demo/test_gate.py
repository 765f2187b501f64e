"""Whose turn it is: fair between addresses and between the visitors of one, with a limit, and one computation at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import gate, visitors
from demo.gate import BusyError, Gate
from demo.hosting import Hosting
from demo.visitors import Turns, Visitor
from tests.demo.asgi import run

A, B = Visitor("10.0.0.1", "a"), Visitor("10.0.0.2", "b")
VISITORS = st.builds(Visitor, st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.sampled_from(["", "s", "t"]))


def spread(counts: Counter, of: set) -> int:
    return max(counts[key] for key in of) - min(counts[key] for key in of)


@settings(max_examples=200, deadline=None)
@given(st.lists(VISITORS, max_size=24))
def test_nobody_gets_two_turns_before_all_others_who_wait_had_one(waiting):
    """Round robin by its definition: among those who still wait, turns differ by one at most; so within an address."""
    order = Turns().order(list(enumerate(waiting)), lambda one: one[1])
    assert sorted(order) == list(enumerate(waiting))
    addresses, own = Counter(), Counter()
    for i in range(len(order)):
        rest = [visitor for _, visitor in order[i:]]
        assert spread(addresses, {visitor.address for visitor in rest}) <= 1
        for address in {visitor.address for visitor in rest}:
            assert spread(own, {visitor for visitor in rest if visitor.address == address}) <= 1
        addresses[order[i][1].address] += 1
        own[order[i][1]] += 1
    for visitor in set(waiting):  # each visitor's own in the order in which they came
        mine = [number for number, who in order if who == visitor]
        assert mine == sorted(mine)


def test_who_was_served_a_moment_ago_comes_after_who_was_not():
    turns = Turns()
    turns.served(A)
    assert turns.order([A, A, B], lambda one: one) == [B, A, A]
    for i in range(visitors.REMEMBERED):
        turns.served(Visitor(f"10.1.{i // 256}.{i % 256}"))
    assert len(turns.last) == visitors.REMEMBERED


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 5), "192.0.2.7"),
        (("unix:x", 0), "unix:x"),
        (None, ""),
    ],
)
def test_an_ipv6_network_is_one_address(client, address):
    assert visitors.address_of({"client": client}) == address


# -- the gate --------------------------------------------------------------------------------------------------------


async def work(door: Gate, who: Visitor, done: list, inside: list | None = None) -> None:
    async with door.turn(who):
        if inside is not None:
            inside.append(who)
            await asyncio.sleep(0)
            assert len(inside) == 1  # nobody else computes meanwhile
            inside.remove(who)
        done.append(who)


def test_a_bystander_goes_before_the_rest_of_a_crowd():
    async def crowd():
        door, done, inside = Gate(Hosting(per_visitor=64, per_address=64)), [], []
        tasks = [asyncio.create_task(work(door, A, done, inside)) for _ in range(40)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(work(door, B, done, inside)))
        await asyncio.gather(*tasks)
        return done, door

    done, door = run(crowd())
    assert done.index(B) <= 2 and len(done) == 41  # whoever was called before B came is served first
    assert not door.taken and not door.waiting


@pytest.mark.parametrize(
    ("who", "admitted"),
    [
        (lambda i: A, 3),  # one window
        (lambda i: Visitor("10.0.0.1", str(i)), 5),  # another session every time: the address counts
        (lambda i: Visitor("10.0.0.1"), 5),  # no session at all
        (lambda i: Visitor(f"10.0.0.{i}", "s"), 9),  # others
    ],
)
def test_beyond_the_limit_nothing_waits(who, admitted):
    async def crowd():
        door, done = Gate(Hosting(per_visitor=3, per_address=5)), []
        async with door.turn(Visitor("busy")):
            tasks = [asyncio.create_task(work(door, who(i), done)) for i in range(9)]
            await asyncio.sleep(0)
            assert len(door.waiting) == admitted
        return await asyncio.gather(*tasks, return_exceptions=True), done

    results, done = run(crowd())
    assert len(done) == admitted and sum(isinstance(one, BusyError) for one in results) == 9 - admitted


def test_the_gate_opens_again_after_a_failure_and_a_cancelled_wait():
    async def story():
        door, done = Gate(Hosting()), []
        with pytest.raises(ZeroDivisionError):
            async with door.turn(A):
                raise ZeroDivisionError
        async with door.turn(A):
            gone = asyncio.create_task(work(door, A, done))
            late = asyncio.create_task(work(door, B, done))
            await asyncio.sleep(0)
            gone.cancel()
        late_too = asyncio.create_task(work(door, A, done))
        await asyncio.gather(late, late_too)
        return door, done

    door, done = run(story())
    assert sorted(one.session for one in done) == ["a", "b"] and not door.taken and not door.waiting


@pytest.mark.parametrize("before", [True, False])
def test_a_turn_given_to_who_leaves_at_that_moment_goes_to_the_next(before):
    async def story():
        door, done = Gate(Hosting()), []
        async with door.turn(A):
            gone = asyncio.create_task(work(door, A, done))
            stays = asyncio.create_task(work(door, A, done))
            await asyncio.sleep(0)
            if before:
                gone.cancel()  # it leaves, but has not woken up yet when the turn is given
        gone.cancel()  # its turn has come, but it has not woken up yet
        await asyncio.gather(gone, return_exceptions=True)
        await stays
        return door, done

    door, done = run(story())
    assert done == [A] and not door.taken


def test_who_is_cancelled_leaves_but_the_turn_lasts_until_the_thread_is_through():
    """Ten calls, each cancelled after it has begun: never do two compute at once."""
    at_once, most, begun, go_on = [], [], threading.Semaphore(0), threading.Semaphore(0)

    def compute():
        at_once.append(1)
        most.append(len(at_once))
        begun.release()
        go_on.acquire()
        at_once.pop()

    async def story():
        door, left = Gate(Hosting(per_visitor=64)), []
        calls = [
            asyncio.create_task(door.compute(A, lambda: anyio.to_thread.run_sync(compute), left=left.append)) for _ in range(10)
        ]
        for number, call in enumerate(calls):
            await anyio.to_thread.run_sync(begun.acquire)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call  # at once, though the thread computes on
            assert door.taken and len(door.waiting) == 9 - number and len(at_once) == 1
            go_on.release()
        await asyncio.gather(*left)
        return door, left

    door, left = run(story())
    assert most == [1] * 10 and len(left) == 10 and not door.taken and not door.computing


def test_who_is_cancelled_while_waiting_never_begins():
    async def story():
        door, done = Gate(Hosting()), []

        async def work():
            done.append(1)

        async with door.turn(B):
            calls = [asyncio.create_task(door.compute(A, work)) for _ in range(2)]
            await asyncio.sleep(0)
            calls[0].cancel()  # before it has come to the gate
            while not door.waiting:
                await asyncio.sleep(0)
            calls[1].cancel()  # in front of it
            await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0)
        return door, done

    door, done = run(story())
    assert not done and not door.taken and not door.waiting and not door.computing


def test_a_server_function_computes_in_its_turn_or_says_that_it_is_busy():
    calls = []

    def double(query):
        """Documented."""
        calls.append(query)
        return 2 * query

    async def story():
        door = gate.open_gate(Hosting(per_visitor=1))
        visitors.CURRENT.set(A)
        served = gate.served(double)
        assert served.__name__ == "double" and gate.here() is door
        async with door.turn(B):
            first = asyncio.create_task(served(1))
            await asyncio.sleep(0)
            refused = await served(2)
        return await first, refused

    first, refused = run(story())
    assert first == 2 and calls == [1] and set(refused) == {"error"}
