"""Short runs that decide shapes: python -m var_mini.training.ablation {tokenizer,transformer} --out FILE.csv

Every variant changes one thing of a preset and trains for about the same number of seconds on one thread, since that is what is
scarce; then it is measured on the held-out pairs. Rows are added to FILE, so variants may be run one by one.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic

import torch

from .. import checkpoints, data, validate
from ..files import writable_file
from ..tokenizer import VQVAE
from ..transformer import VAR
from .augment import augment
from .loop import Trainer
from .memory import reuse_memory
from .objective import M, Objective
from .recipes import RECIPES
from .schedule import Schedule
from .stages import flips_of
from .tokenizer import TokenizerObjective, measure_tokenizer
from .transformer import TransformerObjective, cross_entropy, tokenize_images

PRESETS = {"tokenizer": "things-64", "transformer": "things-32"}
# stage -> variant -> (what differs in the shape, what differs in the schedule)
VARIANTS: dict[str, dict[str, tuple[dict, dict]]] = {
    "tokenizer": {
        "stem 4, width 96, V 4096": ({}, {}),
        "stem 2, width 40": ({"stem": 2, "channels": 40, "channel_mult": (1, 2)}, {}),
        "width 64": ({"channels": 64}, {}),
        "V 2048": ({"vocab_size": 2048}, {}),
        "seven scales": ({"patch_nums": (1, 2, 3, 4, 6, 9, 16)}, {}),
        "batch 16": ({}, {"batch_size": 16}),
    },
    "transformer": {
        "width 144, depth 6": ({}, {}),
        "width 208, depth 3": ({"width": 208, "depth": 3}, {}),
        "width 104, depth 12": ({"width": 104, "depth": 12}, {}),
        "width 192, depth 6": ({"width": 192}, {}),
        "logits not bounded": ({"scale_init": 4.0, "scale_cap": 100.0}, {}),
        "batch 16": ({}, {"batch_size": 16}),
        "AdamW alone": ({}, {"muon_lr": 0.0}),
    },
}
PROBED = 6  # steps that are timed before a run, behind three first ones


@dataclass(frozen=True)
class Variant(Generic[M]):
    """What a short run needs."""

    objective: Callable[[int], Objective[M]]  # a fresh one, for so many steps
    schedule: Schedule
    examples: int
    batch: Callable
    measure: Callable[[M], dict]

    def trained(self, steps: int, folder: str, stop_at: int | None = None) -> tuple[Trainer[M], float]:
        """The trainer behind its steps, and their seconds."""
        torch.manual_seed(0)
        schedule = replace(self.schedule, steps=steps, warmup=min(20, steps), ema=0.99)
        trainer = Trainer(self.objective(steps), schedule, folder, cpu=True)
        started = time.monotonic()
        trainer.run(self.examples, self.batch, stop_at=stop_at)
        return trainer, time.monotonic() - started

    def seconds_per_step(self) -> float:
        """Measured on a few steps behind the first ones."""
        taken = []
        for steps in (3, 3 + PROBED):
            with TemporaryDirectory() as folder:
                taken.append(self.trained(1000, folder, steps)[1])
        return (taken[1] - taken[0]) / PROBED

    def run(self, seconds: float) -> dict:
        """The row of figures of one run of about so many seconds, and at least 20 steps."""
        steps = max(20, round(seconds / self.seconds_per_step()))
        with TemporaryDirectory() as folder:
            trainer, taken = self.trained(steps, folder)
            with trainer.averaged() as model:
                measured = self.measure(model)
                parameters = sum(p.numel() for p in model.parameters())
        images = steps * self.schedule.batch_size
        return {"steps": steps, "images": images, "seconds": round(taken, 1), "parameters": parameters} | measured


def tokenizer_variant(shape: dict, schedule: dict) -> Variant[VQVAE]:
    """Stage one of the preset, with these differences."""
    recipe = RECIPES[PRESETS["tokenizer"]]
    images, config = data.load(recipe.data), replace(recipe.tokenizer, **shape)

    def measure(model: VQVAE) -> dict:
        measured = measure_tokenizer(model, images.test_images)
        return {"psnr_test": round(measured["psnr_db"], 3), "codebook_used": round(measured["codebook_used"], 4)}

    return Variant(
        objective=lambda steps: TokenizerObjective(VQVAE(config), steps, recipe.mse_weight),
        schedule=replace(recipe.tokenizer_schedule, **schedule),
        examples=len(images.train_images),
        batch=lambda chosen, generator: [augment(images.train_images[chosen], generator, flips_of(images, chosen))],
        measure=measure,
    )


def transformer_variant(shape: dict, schedule: dict, tokenizer: VQVAE) -> Variant[VAR]:
    """Stage two of the preset on the token maps of a trained tokenizer, with these differences; the exact kernel alone."""
    recipe = RECIPES[PRESETS["transformer"]]
    images, t = data.load(recipe.data), tokenizer.config
    config = replace(recipe.transformer, num_classes=len(images.class_names), num_styles=len(images.style_names), **shape)
    ids, conditions = tokenize_images(tokenizer, images.train_images), images.train_conditions
    test_ids = tokenize_images(tokenizer, images.test_images)

    def measure(model: VAR) -> dict:
        measured = cross_entropy(model, tokenizer.quantize, test_ids, images.test_conditions)
        return {"test_cross_entropy": round(measured["cross_entropy"], 4)}

    return Variant(
        objective=lambda _: TransformerObjective(VAR(config, t.pyramid, t.vocab_size, t.z_channels), tokenizer.quantize),
        schedule=replace(recipe.transformer_schedule, **schedule),
        examples=len(ids),
        batch=lambda chosen, _: [ids[chosen], conditions[chosen]],
        measure=measure,
    )


def run_variant(stage: str, name: str, seconds: float, tokenizer: Path | str | None = None) -> dict:
    """One row. `tokenizer`: a folder or a shipped model, for the transformer; by default that of its preset."""
    variants = VARIANTS[validate.one_of("stage", stage, VARIANTS)]
    changes = variants[validate.one_of("variant", name, variants)]
    if stage == "tokenizer":
        variant = tokenizer_variant(*changes)
    else:
        variant = transformer_variant(*changes, checkpoints.load_tokenizer(tokenizer or PRESETS[stage]))
    return {"variant": name} | variant.run(seconds)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m var_mini.training.ablation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stage", choices=VARIANTS)
    parser.add_argument("--out", type=Path, required=True, help="CSV file; rows are added to it")
    parser.add_argument("--seconds", type=float, default=240, help="training time of each variant")
    parser.add_argument("--variants", help="names, with semicolons (default: all)")
    parser.add_argument("--tokenizer", help="model or folder, for the transformer's variants (default: that of the preset)")
    options = parser.parse_args(arguments)
    try:
        writable_file("out", options.out, (".csv",))
        reuse_memory()
        torch.set_num_threads(1)
        for name in VARIANTS[options.stage] if options.variants is None else options.variants.split(";"):
            _add_row(options.out, run_variant(options.stage, name, options.seconds, options.tokenizer))
    except (ValueError, OSError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 2
    return 0


def _add_row(path: Path, row: dict) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
