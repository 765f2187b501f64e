"""What the experiments share: a limit on memory, processor seconds, and the slope of a growth."""

from __future__ import annotations

import math
import time

from ..cost.fit import fit_exponent

MAX_BYTES = 1 << 30


def refuse_beyond(what: str, shape: tuple[int, ...], item_bytes: int = 8, limit: int = MAX_BYTES) -> None:
    """Raises ValueError with the size where a tensor of this shape would take more than `limit` bytes."""
    size = math.prod(shape) * item_bytes
    if size > limit:
        shown = " x ".join(f"{n:,}" for n in shape)
        raise ValueError(f"{what} has {shown} numbers, {size / 1e9:,.1f} GB: must be at most {limit / 1e9:.1f} GB")


def processor_seconds(run, repeats: int = 3) -> float:
    """The least of `repeats` processor times of `run()` after one that warms up.

    What other programs do on the machine enters processor time little, where it would double the time on the clock.
    """
    run()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def growth(sizes: list[int], runs: list, repeats: int = 3) -> dict:
    """Processor seconds of each run, and the e of seconds ~ size^e with its 95 % interval: only the slope means anything.

    `last` is the e between the two largest sizes: small ones are overhead.
    """
    seconds = [processor_seconds(run, repeats) for run in runs]
    last = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
    return {"sizes": sizes, "seconds": seconds, "last": last, **fit_exponent(sizes, seconds)}
