"""Short tokenizer runs that decided the shapes of `emoji-64`: python -m var_mini.training.ablation --out FILE.csv

Every variant changes one thing and trains for the same number of seconds on one thread, since that is what is scarce;
then its reconstruction of unseen pictures is measured. Rows are added to FILE, so variants may be run one by one.
With --start MODEL the variants are those of how to go on from a trained tokenizer, for the same number of steps.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from .. import checkpoints, data, validate
from ..data import to_unit
from ..files import writable_file
from ..tokenizer import VQVAE
from .augment import augment
from .loop import Trainer
from .memory import reuse_memory
from .recipes import EMOJI, EMOJI_TOKENIZER
from .schedule import Schedule
from .tokenizer import TokenizerObjective, measure_tokenizer

WIDE_STEM = {"stem": 4, "channels": 80, "channel_mult": (1,)}
EIGHT, SEVEN = (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 3, 4, 6, 9, 16)
MSE_WEIGHT = 20.0  # of the pixel error, in all variants of the first round
# name -> (what differs in the tokenizer, what differs in the schedule)
VARIANTS: dict[str, tuple[dict, dict]] = {
    "stem-2 width-40 V-4096": ({"stem": 2, "channels": 40, "channel_mult": (1, 2), "vocab_size": 4096}, {}),
    "stem-2 width-32 V-2048": ({"stem": 2, "channels": 32, "channel_mult": (1, 2), "vocab_size": 2048}, {}),
    "stem-4 width-80 V-2048": (WIDE_STEM | {"vocab_size": 2048}, {}),
    "stem-4 width-80 V-4096": (WIDE_STEM | {"vocab_size": 4096}, {}),
    "stem-4 width-80 V-2048 seven scales": (WIDE_STEM | {"vocab_size": 2048, "patch_nums": SEVEN}, {}),
    "stem-4 width-80 V-2048 batch 16": (WIDE_STEM | {"vocab_size": 2048}, {"batch_size": 16}),
}
# name -> (scales, weight of the pixel error), from a tokenizer of seven scales trained with a weight of 20
FURTHER: dict[str, tuple[tuple[int, ...], float]] = {
    "seven scales, weight 20": (SEVEN, 20.0),
    "seven scales, weight 8": (SEVEN, 8.0),
    "seven scales, weight 3": (SEVEN, 3.0),
    "11x11 for 9x9, weight 8": ((1, 2, 3, 4, 6, 11, 16), 8.0),
    "12x12 for 9x9, weight 8": ((1, 2, 3, 4, 6, 12, 16), 8.0),
    "12x12 added, weight 8": ((1, 2, 3, 4, 6, 9, 12, 16), 8.0),
}


def run_variant(name: str, seconds: float) -> dict:
    """Trains one variant for about `seconds` (at least 20 steps) and measures it on the held-out pictures."""
    shape, schedule = VARIANTS[validate.one_of("variant", name, VARIANTS)]
    images = data.load("emoji")
    config = replace(EMOJI_TOKENIZER, **{"patch_nums": EIGHT} | shape)
    speed = _seconds_per_step(config, schedule, images)
    steps = max(20, round(seconds / speed))
    objective, trainer_schedule = _prepare(config, schedule, steps)
    with TemporaryDirectory() as folder:
        trainer = Trainer(objective, trainer_schedule, folder, "no")
        started = time.monotonic()
        trainer.run(len(images.train_images), _batch(images))
        taken = time.monotonic() - started
        with trainer.averaged() as model:
            measured = measure_tokenizer(model, images.test_images)
    facts = asdict(config)
    return {
        "variant": name,
        "steps": steps,
        "images": steps * trainer_schedule.batch_size,
        "seconds": round(taken, 1),
        "tokens": config.pyramid.tokens,
        "parameters": sum(p.numel() for p in objective.model.parameters()),
        "psnr_test": round(measured["psnr_db"], 3),
        "codebook_used": round(measured["codebook_used"], 4),
        "patch_nums": " ".join(map(str, facts["patch_nums"])),
        **{key: facts[key] for key in ("vocab_size", "stem", "channels")},
    }


def _prepare(config, schedule: dict, steps: int) -> tuple[TokenizerObjective, Schedule]:
    torch.manual_seed(0)
    base = replace(EMOJI.tokenizer_schedule, **{"steps": steps, "batch_size": 32, "warmup": 20, "ema": 0.99} | schedule)
    return TokenizerObjective(VQVAE(config), steps, MSE_WEIGHT), base


def _batch(images):
    return lambda indices, generator: [augment(images.train_images[indices], generator, images.flips[indices])]


def _seconds_per_step(config, schedule: dict, images, steps: int = 5) -> float:
    """Measured on a few steps behind a first one."""
    objective, trainer_schedule = _prepare(config, schedule, 100)
    with TemporaryDirectory() as folder:
        trainer = Trainer(objective, trainer_schedule, folder, "no")
        trainer.run(len(images.train_images), _batch(images), stop_at=1)
        started = time.monotonic()
        trainer.run(len(images.train_images), lambda i, g: [to_unit(images.train_images[i])], stop_at=1 + steps)
        return (time.monotonic() - started) / steps


def go_on(name: str, start: Path | str, steps: int) -> dict:
    """Trains the tokenizer of `start` for `steps` more and measures it before and after on the held-out pictures."""
    sides, weight = FURTHER[validate.one_of("variant", name, FURTHER)]
    images, known = data.load("emoji"), checkpoints.load_tokenizer(start)
    model = VQVAE(replace(known.config, patch_nums=sides))  # no weight depends on the scales
    model.load_state_dict(known.state_dict())
    before = measure_tokenizer(model, images.test_images)
    schedule = replace(EMOJI.tokenizer_schedule, steps=steps, lr=1e-3, warmup=min(50, steps), ema=0.99)
    with TemporaryDirectory() as folder:
        trainer = Trainer(TokenizerObjective(model, steps, weight, fresh=False), schedule, folder, "no")
        trainer.run(len(images.train_images), _batch(images))
        with trainer.averaged() as averaged:
            after = measure_tokenizer(averaged, images.test_images)
    return {
        "variant": name,
        "steps": steps,
        "tokens": model.pyramid.tokens,
        "psnr_start": round(before["psnr_db"], 3),
        "psnr_test": round(after["psnr_db"], 3),
        "codebook_used": round(after["codebook_used"], 4),
        "patch_nums": " ".join(map(str, sides)),
        "mse_weight": weight,
    }


def main() -> None:
    parser = argparse.ArgumentParser("python -m var_mini.training.ablation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="CSV file; rows are added to it")
    parser.add_argument("--seconds", type=float, default=240, help="training time of each variant")
    parser.add_argument("--variants", help="names, with semicolons (default: all)")
    parser.add_argument("--start", help="model whose tokenizer the variants go on from")
    parser.add_argument("--steps", type=int, default=200, help="of each variant that goes on from --start")
    options = parser.parse_args()
    writable_file("out", options.out, (".csv",))
    reuse_memory()
    torch.set_num_threads(1)
    known = VARIANTS if options.start is None else FURTHER
    for name in known if options.variants is None else options.variants.split(";"):
        row = run_variant(name, options.seconds) if options.start is None else go_on(name, options.start, options.steps)
        new = not options.out.exists()
        with open(options.out, "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, file=sys.stderr)


if __name__ == "__main__":
    main()
