"""Part `train`: images per second of both stages, whether a step waits for the GPU, and with `--minutes` above 10 a training."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from itertools import product
from tempfile import TemporaryDirectory

import torch

from .. import checkpoints, data
from ..config import ModelConfig
from ..model import Model
from ..training.loop import Trainer
from ..training.recipes import RECIPES, Recipe
from ..training.schedule import Schedule
from ..training.tokenizer import TokenizerObjective
from ..training.transformer import TransformerObjective
from . import models
from .report import Report
from .timing import fitting

BATCHES = (64, 256, 1024)
COMPILING = 45.0  # seconds that torch.compile may take before a first step
STEPS = 8  # timed, after some that warm up
PRESETS = ("things-64", "fashion-28")  # whose shapes are measured, as far as there are such presets
TRAINED = ("things-64", "fashion-28")  # the first of them whose pictures are at hand is trained
TRAIN_BATCH = 256


def run(report: Report) -> None:
    report.result["rows"] = []
    presets = {name: RECIPES[name] for name in PRESETS if name in RECIPES}
    if report.dry:
        presets = {"tiny": Recipe(models.TOKENIZER, models.TRANSFORMER, Schedule(9, 4, 1e-3), Schedule(9, 4, 1e-3, muon_lr=0.02))}
    stages, batches = ("transformer", "tokenizer"), (4,) if report.dry else BATCHES
    ways = (False,) if report.dry else (False, True)
    for compiled, (name, recipe), stage, batch in product(ways, presets.items(), stages, batches):
        what = f"{name} {stage}, batch {batch}{', compiled' if compiled else ''}"
        if report.left() < (COMPILING if compiled else 0):
            report.skip(what, "no time left")
            continue
        row, why = fitting(lambda r=recipe, s=stage, b=batch, c=compiled: throughput(r, s, b, c, report))
        if row is None:
            report.skip(what, why)
            continue
        report.result["rows"].append({"preset": name, **row})
        report.check(f"{what}: the loss is finite", math.isfinite(row["loss"]), f"{row['loss']:.4g}")
        if row["waits"] is not None:
            report.check(f"{what}: no step waits for the GPU", row["waits"] == "", row["waits"])
    report.check("some steps were measured", bool(report.result["rows"]))
    if report.training > 0:
        report.result["training"] = _train(report)
        report.save()


def throughput(recipe: Recipe, stage: str, batch: int, compiled: bool, report: Report) -> dict:
    """Images per second of one stage on random data that lies on the device."""
    device, generator = report.device, torch.Generator().manual_seed(0)
    t = recipe.tokenizer
    torch.manual_seed(0)
    whole = Model.build(ModelConfig("speed", t, recipe.transformer))
    if stage == "tokenizer":
        schedule, objective = recipe.tokenizer_schedule, TokenizerObjective(whole.tokenizer, 10**6, recipe.mse_weight)
        images = torch.rand(batch, t.image_channels, t.image_size, t.image_size, generator=generator)
        given, parts = [images.to(device)], [whole.tokenizer.encoder, whole.tokenizer.decoder]
    else:
        quantizer = whole.tokenizer.quantize.to(device)
        schedule, objective = recipe.transformer_schedule, TransformerObjective(whole.transformer, quantizer)
        ids = torch.randint(t.vocab_size, (batch, t.pyramid.tokens), generator=generator, dtype=torch.int32)
        labels = torch.randint(recipe.transformer.num_classes, (batch,), generator=generator)
        given, parts = [ids.to(device), labels.to(device)], [whole.transformer]
    if compiled:
        for part in parts:
            part.compile()
    with TemporaryDirectory() as folder:
        trainer = Trainer(objective, schedule.changed(batch_size=batch), folder, cpu=device.type == "cpu")
        for _ in range(2):
            _steps(trainer, given, 1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        begin = time.perf_counter()
        loss = _steps(trainer, given, 1 if report.dry else STEPS)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = (time.perf_counter() - begin) / (1 if report.dry else STEPS)
        waits = _waits(trainer, given) if device.type == "cuda" else None
    return {
        "stage": stage,
        "batch": batch,
        "compiled": compiled,
        "precision": trainer.accelerator.mixed_precision,
        "seconds_per_step": seconds,
        "images_per_second": batch / seconds,
        "peak_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "loss": float(loss),
        "waits": waits,
    }


def _steps(trainer: Trainer, given: list[torch.Tensor], count: int) -> torch.Tensor:
    for _ in range(count):
        metrics = trainer._update(given)
        trainer.step += 1
    return metrics["loss"]


def _waits(trainer: Trainer, given: list[torch.Tensor]) -> str:
    """What torch says of the first operation of a step that waits for the GPU; empty where none does."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        _steps(trainer, given, 2)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def _train(report: Report) -> dict:
    """Trains a preset with what time there is, by the same commands a user would give; goes on where an earlier run stopped."""
    name = next((name for name in TRAINED if name in RECIPES and _at_hand(RECIPES[name].data)), None)
    if name is None:
        report.skip("training", f"no pictures of {' or '.join(TRAINED)} at hand")
        return {}
    out, deadline = report.path.parent / name, time.monotonic() + report.training
    tokenizer = ["--tokenizer", name] if name in checkpoints.available() else []
    log = []
    for stage in ("transformer",) if tokenizer else ("tokenizer", "transformer"):
        minutes = (deadline - time.monotonic()) / 60
        if minutes <= 0:
            report.skip(f"training: {stage}", "no time left")
            break
        command = [sys.executable, "-m", "var_mini", "train", stage, "--preset", name, "--out", str(out)]
        command += ["--batch-size", str(TRAIN_BATCH), "--minutes", f"{minutes:.2f}"]
        command += tokenizer if stage == "transformer" else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        said = (done.stdout or "").strip().splitlines()
        log.append({"stage": stage, "command": " ".join(command[1:]), "said": said[-1] if said else ""})
        report.check(f"training {name}, {stage}", done.returncode == 0, log[-1]["said"])
        if not log[-1]["said"].startswith("finished"):
            break  # a transformer is only worth training on a finished tokenizer
    return {"preset": name, "folder": str(out), "stages": log}


def _at_hand(name: str) -> bool:
    """Whether a data set can be loaded here, without a network."""
    with contextlib.suppress(ValueError, ImportError, OSError):
        data.load(name)
        return True
    return False
