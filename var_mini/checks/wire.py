"""Values as JSON between the grader and the process that runs a student's code. No pickle: nothing that is read can run."""

from __future__ import annotations

import base64

import numpy as np
import torch

from .values import Foreign, kind_of

MAX_NUMBERS = 1 << 22  # of one tensor; no exercise comes near
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool,
    )
}  # fmt: skip


def encode(value) -> object:
    """JSON values that `decode` turns back. What no exercise asks for becomes its description."""
    if value is None or isinstance(value, (bool, int, str)):
        return {"plain": value}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, torch.Tensor):
        return _encode_tensor(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(np.asarray(value), isinstance(value, np.generic))
    if isinstance(value, (list, tuple)):
        return {type(value).__name__ if type(value) in (list, tuple) else "list": [encode(part) for part in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encode(part) for key, part in value.items()}}
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
        return _decode(message)
    except (TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"not a value: {error}") from None


def _decode(message) -> object:
    kind = next(iter(message), None) if isinstance(message, dict) else None
    if kind is None:
        raise ValueError(f"not a value: {type(message).__name__}")
    content = message[kind]
    if kind == "plain" and (content is None or isinstance(content, (bool, int, str))):
        return content
    if kind == "float":
        return float.fromhex(content)
    if kind == "tensor":
        shape = [int(side) for side in message["shape"]]
        raw = bytearray(base64.b64decode(message["data"], validate=True))
        flat = torch.frombuffer(raw, dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)
        return flat.view(DTYPES[content]).reshape(shape).clone()
    if kind == "array":
        array = _decode(content)
        array = array.numpy() if isinstance(array, torch.Tensor) else array
        return array[()] if message.get("scalar") else array
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](_decode(part) for part in content)
    if kind == "dict":
        return {str(key): _decode(part) for key, part in content.items()}
    if kind == "foreign":
        return Foreign(str(content)[:200])
    raise ValueError(f"not a value: {str(kind)[:40]!r}")
