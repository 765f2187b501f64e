"""Bodies and uploads: bytes, time and memory are counted as they come, whatever a request announces; nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from demo import bodies, guard, uploads
from demo.bodies import Intake, RefusedError
from demo.uploads import Uploads
from tests.demo.asgi import ask, run


def coming(*pieces, forever=False):
    """A `receive` with these pieces."""
    left = list(pieces)

    async def receive():
        if left:
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": forever or bool(left)}
        await asyncio.Event().wait()

    return receive


def refused(coroutine) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        run(coroutine)
    return caught.value.status, caught.value.name


def test_a_body_is_read_whole_and_no_longer_counted_then():
    intake = Intake(4)
    assert run(intake.read(coming(b"ab", b"", b"c"), 9)) == b"abc" and intake.held == 0


def test_a_body_is_cut_where_it_gets_too_large_whatever_it_announced():
    intake, taken = Intake(4), []

    async def endless():
        taken.append(1)
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    assert refused(intake.read(endless, limit=5000)) == (413, "class_too_large")
    assert len(taken) == 6 and intake.held == 0


def test_a_body_that_never_comes_is_given_up():
    intake = Intake(4)
    assert refused(intake.read(coming(b"a", forever=True), 9, seconds=0.01)) == (408, "class_too_slow") and intake.held == 0

    async def upload():
        piece = bodies.counted(coming(b"a", forever=True), 9, seconds=0.01)
        while True:
            await piece()

    assert refused(upload()) == (408, "class_too_slow")


def test_many_bodies_at_once_share_a_memory(monkeypatch):
    monkeypatch.setattr(bodies, "MAX_HELD", 250)

    async def story():
        intake = Intake(99)
        slow = [asyncio.create_task(intake.read(coming(b"x" * 100, forever=True), 999)) for _ in range(2)]
        await asyncio.sleep(0)
        assert intake.held == 200
        try:
            await intake.read(coming(b"x" * 100), 999)
        finally:
            for one in slow:
                one.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            assert intake.held == 0

    assert refused(story()) == (503, "class_busy")


def test_an_address_sends_so_many_at_once_and_others_still_do():
    intake = Intake(1)
    with intake.admitted("one", False), intake.admitted("one", False):
        with pytest.raises(RefusedError), intake.admitted("one", False):
            pass
        with intake.admitted("one", True), pytest.raises(RefusedError), intake.admitted("one", True):
            pass
        with intake.admitted("two", False), intake.admitted("one", True):
            pass
    with intake.admitted("one", False):
        assert intake.requests == {"one": 1}
    assert not intake.requests and not intake.uploads


def test_more_values_than_any_request_of_the_page_has_are_refused_before_they_are_made(monkeypatch):
    for one in (b"[]", b"{}", b'""', b"1", b'{"a":1}'):
        many = b'{"data":[' + b",".join([one] * bodies.MAX_VALUES) + b"]}"
        with monkeypatch.context() as patch, pytest.raises(RefusedError) as caught:
            patch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))
            bodies.parsed(many)
        assert (caught.value.status, caught.value.name) == (413, "class_too_large")
    largest = {"data": {"ids": [[1] * 2240], "original": "A" * (4 * 512 * 512)}, "fn_name": "replace"}  # of var_d36
    assert bodies.parsed(json.dumps(largest).encode()) == largest
    assert len(json.dumps(largest)) < bodies.MAX_QUESTION == bodies.largest(f"{bodies.API}/component_server")
    assert [bodies.parsed(broken) for broken in (b"", b"[]", b"\xff", b"[" * 9000)] == [{}] * 4


def test_an_upload_is_cut_where_it_gets_too_large():
    async def upload():
        piece = bodies.counted(coming(*[b"x" * 10] * 9), limit=50)
        while True:
            await piece()

    assert refused(upload()) == (413, "class_too_large")


def test_who_does_not_read_the_answer_is_left():
    async def never(_):
        await asyncio.Event().wait()

    with pytest.raises(OSError, match="does not read"):
        run(bodies.impatient(never, 0.01)({}))


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    return Uploads(tmp_path, set())


def arrive(kept: Uploads, address: str, name: str, size: int) -> str:
    path = kept.folder / name / "file.png"
    path.parent.mkdir()
    path.write_bytes(b"x" * size)
    kept.keep(str(path), address)
    return str(path)


def part(content: bytes, name: str = "files", filename: str | None = "a.png") -> bytes:
    given = "" if filename is None else f'; filename="{filename}"'
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'.encode() + content + b"\r\n"


def upload(kept: Uploads, *pieces: bytes | None, query: str = "", kind: str = "multipart/form-data; boundary=edge"):
    """The answer to an upload of these pieces; of a RefusedError its status."""

    async def taken(scope, receive, send):
        path = await kept.take(Request(scope, receive), "one")
        await JSONResponse([path])(scope, receive, send)

    return ask(guard.Sentences(taken), "POST", "/upload", {"content-type": kind}, pieces, query=query)


def there(kept: Uploads) -> set[str]:
    return {path.parent.name for path in kept.folder.rglob("*.png")}


def test_an_address_has_its_share_of_the_disk_and_its_oldest_files_go(kept):
    kept.most_bytes = 250
    arrive(kept, "other", "z", 200)
    for name in "abcd":
        arrive(kept, "greedy", name, 100)
    assert there(kept) == {"z", "c", "d"} and len(kept.known) == 3
    assert sorted(path.name for path in kept.folder.iterdir()) == ["c", "d", "z"]  # no empty folder is left


def test_all_together_have_a_share_too_and_who_has_most_gives_way(kept, monkeypatch):
    monkeypatch.setattr(uploads, "IN_ALL", 450)
    arrive(kept, "small", "s", 50)
    for i, name in enumerate("abcde"):
        arrive(kept, "large" if i < 4 else "late", name, 100)
    assert there(kept) == {"s", "b", "c", "d", "e"}


def test_old_files_are_deleted(kept):
    path = arrive(kept, "one", "a", 10)
    kept.tidy(kept.files[path][2] + uploads.KEPT_S)
    assert there(kept) == {"a"}
    kept.tidy(kept.files[path][2] + uploads.KEPT_S + 1)
    assert there(kept) == set() and not kept.files and not kept.known and not kept.of and not kept.held and kept.total == 0


def test_a_file_sent_twice_is_counted_once_for_who_sent_it_last(kept):
    path = arrive(kept, "one", "a", 10)
    kept.keep(path, "two")
    assert list(kept.files) == [path] and dict(kept.held) == {"two": 10} and kept.total == 10


def test_an_address_has_so_many_files_however_small(kept):
    kept.most_files = 5
    for i in range(5 + 9):
        arrive(kept, "greedy", f"a{i}", 0)
        arrive(kept, f"other{i}", f"b{i}", 1)
    left = there(kept)
    assert left == {f"a{i}" for i in range(9, 14)} | {f"b{i}" for i in range(14)}


def test_what_an_address_keeps_grows_with_what_it_may_ask_and_waiting_files_go_last(tmp_path):
    wanted = set()
    small, large = (Uploads(tmp_path, set(), count, lambda: wanted) for count in (1, 10))
    assert (large.most_files, large.most_bytes) == (10 * small.most_files, 10 * small.most_bytes)
    assert small.most_files == 2
    wanted |= {arrive(small, "one", "a", 1)}  # a run waits with it
    for name in "bc":
        arrive(small, "one", name, 1)
    assert there(small) == {"a", "c"}
    wanted.clear()
    arrive(small, "one", "d", 1)
    assert there(small) == {"c", "d"}
    wanted |= set(small.files)  # where all are waited with, the oldest goes, not the one that has just come
    arrive(small, "one", "e", 1)
    assert there(small) == {"d", "e"}


def test_totals_are_those_of_the_files_that_are_there(kept, monkeypatch):
    """After a long story with evictions of both kinds; no sum is taken over all files on the way."""
    kept.most_bytes = 300
    monkeypatch.setattr(uploads, "IN_ALL", 700)
    draw = random.Random(0)
    for i in range(200):
        arrive(kept, draw.choice("abcd"), f"f{i}", draw.randrange(120))
    sizes = Counter()
    for path, (address, size, _) in kept.files.items():
        assert Path(path).stat().st_size == size and path in kept.of[address]
        sizes[address] += size
    assert sizes == kept.held and kept.total == sizes.total() <= 700 and max(sizes.values()) <= 300
    assert there(kept) == {Path(path).parent.name for path in kept.files} and kept.known == set(kept.files)


def test_an_upload_is_one_file_and_nothing_else_is_left(kept):
    end, one = b"--edge--\r\n", part(b"content")
    for pieces, status in (
        ((one, part(b"second", filename="b.png"), end), 400),
        ((one * 990, end), 400),
        ((part(b"", filename=None), one, end), 400),
        ((part(b"content", "other"), end), 400),  # not the name that the files of the page have
        ((end,), 400),
        ((one,), 400),  # no end
        ((one[:-5], None), 400),  # broken off
        ((b"\r\n" * 9,), 400),
    ):
        assert upload(kept, *pieces).status == status, pieces
        assert not list(kept.folder.iterdir()) and not kept.files and not kept.known
    assert upload(kept, b"{}", kind="application/json").status == 400
    answer = upload(kept, one, end)
    (path,) = json.loads(answer.body)
    assert answer.status == 200 and Path(path).read_bytes() == b"content" and kept.known == {path}
    assert [file for file in kept.folder.rglob("*") if file.is_file()] == [Path(path)]


def test_a_file_that_is_too_large_is_refused_and_gone(kept, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_FILE", 100)
    assert upload(kept, part(b"x" * 101), b"--edge--\r\n").status == 413 and not list(kept.folder.iterdir())


def test_what_gradio_remembers_of_the_progress_of_uploads_is_forgotten(kept):
    """Names asked for without an upload, and those of uploads that nobody watched to the end."""

    async def watched():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(uploads.progress.is_tracked("asked"), 0.01)

    run(watched())
    assert upload(kept, part(b"x"), b"--edge--\r\n", query="upload_id=sent").status == 200
    assert uploads.progress.is_done("sent") and not kept.coming
    kept.coming["coming"] += 1
    uploads.progress.track("coming")
    for known in ({"asked", "sent", "coming"}, {"coming"}):  # somebody may be looking at it just now, so not at once
        kept.tidy(0.0)
        assert {*uploads.progress._signals, *uploads.progress._statuses} & {"asked", "sent", "coming"} == known
    kept.coming.clear()
    for _ in range(2):
        kept.tidy(0.0)
    assert not uploads.progress._statuses and "coming" not in uploads.progress._signals


def test_a_full_disk_is_told_before_and_while_a_file_comes(kept, monkeypatch):
    monkeypatch.setattr(uploads, "DISK_LEFT", 10**18)
    assert upload(kept, part(b"x"), b"--edge--\r\n").status == 507

    async def full(scope, receive, send):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")

    answer = ask(guard.Sentences(full))
    assert answer.status == 507 and b"secret" not in answer.body and json.loads(answer.body)["detail"]
