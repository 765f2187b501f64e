"""Bodies and uploads: bytes, time and memory are counted as they come, whatever a request announces; nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import json
import os

import pytest

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
    intake = Intake(2)
    with intake.admitted("one", False), intake.admitted("one", False):
        with pytest.raises(RefusedError), intake.admitted("one", False):
            pass
        with intake.admitted("two", False), intake.admitted("one", True):
            pass
    with intake.admitted("one", False):
        assert intake.requests == {"one": 1}
    assert not intake.requests and not intake.uploads


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
    kept.known.add(str(path))
    with kept.arriving(address) as keep:
        keep(json.dumps([str(path)]).encode())
    return str(path)


def there(kept: Uploads) -> set[str]:
    return {path.parent.name for path in kept.folder.rglob("*.png")}


def test_an_address_has_its_share_of_the_disk_and_its_oldest_files_go(kept, monkeypatch):
    monkeypatch.setattr(uploads, "OF_ADDRESS", 250)
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


def test_old_files_and_pieces_of_broken_uploads_are_deleted(kept):
    path = arrive(kept, "one", "a", 10)
    piece = kept.folder / "tmpx1y2"
    piece.write_bytes(b"half a picture")
    with kept.arriving("one"):
        kept.tidy(kept.files[path][2])
        assert piece.exists()  # it may belong to the upload that is under way
        kept.tidy(piece.stat().st_mtime + bodies.UPLOAD_S + 1)
        assert not piece.exists()
        piece.write_bytes(b"another half")
    assert not piece.exists() and there(kept) == {"a"}
    kept.tidy(kept.files[path][2] + uploads.KEPT_S + 1)
    assert there(kept) == set() and not kept.files and not kept.known


def test_a_file_sent_twice_is_counted_once(kept):
    path = arrive(kept, "one", "a", 10)
    with kept.arriving("one") as keep:
        keep(json.dumps([path]).encode())
    assert len(kept.files) == 1


def test_a_full_disk_is_told_before_and_while_a_file_comes(kept, monkeypatch):
    monkeypatch.setattr(uploads, "DISK_LEFT", 10**18)
    with pytest.raises(RefusedError) as caught, kept.arriving("one"):
        pass
    assert (caught.value.status, caught.value.name) == (507, "class_no_room")

    async def full(scope, receive, send):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")

    answer = ask(guard.Sentences(full))
    assert answer.status == 507 and b"secret" not in answer.body and json.loads(answer.body)["detail"]
