"""Files are written whole or not at all, leave nothing behind, and folders are tried before long work."""

import os
import resource
import signal
import subprocess
import sys

import pytest
import torch

from var_mini.files import atomic_write, read_json, writable_file, writable_folder


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    code = (
        "import sys, time\nfrom var_mini.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as path:\n path.write_text('half')\n print('there', flush=True)\n time.sleep(600)"
    )
    path = tmp_path / "weights[1].bin"  # letters that a pattern would take for its own
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=os.environ)
    assert writer.stdout.readline() == b"there\n"
    with atomic_write(path) as temporary:
        temporary.write_text("one")
    assert len(list(tmp_path.iterdir())) == 2  # the file, and the one that is being written
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with atomic_write(path) as temporary:
        temporary.write_text("two")
    assert [file.name for file in tmp_path.iterdir()] == [path.name] and path.read_text() == "two"


def test_a_full_disk_is_an_oserror_with_the_name_of_the_file(tmp_path):
    """A limit on the size of files stands in for the full disk: writing fails in the same places."""
    path = tmp_path / "state.pt"
    path.write_text("old")
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, kept[1]))
    try:
        for write in (lambda t: t.write_bytes(bytes(5000)), lambda t: torch.save({"x": torch.zeros(5000)}, t)):
            with pytest.raises(OSError, match=r"state\.pt") as caught, atomic_write(path) as temporary:
                write(temporary)
            assert ".tmp" not in str(caught.value)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to_is_named_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", "a\0b"):
        with pytest.raises(ValueError, match=r"out = .*must be a folder that can be written to"):
            writable_folder("out", wrong)
    assert writable_folder("out", tmp_path / "new" / "er").is_dir() and not list((tmp_path / "new" / "er").iterdir())
    with pytest.raises(ValueError, match=r"plot = .*is a folder"):
        writable_file("plot", tmp_path)
    with pytest.raises(ValueError, match=r"plot = 'x\.txt': must end in \.png, \.svg"):
        writable_file("plot", "x.txt", (".png", ".svg"))
    assert writable_file("plot", tmp_path / "x.PNG", (".png",)).suffix == ".PNG"


@pytest.mark.parametrize("content", [b"\xff{", b"{", b"[" * 100_000, b""], ids=["no UTF-8", "cut", "deep", "empty"])
def test_a_broken_json_file_is_named(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json is not a readable JSON file"):
        read_json(tmp_path / "x.json")
