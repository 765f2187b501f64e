"""One image at several resolutions, by trained models of the same data: time, share of attention, state, per back end."""

from __future__ import annotations

import statistics

from .. import checkpoints, validate
from ..model import Model

LADDER = ("things-16", "things-32", "things-64")
BACKENDS = ("exact", "poly-2", "landmark-32")


def time_image(model: Model, attention: str, repeats: int, label: int = 0) -> dict:
    """Medians over `repeats` warm runs of one image: seconds in all and of attention (every partial image decoded)."""
    totals, attentions = [], []
    for seed in range(-1, repeats):  # the first run warms up
        steps = list(model.generate(label, max(seed, 0), attention=attention, details=False))
        if seed >= 0:
            totals.append(sum(step.seconds for step in steps))
            attentions.append(sum(step.seconds_attention for step in steps))
    last, seconds = steps[-1], statistics.median(totals)
    return {
        "attention": attention,
        "seconds": seconds,
        "spread_s": _spread(totals),
        "seconds_attention": statistics.median(attentions),
        "attention_share": statistics.median(attentions) / seconds,
        "state_bytes": last.state_bytes,
        "reserve_bytes": last.reserve_bytes,
        "rank": last.rank,
    }


def bench_ladder(names: tuple[str, ...] = LADDER, repeats: int = 15) -> dict:
    """All figures of `python -m var_mini bench ladder`: one row per model and back end."""
    validate.integer("repeats", repeats, 2, 10_000)
    rows = []
    for name in names:
        model = checkpoints.load(name)
        facts = {
            "model": name,
            "image_size": model.config.tokenizer.image_size,
            "side": model.config.pyramid.patch_nums[-1],
            "tokens": model.config.pyramid.tokens,
            "parameters": model.num_parameters(),
        }
        rows += [facts | time_image(model, attention, repeats) for attention in BACKENDS]
    return {"rows": rows, "repeats": repeats}


def _spread(values: list[float]) -> float:
    """Interquartile range."""
    low, _, high = statistics.quantiles(values, n=4)
    return high - low
