"""One call of a student's function, whatever it does: it may raise, print, change its arguments or call exit()."""

from __future__ import annotations

import contextlib
import io
import linecache
import traceback
from collections.abc import Callable

from .judging import Outcome
from .values import duplicate, same


def call(function: Callable, args: dict) -> Outcome:
    """Calls `function` with the values of `args` by position. KeyboardInterrupt is told as a fault, too."""
    before = duplicate(args)
    try:
        value = function(*args.values())
    except NotImplementedError:
        return Outcome(unsolved=True)
    except KeyboardInterrupt:
        return Outcome(fault="your function was interrupted before it returned; does a loop never end?")
    except BaseException as error:  # SystemExit and whatever else student code can raise
        return Outcome(fault=_told(error, function))
    return Outcome(value, changed=tuple(name for name in args if not _kept(before[name], args[name])))


def _kept(before, after) -> bool:
    try:
        return same(before, after)
    except Exception:  # something that cannot be compared was put into a list
        return False


def quiet_call(function: Callable, args: dict) -> Outcome:
    """The same with what it prints thrown away."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return call(function, args)


def _told(error: BaseException, function: Callable) -> str:
    """The error and the student's line that raised it: no frame of ours, none of a library."""
    kind = type(error).__name__
    try:
        message = " ".join(str(error).split())[:300]
    except Exception:  # an exception class of the student's whose text fails itself
        message = ""
    told = f"your function raised {kind}" + (f": {message}" if message else "")
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    if frames:
        line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip()
        told += f"\n  in line {frames[-1].lineno} of the cell" + (f": {line}" if line else "") + "\n "
    return told
