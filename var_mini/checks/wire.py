"""Values as JSON between the grader and the process that runs a student's code. No pickle: nothing that is read can run."""

from __future__ import annotations

import base64

import numpy as np
import torch

from .values import Foreign, kind_of

MAX_NUMBERS = 1 << 18  # of one tensor; no exercise comes near
MAX_DEPTH = 20  # of lists in lists
MAX_BITS = 1024  # of a whole number
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool,
    )
}  # fmt: skip


def encode(value, depth: int = MAX_DEPTH) -> object:
    """JSON values that `decode` turns back. What no exercise asks for becomes its description.

    A subclass of a plain type goes as what the plain type makes of it: its own methods are not asked.
    """
    if value is None or isinstance(value, bool):
        return {"plain": value}
    if isinstance(value, str):
        return {"plain": str.__str__(value)}
    if isinstance(value, int) and int.bit_length(value) <= MAX_BITS:
        return {"plain": int.__index__(value)}
    if isinstance(value, float):
        return {"float": float.hex(value)}
    if isinstance(value, torch.Tensor):
        return _encode_tensor(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(np.asarray(value), isinstance(value, np.generic))
    if isinstance(value, (list, tuple)) and depth:
        kind = tuple if isinstance(value, tuple) else list
        return {kind.__name__: [encode(part, depth - 1) for part in kind.__iter__(value)]}
    if isinstance(value, dict) and depth and all(type(key) is str for key in dict.keys(value)):
        return {"dict": {key: encode(part, depth - 1) for key, part in dict.items(value)}}
    return {"foreign": kind_of(value)}


def _encode_tensor(value: torch.Tensor) -> dict:
    name = str(value.dtype).removeprefix("torch.")
    if name not in DTYPES or value.numel() > MAX_NUMBERS or value.device.type == "meta":
        return {"foreign": kind_of(value) + (" on the device meta" if value.device.type == "meta" else "")}
    flat = value.detach().to_dense().cpu().contiguous().reshape(-1).view(torch.uint8)
    return {"tensor": name, "shape": list(value.shape), "data": base64.b64encode(flat.numpy().tobytes()).decode()}


def _encode_array(value: np.ndarray, scalar: bool) -> dict:
    try:
        return {"array": _encode_tensor(torch.from_numpy(np.ascontiguousarray(value))), "scalar": scalar}
    except (TypeError, ValueError):  # text or objects
        return {"foreign": kind_of(value)}


def decode(message) -> object:
    """The value behind `encode`. Raises ValueError on anything else: the sender is not trusted."""
    try:
        return _decode(message, MAX_DEPTH)
    except Exception as error:  # whatever a forged message makes fail
        raise ValueError(f"not a value: {type(error).__name__}: {str(error)[:100]}") from None


def _decode(message, depth: int) -> object:
    kind = next(iter(message)) if isinstance(message, dict) and message and depth >= 0 else None
    content = message[kind] if kind else None
    if kind == "plain" and (content is None or isinstance(content, (bool, str))):
        return content
    if kind == "plain" and isinstance(content, int) and content.bit_length() <= MAX_BITS:
        return content
    if kind == "float":
        return float.fromhex(content)
    if kind == "tensor":
        return _decode_tensor(content, message["shape"], message["data"])
    if kind == "array":
        array = _decode(content, 0)
        array = array.numpy() if isinstance(array, torch.Tensor) else array
        return array[()] if message.get("scalar") else array
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](_decode(part, depth - 1) for part in content)
    if kind == "dict":
        return {key: _decode(part, depth - 1) for key, part in content.items()}
    if kind == "foreign":
        return Foreign(str(content)[:200])
    raise ValueError(f"a {type(message).__name__}" if kind is None else f"of kind {kind[:40]!r}")


def _decode_tensor(name: str, shape: list, data: str) -> torch.Tensor:
    raw = bytearray(base64.b64decode(data, validate=True))
    flat = torch.frombuffer(raw, dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)
    flat = flat.ne(0) if name == "bool" else flat.view(DTYPES[name])  # a bool of any other byte would be neither
    if flat.numel() > MAX_NUMBERS or not all(type(side) is int and 0 <= side <= MAX_NUMBERS for side in shape):
        raise ValueError(f"of shape {str(shape)[:40]}")
    return flat.reshape(shape).clone()
