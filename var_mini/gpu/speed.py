"""Part `speed`: seconds of whole pictures, eager and with CUDA graphs, of the shipped models and of the published d16 shape."""

from __future__ import annotations

import statistics
import time

import torch

from ..generation import Graphs
from ..model import Model
from . import models
from .report import Report
from .timing import fitting

BATCHES = (1, 16, 64, 256)
BACKENDS = ("exact", "poly-2", "landmark-64")
TARGET = 3.0  # times faster than eager, at batch 1


def run(report: Report) -> None:
    report.result |= {"rows": [], "target_at_batch_1": TARGET}
    loaders = models.shipped(report.dry) | {"var_d16, random weights": lambda device: models.published_shape(report.dry, device)}
    batches = (1, 2) if report.dry else BATCHES
    for attention in BACKENDS:
        for name, load in loaders.items():
            model = None
            for batch in batches:
                what = f"{name}, {attention}, batch {batch}"
                if report.left() < 0:
                    report.skip(what, "no time left")
                    continue
                model = model or load(report.device)
                if attention not in models.backends(model.transformer, dry=False):
                    break
                row, why = fitting(lambda m=model, a=attention, b=batch: measured(m, a, b, report))
                if row is None:
                    report.skip(what, why)
                    continue
                report.result["rows"].append({"model": name, **row})
                if row["graph_s"] is not None:
                    report.check(f"graphs draw the ids of generate: {what}", row["ids_equal"] == 1, f"{row['ids_equal']:.4f}")
                else:
                    report.skip(f"graphs of {what}", row["why_no_graphs"])
                report.save()
    report.check("some times were measured", bool(report.result["rows"]))


@torch.no_grad()
def measured(model: Model, attention: str, batch: int, report: Report) -> dict:
    """Seconds of one batch of final pictures, eager and by graphs, and whether both draw the same."""
    classes = model.config.transformer.num_classes
    labels, seeds = [i % classes for i in range(batch)], list(range(batch))
    bare = {"details": False, "partial_images": False, "timed": False, "attention": attention}
    steps = list(model.generate(labels, seeds, **bare))
    eager = _seconds(lambda: list(model.generate(labels, seeds, **bare)), report)
    ids = torch.cat([step.token_ids for step in steps], 1)
    row = {"attention": attention, "batch": batch, "eager_s": eager, "graph_s": None, "speedup": None, "ids_equal": None}
    record = (lambda scale: scale) if report.dry else None  # on a CPU a record is the call itself
    try:  # after the eager runs, whose memory is free again
        graphs = Graphs(model.tokenizer, model.transformer, batch, model.config.sampling, attention, record)
    except torch.OutOfMemoryError:
        return row | {"why_no_graphs": "too little memory", "redrawn": 0, "images_per_second": batch / eager}
    if graphs.why_not is None:
        row["ids_equal"] = (graphs.draw(labels, seeds)[0] == ids).float().mean().item()
        row["graph_s"] = _seconds(lambda: graphs.draw(labels, seeds), report)
        row["speedup"] = eager / row["graph_s"]
    row |= {"why_no_graphs": graphs.why_not, "redrawn": graphs.redrawn}
    return row | {"images_per_second": batch / min(eager, row["graph_s"] or eager)}


def _seconds(run, report: Report) -> float:
    """Median by the clock: what is drawn ends on the host, so the clock has waited for the GPU."""
    spent: list[float] = []
    while len(spent) < 3 or (sum(spent) < 1.0 and len(spent) < 20 and report.left() > 0 and not report.dry):
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)
