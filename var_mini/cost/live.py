"""A sweep over growing token maps that reports after every point, ends in bounded time and can be stopped: for a page.

`bench scaling` and `bench raster` measure the same loops at length and unattended. Here someone waits, on a machine that others
want too: points come one by one and settle as rounds are added, a point that will not fit into the time left is left out
and said so, and inside a long point the clock is looked at before every scale (in raster order: every token).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from .. import validate
from ..config import TransformerConfig
from ..generation.observe import Clock
from ..pyramid import ScalePyramid
from . import raster, scaling
from .ladder import official_like

SIDES = (8, 12, 16, 24, 32, 48)
METHODS = {"attention": scaling.METHODS, "transformer": scaling.METHODS, "raster": raster.METHODS}
HEAD_DIMS = {"attention": tuple(scaling.SHAPES), "transformer": tuple(scaling.SHAPES), "raster": (raster.SHAPE.head_dim,)}
ROUNDS = 5  # timed runs of a point, after one that warms up
LONGEST = 120.0  # seconds that a sweep may be given


@dataclass(frozen=True)
class Sweep:
    """What to measure, checked: `what` is one of METHODS; sides from coarse to fine."""

    what: str
    head_dim: int
    sides: tuple[int, ...]
    methods: tuple[str, ...]

    @classmethod
    def checked(cls, what, head_dim, sides, methods) -> Sweep:
        """From values that nobody has looked at. Raises ValueError that names what is out of range."""
        what = validate.one_of("what", what, METHODS)
        allowed = HEAD_DIMS[what]
        if validate.integer("head_dim", head_dim, 1, 1024) not in allowed:
            raise ValueError(f"head_dim = {head_dim}: must be one of {', '.join(map(str, allowed))}")
        for name, value, most in (("sides", sides, len(SIDES)), ("methods", methods, len(METHODS[what]))):
            if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
                raise ValueError(f"{name} = {validate.shown(value)}: must be a list of 1 to {most} values")
        chosen = {validate.one_of("method", method, METHODS[what]) for method in methods}
        numbers = {validate.integer("side", side, min(SIDES), max(SIDES)) for side in sides}
        if not numbers <= set(SIDES):
            raise ValueError(f"side = {min(numbers - set(SIDES))}: must be one of {', '.join(map(str, SIDES))}")
        return cls(what, int(head_dim), tuple(sorted(numbers)), tuple(m for m in METHODS[what] if m in chosen))


@dataclass
class Progress:
    """The state of a sweep: `rows` have the keys of the rows of `bench scaling`, as far as measured here, and `times_s`."""

    total: int  # points asked for
    rows: list[dict] = field(default_factory=list)
    left_out: list[dict] = field(default_factory=list)  # {side, method, expected_s}: not enough time left
    stopped: bool = False
    finished: bool = False

    @property
    def done(self) -> int:
        """Points that are measured or left out."""
        return len(self.rows) + len(self.left_out)


class _TimeUpError(Exception):
    """Time is up, or the sweep was stopped."""


def sweep(request: Sweep, seconds: float, stopped: Callable[[], bool] = bool, device: str = "cpu") -> Iterator[Progress]:
    """Measures a sweep; yields one growing Progress after every point, after every further round of a side, and at the end.

    Ends after `seconds` and at most one more scale of a point, or as soon as `stopped()` is true, which is asked as often.
    Within a side the methods take turns, so that a slow moment of the machine hits all of them. Raster order runs on the CPU.
    """
    deadline = time.monotonic() + validate.number("seconds", seconds, 0, LONGEST)
    progress = Progress(len(request.sides) * len(request.methods))
    clock = Clock(torch.device("cpu" if request.what == "raster" else device))

    def look() -> None:
        if stopped() or time.monotonic() >= deadline:
            raise _TimeUpError

    def timed(run, method: str) -> tuple[float, object]:
        with torch.no_grad():  # here, not around a yield: the next step may come from another thread
            begin = clock()
            state = run(method, look)
            return clock() - begin, state

    def settle(row: dict, spent: list[float]) -> None:
        low, _, high = statistics.quantiles(spent, n=4, method="inclusive") if len(spent) > 1 else spent * 3
        row.update(median_s=statistics.median(spent), spread_s=high - low, rounds=len(spent), times_s=list(spent))

    try:
        for side in request.sides:
            look()
            pyramid = official_like(side)
            with _global_seed_untouched():
                run = _loops(request, pyramid, device)
            spent: dict[str, list[float]] = {}
            for method in request.methods:
                expected = _expected(progress.rows, request, side, method)
                if 2 * expected > deadline - time.monotonic():  # once to warm up, once for the clock
                    progress.left_out.append({"side": side, "method": method, "expected_s": expected})
                    yield progress
                    continue
                timed(run, method)
                first, state = timed(run, method)
                spent[method] = [first]
                tokens = side * side if method.startswith("raster") else pyramid.tokens
                row = {"what": request.what, "head_dim": request.head_dim, "side": side, "tokens": tokens, "method": method}
                row["state_bytes"] = getattr(state, "state_bytes", None)
                settle(row, spent[method])
                progress.rows.append(row)
                yield progress
            rows = {row["method"]: row for row in progress.rows if row["side"] == side}
            while len(spent) > 0 and min(map(len, spent.values())) < ROUNDS:
                for method, times in spent.items():
                    times.append(timed(run, method)[0])
                    settle(rows[method], times)
                yield progress
        progress.finished = True
    except _TimeUpError:
        progress.stopped = stopped()
        known = {(row["side"], row["method"]) for row in [*progress.rows, *progress.left_out]}
        progress.left_out += [
            {"side": side, "method": method, "expected_s": _expected(progress.rows, request, side, method)}
            for side in request.sides
            for method in request.methods
            if (side, method) not in known
        ]
    yield progress


def _expected(rows: list[dict], request: Sweep, side: int, method: str) -> float:
    """Seconds of one run as the last smaller side and the theory foretell them; 0 where nothing is known."""
    before = [row for row in rows if row["method"] == method and row["side"] < side]
    if not before:
        return 0.0
    return before[-1]["median_s"] * (side / before[-1]["side"]) ** growth(request.what, method)


def growth(what: str, method: str) -> int:
    """The exponent in the side that theory gives to the attention of a method, large sides."""
    if what == "raster":
        return raster.THEORY[method]
    return 2 if method.startswith(("poly", "landmark")) else 4


def _loops(request: Sweep, pyramid: ScalePyramid, device: str) -> Callable[[str, Callable[[], None]], object]:
    """What runs one loop of a method and calls its second argument as often as it can."""
    if request.what == "raster":
        return _raster_loops(pyramid)
    prepare = {"attention": scaling.attention_loops, "transformer": scaling.transformer_loops}[request.what]
    shape: TransformerConfig = scaling.SHAPES[request.head_dim]
    return prepare(pyramid, shape, device)


class _Watched(raster.Counter):
    """Looks at the clock whenever pairs are counted: once a step."""

    def __init__(self, look: Callable[[], None]):
        super().__init__()
        self.look = look

    def add(self, queries: int, keys: int, causal: bool = False) -> None:
        self.look()


def _raster_loops(pyramid: ScalePyramid) -> Callable[[str, Callable[[], None]], None]:
    order, var = raster.RasterModel(pyramid.side), raster.VarModel(pyramid)

    def run(method: str, look: Callable[[], None]) -> None:
        raster.runner(method, order, var)[0](_Watched(look))

    return run


@contextmanager
def _global_seed_untouched() -> Iterator[None]:
    """The benches seed torch's global generator; a server must not."""
    with torch.random.fork_rng(devices=[]):
        yield
