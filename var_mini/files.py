"""Files and folders: written whole or not at all, tried before long work, read as JSON without surprises."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from . import validate

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")  # what `--out` of a picture may end in
FIGURE_ENDINGS = (".png", ".svg")


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed onto it when the block ends well and removed when it fails.

    What a killed process left behind is removed by the next write of the same file. Raises OSError naming `path` where the
    block cannot write: torch and safetensors report a full disk as errors of other kinds.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    handle, temporary = _locked_temporary(path)
    try:
        yield temporary
        temporary.chmod(0o644)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    except (RuntimeError, SafetensorError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        free = shutil.disk_usage(path.parent).free / 1e6
        raise OSError(f"{path} could not be written, with {free:,.0f} MB free on its disk: {first}") from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """An open, locked, empty file beside `path`. The lock ends with the process, however that ends."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        _lock(handle)
        if os.fstat(handle).st_nlink:  # else another process took it for a leftover before it was locked
            return handle, Path(name)
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    for name in glob.glob(f".{glob.escape(path.name)}.*.tmp", root_dir=path.parent, include_hidden=True):
        leftover = path.parent / name
        with contextlib.suppress(OSError), open(leftover, "rb") as file:
            if _lock(file.fileno()):
                leftover.unlink()


def _lock(handle: int) -> bool:
    """Whether the file could be locked; False where a living process holds it, or where there are no such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def writable_folder(name: str, path: Path | str) -> Path:
    """Makes a folder and tries to write into it. Raises ValueError naming the argument where that cannot be."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name} = {validate.shown(str(path))}: must be a folder that can be written to: {reason}") from None


def writable_file(name: str, path: Path | str, endings: tuple[str, ...] = ()) -> Path:
    """Checks where a result is to go before it is computed, and makes its folder.

    Raises ValueError naming the argument for a folder, for another ending than `endings`, and where nothing can be written.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{name} = {validate.shown(str(path))}: is a folder, must be a file to write")
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"{name} = {validate.shown(str(path))}: must end in {', '.join(endings)}")
    writable_folder(f"folder of {name}", path.parent)
    return path


def read_json(path: Path | str) -> object:
    """The content of a JSON file. Raises ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise ValueError(f"{path} is not a readable JSON file: {error}") from None


def read_object(path: Path | str) -> dict:
    """The entries of a JSON file that holds one object. Raises ValueError as `read_json`, and where it holds anything else."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {validate.shown(found)}: must be a JSON object")
    return found
