"""One call of a student's function, whatever it does: it may raise, print, change its arguments or call exit()."""

from __future__ import annotations

import contextlib
import io
import linecache
import traceback
from collections.abc import Callable
from types import CodeType

import torch

from .judging import Outcome
from .values import duplicate, same


def call(function: Callable, args: dict, gradients: bool = False) -> Outcome:
    """Calls `function` with the values of `args` by position. KeyboardInterrupt is told as a fault, too.

    gradients   whether the result of tensors (a, b, ...) becomes (a, b, ..., gradients of a, gradients of b, ...), see below
    """
    before, leaves = duplicate(args), []
    args = {name: _tracked(value, leaves) for name, value in args.items()} if gradients else args
    try:
        value = function(*args.values())
        changed = tuple(name for name in args if not _kept(before[name], args[name]))
        if gradients and not changed and isinstance(value, tuple) and all(isinstance(part, torch.Tensor) for part in value):
            value = (*(part.detach() for part in value), *(gradients_of(part, leaves) for part in value))
    except NotImplementedError as error:
        raised = _innermost(error)
        if raised is getattr(function, "__code__", raised):
            return Outcome(unsolved=True)
        missing = f"your function calls {raised.co_name}, which is not written yet"  # the stub of another exercise
        return Outcome(fault=_told(error, function) if str(error) else missing)
    except KeyboardInterrupt:
        return Outcome(fault="your function was interrupted before it returned; does a loop never end?")
    except BaseException as error:  # SystemExit and whatever else student code can raise
        return Outcome(fault=_told(error, function))
    return Outcome(value, changed=changed)


def probe(like: torch.Tensor) -> torch.Tensor:
    """What a tensor is multiplied by and summed over to give the one number that gradients are of; 1 for a single number."""
    return torch.arange(like.numel(), dtype=like.dtype).cos().reshape(like.shape)


def gradients_of(result: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of (result * probe).sum() with respect to every leaf; zeros where no gradient flows."""
    if not result.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad((result * probe(result)).sum(), leaves, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if one is None else one for leaf, one in zip(leaves, found)]


def _tracked(value, leaves: list[torch.Tensor]):
    """The value with every floating-point tensor, in lists and tuples too, as a clone of a leaf, which is added to `leaves`.

    A clone, since torch refuses to change a leaf in place, in words that no student would take for those of a check.
    """
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        leaves.append(value.requires_grad_())
        return leaves[-1].clone()
    return type(value)(_tracked(part, leaves) for part in value) if isinstance(value, (list, tuple)) else value


def _kept(before, after) -> bool:
    try:
        return same(before, after)
    except Exception:  # something that cannot be compared was put into a list
        return False


def quiet_call(function: Callable, args: dict, gradients: bool = False) -> Outcome:
    """The same with what it prints thrown away."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return call(function, args, gradients)


def _innermost(error: BaseException) -> CodeType | None:
    """The code that raised it."""
    step = error.__traceback__
    while step and step.tb_next:
        step = step.tb_next
    return step.tb_frame.f_code if step else None


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
