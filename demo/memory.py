"""How much memory a server needs after many runs: each of other settings, by a visitor of its own, read to its end."""

from __future__ import annotations

import http.client
import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.generation import RunSettings

from .line import TIDY_EVERY

SETTINGS, MOST = 300, 100_000  # runs, unless told otherwise and at most
ATTENTION = ("exact", "poly-2", "landmark-32")
API = "/gradio_api"
SETTLED_S = 3 * TIDY_EVERY
NO_PROCFS = "memory of another process: only measured where /proc tells it (Linux)"


def resident(process_id: int) -> int:
    """Bytes of a process in memory. Raises RuntimeError where the system does not tell."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        raise RuntimeError(NO_PROCFS) from None


def grown(url: str, process_id: int, count: int, progress: Callable[[str], None]) -> dict:
    """Draws `count` runs in turn with all shipped models and back ends, every second one as the page does, with all partial
    pictures, the others as programs do. Returns the memory before, after the first run of every kind, and at the end, in bytes.
    """
    names = checkpoints.available()
    kinds = [(name, attention) for attention in ATTENTION for name in names if _can(name, attention)]
    listeners = json.loads(_ask(url, "GET", "/config"))["dependencies"]
    draw = next(one["id"] for one in listeners if one["api_name"] == "draw")  # that of the first screen
    readings = {"start_bytes": resident(process_id)}
    progress(f"start: {readings['start_bytes'] / 1e6:.0f} MB")
    for i in range(count):
        name, attention = kinds[i % len(kinds)]
        classes = checkpoints.load_config(name).transformer.num_classes
        _run(url, draw if i % 2 else None, name, i % classes, 1_000_000 + i, attention)
        if i + 1 == len(kinds):
            readings["every_kind_once_bytes"] = resident(process_id)
        if (i + 1) % 25 == 0:
            progress(f"{i + 1} runs: {resident(process_id) / 1e6:.0f} MB")
    time.sleep(SETTLED_S)  # until what was freed has gone back to the system
    readings["end_bytes"] = resident(process_id)
    return {
        **readings,
        "grown_bytes": readings["end_bytes"] - readings["start_bytes"],
        "runs": count,
        "models": names,
        "back_ends": list(ATTENTION),
    }


def _can(name: str, attention: str) -> bool:
    from .backend import stored

    return not attention.startswith("landmark") or int(attention.rpartition("-")[2]) in stored(name)["landmarks"]


def _run(url: str, listener: int | None, name: str, label: int, seed: int, attention: str) -> None:
    """One run, by the first screen's listener, or else as a program. RuntimeError where it fails."""
    if listener is None:
        event = json.loads(_ask(url, "POST", f"{API}/call/generate", {"data": [name, label, seed, -1, -1, -1, -1, attention]}))
        stream, done = _ask(url, "GET", f"{API}/call/generate/{event['event_id']}"), b"event: complete"
    else:
        config, session = checkpoints.load_config(name), uuid.uuid4().hex
        style = config.transformer.num_styles or None
        settings = RunSettings(name, label, seed, config.sampling, AttentionSpec.parse(attention), style).to_dict()
        asked = {"number": seed, "settings": settings, "best_of": 1}
        body = {"fn_index": listener, "data": [], "event_data": asked, "session_hash": session}
        _ask(url, "POST", f"{API}/queue/join", body)
        stream, done = _ask(url, "GET", f"{API}/queue/data?session_hash={session}"), b'"success":true'
    if done not in stream or re.search(rb'"error": ?"', stream):
        raise RuntimeError(f"a run of {name} with {attention} attention failed: {stream[-300:]!r}")


def _ask(url: str, method: str, path: str, body: dict | None = None) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:300]!r}")
    return content
