"""Memory that is free inside of the process goes back to the system; where the C library is not glibc, nothing happens.

glibc gives every thread a heap of its own and keeps what was freed in it. A server with forty worker threads then holds the
largest need of each of them for ever.
"""

from __future__ import annotations

import ctypes
import functools

M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


@functools.cache
def _glibc():
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
    except OSError:
        return None


def share() -> None:
    """All threads that begin from now on share a few heaps."""
    if _glibc() is not None:
        _glibc().mallopt(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Gives free memory back, in some milliseconds."""
    if _glibc() is not None:
        _glibc().malloc_trim(0)
