"""How far a student's code is shut in on this system: what the notebook's process sees, and what it can still reach.

`namespaces`  keeper.py builds a root of its own for it: Python, the library without oracles, a /tmp; no network, no other process
`process`     where the system has none (macOS, most containers): limits, and the library without oracles in front of the path
docs/grading.md says in words what that keeps in and what not.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..checkpoints import ASSETS
from . import keeper

CHECKS = Path(__file__).resolve().parent
PACKAGE = CHECKS.parent
SHOWN = ("__init__", "calling", "exercise", "judging", "registry", "session", "values", "wire", "worker")  # no oracle in these
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix", "/sys/devices/system/cpu") + tuple(
    f"/etc/{name}" for name in ("alternatives", "fonts", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
                                "mime.types", "nsswitch.conf", "passwd")
)  # fmt: skip
NOBODY = 65534
DISK_MB = 256
PROCESSES = 256  # and threads, beside what the libraries start for each core
TRIAL_SECONDS = 120
MODES = ("auto", "namespaces", "process")
PR_SET_DUMPABLE = 4


@dataclass(frozen=True)
class Isolation:
    """What is shut off. `why` says why there are no namespaces, or is empty."""

    namespaces: bool
    own_user: bool
    why: str = ""

    def gaps(self) -> list[str]:
        """What a notebook can still reach beside its own process, in words."""
        if self.namespaces:
            return []
        files = "files that every user may read" if self.own_user else "your files, to read and to write"
        seen = f"it sees {files}, solutions and oracles of the lessons among them"
        gaps = [f"no namespaces ({self.why})", seen, "it has the network"]
        if not self.own_user:
            gaps.append("it can end other processes of yours, this grader among them")
        if os.geteuid() == 0 and not self.own_user:
            gaps.append("as root it can do anything; the number of its processes has no limit")
        if not sys.platform.startswith("linux"):
            gaps.append("a process that it moves to another session outlives the grader")
        return gaps


@cache
def isolation(mode: str = "auto") -> Isolation:
    """What this system offers. Raises ValueError where `mode` is "namespaces" and there are none."""
    why = "not asked for"
    if mode != "process":
        why = _tried(namespaces=True, uid=_nobody())
        if not why:
            return Isolation(True, os.geteuid() == 0)
        if mode == "namespaces":
            raise ValueError(f"isolation = 'namespaces': this system refuses them ({why}); see docs/grading.md")
    return Isolation(False, os.geteuid() == 0 and not _tried(namespaces=False, uid=NOBODY), why)


def _nobody() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def _tried(namespaces: bool, uid: int | None) -> str:
    """Why a process cannot be shut in like this, or an empty text. The trial starts Python and reads the library."""
    trial = "import os, sys; sys.exit(not all(os.access(path, os.R_OK) for path in sys.argv[1:]))"
    needed = [os.__file__, str(PACKAGE / "config.py")]
    try:
        with shut_in(Isolation(namespaces, uid is not None), 512, ["-c", trial, *needed]) as (command, environment):
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRIAL_SECONDS
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip()[-200:] or "another user cannot read Python or the library"


@contextlib.contextmanager
def shut_in(how: Isolation, memory_mb: int, command: list[str]) -> Iterator[tuple[list[str], dict]]:
    """The command line and the environment that run Python with `command` shut in; files that it needs live as long as this."""
    with _folder(how.own_user) as folder:
        shown = folder / "var_mini" / "checks"
        shown.mkdir(parents=True)
        for name in SHOWN:
            shutil.copyfile(CHECKS / f"{name}.py", shown / f"{name}.py")
            (shown / f"{name}.py").chmod(0o644)
        for place in (shown, shown.parent):
            place.chmod(0o755)  # whatever the umask
        root = folder / "root"
        root.mkdir()
        if how.namespaces:
            folders, library, home = _folders(shown), PACKAGE.parent, Path("/tmp/home")
        else:
            folders, library, home = [], folder, folder / "home"
            for part in PACKAGE.iterdir():
                if part != CHECKS:
                    (folder / "var_mini" / part.name).symlink_to(part)
            home.mkdir(mode=0o700)
        if how.own_user and not how.namespaces:
            os.chown(home, NOBODY, NOBODY)
        spec = {
            "root": str(root) if how.namespaces else None,
            "folders": folders,
            "uid": NOBODY if how.own_user else None,
            "memory_mb": memory_mb,
            "disk_mb": DISK_MB,
            "processes": PROCESSES + 4 * (os.cpu_count() or 1) + (0 if how.namespaces or how.own_user else _threads()),
            "command": [sys.executable, *command],
        }
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
        places = dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR"), str(home))
        environment = {**keep, **places, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(library)}
        yield [sys.executable, "-I", "-S", keeper.__file__, json.dumps(spec)], environment


@contextlib.contextmanager
def _folder(for_others: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as name:
        if for_others:
            os.chmod(name, 0o711)  # another user finds its way, and no names
        yield Path(name)


def _folders(shown: Path) -> list[tuple[str, str]]:
    """What the notebook's root is made of, parents before what lies over them: (here, there)."""
    python = [sys.base_prefix, os.path.realpath(sys.base_prefix), sys.prefix, os.path.realpath(sys.prefix)]
    python += [str(Path(os.path.realpath(sys.executable)).parent.parent)]
    packages = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    own = [str(path) for path in (PACKAGE, ASSETS)]
    places = [place for place in dict.fromkeys([*SYSTEM, *python, *packages, *own]) if place != "/" and os.path.lexists(place)]
    return [(place, place) for place in places] + [(str(shown), str(CHECKS))]


def _threads() -> int:
    """Threads of this user now: RLIMIT_NPROC counts all of them."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            total += len(list((place / "task").iterdir())) if place.stat().st_uid == os.getuid() else 0
    return total


@contextlib.contextmanager
def unreadable() -> Iterator[None]:
    """Meanwhile no process without a superuser's rights reads this one's memory and environment (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    before = prctl(3, 0, 0, 0, 0) if prctl else 0  # PR_GET_DUMPABLE
    try:
        if prctl:
            prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        yield
    finally:
        if prctl and before == 1:
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
