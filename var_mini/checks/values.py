"""Values that go into and come out of a student's function: copies, descriptions, and the first difference between two."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from numbers import Number

import numpy as np
import torch

RESULT = "the result"  # what messages call all that a function returned


@dataclass(frozen=True)
class Foreign:
    """Stands for a value of a type that no exercise asks for; only its description came through."""

    kind: str


def duplicate(value):
    """A deep copy that shares no memory with the value."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, (list, tuple)):
        return type(value)(duplicate(part) for part in value)
    if isinstance(value, dict):
        return {key: duplicate(part) for key, part in value.items()}
    return copy.deepcopy(value)


def same(a, b) -> bool:
    """Whether two values are equal in type, shape and every entry (NaN equals NaN)."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(*_bits(a, b)))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)))


def _bits(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if not a.is_floating_point():
        return a, b
    return a.nan_to_num(nan=1.2345e30, posinf=1e38, neginf=-1e38), b.nan_to_num(nan=1.2345e30, posinf=1e38, neginf=-1e38)


def as_expected(value):
    """An oracle's result in the form that a student is asked for: arrays become tensors."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return type(value)(as_expected(part) for part in value)
    return value


def first_tensor(value) -> torch.Tensor | None:
    """The first tensor in a value, for a picture."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (list, tuple)):
        return next((found for found in map(first_tensor, value) if found is not None), None)
    return None


def kind_of(value) -> str:
    """What a value is, in a student's words."""
    if value is None:
        return "None"
    if isinstance(value, Foreign):
        return value.kind
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and int.bit_length(value) > 256:
        return f"a whole number of {int.bit_length(value)} bits"
    for plain in (bool, int, float, str):
        if isinstance(value, plain):  # a subclass's own text is not asked for
            return f"the {type(value).__name__} {plain.__repr__(value)[:40]}"
    return f"an object of type {type(value).__name__}"


def _family(dtype: torch.dtype) -> str:
    if dtype == torch.bool:
        return "bool"
    return "floating point" if dtype.is_floating_point else "complex" if dtype.is_complex else "whole numbers"


def difference(expected, got, rtol: float, atol: float) -> str | None:
    """None where `got` equals `expected` within the tolerance, or the first fault in words. Takes anything as `got`."""
    try:
        return _difference(expected, got, rtol, atol, RESULT)
    except Exception:  # an object whose own methods fail
        return f"the result cannot be compared: it is {kind_of(got)}"


def _difference(expected, got, rtol: float, atol: float, where: str) -> str | None:
    if got is None and where == RESULT:
        return f"{where} is None: is a `return` missing?"
    if isinstance(expected, (list, tuple)):
        return _sequence(expected, got, rtol, atol, where)
    if isinstance(expected, torch.Tensor):
        return _tensor(expected, got, rtol, atol, where)
    if isinstance(expected, str):
        return None if got == expected and isinstance(got, str) else f"{where} is {kind_of(got)}, expected {expected!r}"
    return _number(expected, got, rtol, atol, where)


def _sequence(expected, got, rtol, atol, where) -> str | None:
    if isinstance(got, (torch.Tensor, np.ndarray)) and got.ndim and len(got) == len(expected):
        got = list(got)
    if not isinstance(got, (list, tuple)):
        return f"{where} is {kind_of(got)}: must be a {type(expected).__name__} of {len(expected)}"
    if len(got) != len(expected):
        return f"{where} has {len(got)} entries: must have {len(expected)}"
    name = where if where != RESULT else ""
    parts = (_difference(e, g, rtol, atol, f"{name or 'entry'}[{i}]") for i, (e, g) in enumerate(zip(expected, got)))
    return next((part for part in parts if part), None)


def _number(expected, got, rtol, atol, where) -> str | None:
    if isinstance(got, (torch.Tensor, np.ndarray, np.generic)):
        if getattr(got, "is_meta", False):
            return f"{where} is on the device meta: must be a number"
        size = got.numel() if isinstance(got, torch.Tensor) else got.size
        got = got.item() if size == 1 else got
    if not isinstance(got, Number) or isinstance(got, complex):
        return f"{where} is {kind_of(got)}: must be a number"
    if isinstance(expected, bool) != isinstance(got, bool):
        return f"{where} is {kind_of(got)}, expected {expected!r}"
    if math.isnan(got) and not math.isnan(expected):
        return f"{where} is NaN, expected {expected:.6g}"
    if got == expected or abs(got - expected) <= atol + rtol * abs(expected):
        return None
    digits = "" if isinstance(expected, int) and isinstance(got, int) else ".6g"
    return f"{where} is {got:{digits}}, expected {expected:{digits}}"


def _tensor(expected: torch.Tensor, got, rtol, atol, where) -> str | None:
    if not isinstance(got, torch.Tensor):
        return f"{where} is {kind_of(got)}: must be a torch tensor of shape {tuple(expected.shape)}"
    if got.device != expected.device:
        return f"{where} is on the device {got.device}: must stay on the device of the inputs, {expected.device}"
    if got.shape != expected.shape:
        return f"{where} has shape {tuple(got.shape)}: must be {tuple(expected.shape)}"
    if _family(got.dtype) != _family(expected.dtype):
        name = str(got.dtype).removeprefix("torch.")
        return f"{where} holds {_family(got.dtype)} ({name}): must hold {_family(expected.dtype)}"
    got, expected = got.detach().to_dense().to(torch.float64), expected.to(torch.float64)
    right = torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if bool(right.all()):
        return None
    index = tuple((~right).nonzero()[0].tolist())
    wrong, total = int((~right).sum()), right.numel()
    entry = f"entry {list(index)} of {where}" if index else where
    told = f"{entry} is {_shown(got[index])}, expected {_shown(expected[index])}"
    if total > 1:
        largest = (got - expected)[~right].abs().max().item()
        told += f"; {wrong} of {total} entries are wrong" + (f", by up to {largest:.4g}" if math.isfinite(largest) else "")
    return told


def _shown(value: torch.Tensor) -> str:
    number = value.item()
    return f"{number:.5g}" if math.isfinite(number) else str(number)
