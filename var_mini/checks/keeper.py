"""Stands between the grader and the process that runs a student's notebook: shuts that process in, and ends all that it started.

Run as a script by isolation.py, with one argument of JSON (`Spec` there), so that it needs nothing but Python's own library.
With `root` it makes namespaces (Linux: mounts, processes, network, and users where it is not root itself): the notebook sees
only the folders named, read-only, has no network, and ends with the first process of its namespace. Without, it relies on
limits and on being the one that orphans fall to (PR_SET_CHILD_SUBREAPER). Sources: the manual pages namespaces(7),
mount_namespaces(7), pid_namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2), prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

PAUSE = 0.2  # seconds between two looks at the memory of all processes together
NOT_SHUT_IN = 97  # exit status: the system refuses what was asked; the reason is on stderr

# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE, MNT_DETACH = 0x2, 0x4, 0x1000, 0x4000, 0x80000, 0x2
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR = -100, 0x8000, 442
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 0x1, 0x2, 0x4
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

libc = ctypes.CDLL(None, use_errno=True)


def system(name: str, *arguments) -> None:
    """A function of the C library. Raises OSError with its reason, also where the library has none of this name."""
    function = getattr(libc, name, None)
    if function is None:
        raise OSError(f"{name}: this system has no such call")
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def linux(name: str, *arguments) -> None:
    """The same for a measure that only Linux knows and that the rest does not depend on."""
    with contextlib.suppress(OSError):
        system(name, *arguments)


# -- namespaces --------------------------------------------------------------------------------------------------------


def leave_the_others() -> None:
    """New namespaces for this process's children; whoever is not root becomes its own user in one of its own."""
    flags = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    uid, gid = os.geteuid(), os.getegid()
    system("unshare", flags | (CLONE_NEWUSER if uid else 0))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    system("mount", *(text and text.encode() for text in (source, target, kind)), ctypes.c_ulong(flags), data and data.encode())


def bind(source: str, target: str) -> None:
    """`source` read-only at `target`, with all that is mounted below it."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    mount(source, target, None, MS_BIND | MS_REC)
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0)
    size = ctypes.sizeof(attributes)
    system("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, ctypes.byref(attributes), ctypes.c_size_t(size))


def move_in(spec: dict) -> None:
    """A new root of the folders of the spec, a /tmp of limited size and this namespace's own /proc; the old one is let go."""
    os.umask(0o022)  # another user is to find its way
    system("unshare", CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_SLAVE)
    root = spec["root"]
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=16m")
    for place in ("tmp", "proc", "dev", "old"):
        os.mkdir(f"{root}/{place}")
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={spec['disk_mb']}m")
    for source, target in spec["folders"]:
        if not os.path.islink(source):
            bind(source, root + target)
        elif not os.path.lexists(root + target):  # /bin -> usr/bin
            os.makedirs(os.path.dirname(root + target), exist_ok=True)
            os.symlink(os.readlink(source), root + target)
    for name in ("null", "zero", "full", "random", "urandom"):
        Path(f"{root}/dev/{name}").touch()
        mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    os.symlink("/tmp", f"{root}/dev/shm")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    os.chdir(root)
    system("pivot_root", b".", b"old")
    os.chdir("/")
    system("umount2", b"/old", MNT_DETACH)
    os.rmdir("/old")


# -- limits ------------------------------------------------------------------------------------------------------------


def limit(spec: dict) -> None:
    """Bounds memory, size of files and number of processes; where root started it, the process becomes nobody."""
    size = spec["memory_mb"] * 1024 * 1024
    limits = {"RLIMIT_DATA": size, "RLIMIT_FSIZE": 64 * 1024 * 1024, "RLIMIT_CORE": 0, "RLIMIT_NPROC": spec["processes"]}
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None or value is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_DATA but refuses some values
            resource.setrlimit(kind, (value, value))
    if spec["uid"] is not None:
        os.setgroups([])
        os.setgid(spec["uid"])
        os.setuid(spec["uid"])
    linux("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # no program run from here gets more rights than its caller
    linux("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)


def start(spec: dict) -> int:
    """Forks the notebook's process, which first may become the first one of a namespace; its id here."""
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        linux("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        if spec["root"]:
            move_in(spec)
            inner = os.fork()
            if inner:
                until(inner)
        limit(spec)
        os.umask(0o077)
        os.makedirs(os.environ["HOME"], exist_ok=True)
        os.chdir(os.environ["HOME"])
        os.execv(spec["command"][0], spec["command"])
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
    os._exit(NOT_SHUT_IN)


def until(child: int) -> None:
    """The first process of the namespace: collects what others leave behind, and ends everything when `child` ends."""
    for stream in (0, 1):
        os.close(stream)
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


# -- all that was started ----------------------------------------------------------------------------------------------


def descendants(top: int) -> list[int]:
    """Processes below `top`; empty on systems without /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # ended meanwhile
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found = list(children.get(top, ()))
    for process in found:
        found += children.get(process, ())
    return found


def private_mb(processes: list[int]) -> float:
    """Memory that these processes hold for themselves: anonymous and shared, without mapped files."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/status").read_text(errors="replace").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return total / 1024


def end_all(child: int) -> None:
    """Kills until nobody is left; who starts a process meanwhile is in the next round."""
    patience = time.monotonic() + 10
    below = [child]
    while below and time.monotonic() < patience:
        for process in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)
        below = descendants(os.getpid())


def ended(child: int) -> int | None:
    """The status of `child` once it has ended; collects whatever fell to this process."""
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == child:
                return os.waitstatus_to_exitcode(status) & 0xFF
            if process == 0:
                return None
    return 1


class Stopped(Exception):  # noqa: N818 (it names what happened)
    """The grader wants no more of the notebook's process."""


def stop(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def main() -> int:
    spec = json.loads(sys.argv[1])
    linux("prctl", PR_SET_PDEATHSIG, signal.SIGTERM)
    linux("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        if spec["root"]:
            leave_the_others()
    except OSError as error:
        print(error, file=sys.stderr)
        return NOT_SHUT_IN
    signal.signal(signal.SIGTERM, stop)
    child = start(spec)
    for stream in (0, 1):
        os.close(stream)
    status = None
    try:
        while status is None and private_mb(descendants(os.getpid())) <= spec["memory_mb"]:
            time.sleep(PAUSE)
            status = ended(child)
    except Stopped:
        pass
    end_all(child)
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
