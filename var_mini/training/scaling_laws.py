"""How the loss falls with the size of the transformer: five widths at equal tokens on one frozen tokenizer, and a fitted law.

The law is loss = E + a N^-alpha (Hoffmann et al., arXiv 2203.15556), N being the weights of the blocks that work on every token:
embeddings, positions, condition and head are left out. VAR's own fit (arXiv 2404.02905, section 5.1) has no E and spans N from
18 million to 2 billion; nothing here says anything about its exponent.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import OptimizeResult, minimize_scalar, nnls

from .. import checkpoints, validate
from ..files import writable_folder
from ..transformer import VAR
from .loop import Trainer, digest
from .recipes import RECIPES
from .stages import load_data, train_tokenizer
from .transformer import TransformerObjective, tokenize_images

PRESET = "fashion-28-quick"
WIDTHS = (32, 64, 96, 128, 192)  # one head of 16 for each 32 of width, as the preset has
STEPS, BATCH = 900, 8  # small batches: the few tokens go further
TOKENIZER_STEPS = 500
HELD_OUT = 1000  # pictures on which the loss is measured
ALPHAS = (0.01, 4.0)  # where the fit looks for alpha
RESAMPLES, CONFIDENCE = 1000, 0.95


def fit_power(sizes: list[float], losses: list[float]) -> dict:
    """The E >= 0, a >= 0 and alpha of loss = E + a size^-alpha with the least squared error, as `floor`, `factor`, `alpha`.

    For a given alpha the best E and a are a linear problem; alpha is searched in ALPHAS. Raises ValueError unless there are at
    least three different positive sizes with a finite loss each.
    """
    x, y = np.asarray(sizes, float), np.asarray(losses, float)
    if x.shape != y.shape or x.ndim != 1 or len(set(x.tolist())) < 3:
        raise ValueError(f"sizes has {x.size} and losses {y.size} values: must be at least 3 different sizes, and as many losses")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all()):
        raise ValueError("sizes must be positive and finite, losses finite")
    middle = np.exp(np.log(x).mean())  # so that no power is huge or tiny

    def solved(alpha: float) -> tuple[np.ndarray, float]:
        return nnls(np.stack([np.ones_like(x), (x / middle) ** -alpha], 1), y)

    grid = np.geomspace(*ALPHAS, 60)
    best = int(np.argmin([solved(alpha)[1] for alpha in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda t: solved(t)[1], bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert isinstance(found, OptimizeResult)  # scipy's types do not say so
    alpha = float(found.x)
    (floor, factor), error = solved(alpha)
    return {"floor": float(floor), "factor": float(factor * middle**alpha), "alpha": alpha, "rms": float(error / len(x) ** 0.5)}


def bootstrap(sizes: list[float], losses: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """`fit_power` on the mean losses, and `low` and `high` of floor and alpha when the pictures are drawn anew.

    losses   (sizes, pictures): the loss of every model on the same pictures, which are resampled together
    The interval knows of nothing but the choice of held-out pictures: seeds, learning rates and the form of the law are outside.
    """
    losses = np.asarray(losses, float)
    if losses.ndim != 2 or len(losses) != len(sizes) or losses.shape[1] < 2:
        raise ValueError(f"losses has shape {losses.shape}: must be ({len(sizes)}, at least 2 pictures)")
    resamples = validate.integer("resamples", resamples, 10, 100_000)
    rng, count = np.random.default_rng(seed), losses.shape[1]
    drawn = [fit_power(sizes, losses[:, rng.integers(0, count, count)].mean(1)) for _ in range(resamples)]
    found = {"fit": fit_power(sizes, losses.mean(1)), "resamples": resamples, "confidence": CONFIDENCE}
    for name in ("floor", "alpha"):
        low, high = np.quantile([fit[name] for fit in drawn], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        found[name] = {"low": float(low), "high": float(high)}
    return found


@torch.inference_mode()
def losses_of(model: VAR, quantizer, ids: torch.Tensor, labels: torch.Tensor, batch_size: int = 100) -> torch.Tensor:
    """Cross-entropy of each picture (N,), the mean over its tokens in nats, with teacher forcing and its true label."""
    model.eval()
    found = []
    for part, label in zip(ids.long().split(batch_size), labels.split(batch_size)):
        logits = model(label, quantizer.inputs_from_ids(part), "exact")
        found.append(F.cross_entropy(logits.transpose(1, 2), part, reduction="none").double().mean(1))
    return torch.cat(found)


def bench_laws(out: Path | str, steps: int = STEPS, widths: tuple[int, ...] = WIDTHS) -> dict:
    """All of `python -m var_mini bench laws`: a tokenizer, frozen, then every width for `steps` on the same pictures in the same
    order, and the fitted law.

    Each of these runs has a folder in `out` from which it goes on when stopped. No picture is seen twice while there are enough.
    """
    for width in widths:
        if validate.integer("width", width, 32, 1024) % 32:
            raise ValueError(f"width = {width}: must be a multiple of 32")
    if len(set(widths)) < 3:
        raise ValueError(f"widths = {widths}: must hold at least 3 different ones, or no law can be fitted")
    steps, recipe = validate.integer("steps", steps, 1, 1_000_000), RECIPES[PRESET]
    schedule = replace(recipe.transformer_schedule, steps=steps, batch_size=BATCH, warmup=max(1, min(100, steps // 4)), ema=0.99)
    out = writable_folder("out", out)
    train_tokenizer(PRESET, out, precision="no", steps=TOKENIZER_STEPS)
    tokenizer, images = checkpoints.load_tokenizer(out / "tokenizer"), load_data(recipe, None)
    count = min(len(images.train_images), steps * BATCH)
    ids = tokenize_images(tokenizer, images.train_images[:count], progress=True)
    held_out = tokenize_images(tokenizer, images.test_images[:HELD_OUT])
    labels = images.train_conditions[:count]
    rows, losses = [], []
    for width in widths:
        torch.manual_seed(schedule.seed)
        shape = replace(recipe.transformer, width=width, heads=width // 32, num_classes=len(images.class_names))
        model = VAR(shape, tokenizer.pyramid, tokenizer.config.vocab_size, tokenizer.config.z_channels)
        objective, place = TransformerObjective(model, tokenizer.quantize), out / f"width-{width}"
        trainer = Trainer(objective, schedule, place, "no", cpu=True, identity=digest(shape, ids))
        print(f"width {width}", file=sys.stderr)
        trainer.run(count, lambda chosen, _: [ids[chosen], labels[chosen]])
        with trainer.averaged() as averaged:
            found = losses_of(averaged, tokenizer.quantize, held_out, images.test_conditions[:HELD_OUT])
        losses.append(found.numpy())
        rows.append(
            {
                "width": width,
                "parameters": sum(p.numel() for p in model.blocks.parameters()),
                "all_parameters": sum(p.numel() for p in model.parameters()),
                "cross_entropy": found.mean().item(),
                "standard_error": (found.std() / len(found) ** 0.5).item(),
                "seconds": trainer.seconds,
            }
        )
    law = bootstrap([row["parameters"] for row in rows], np.stack(losses))
    return {
        "preset": PRESET,
        "tokenizer_steps": TOKENIZER_STEPS,
        "steps": steps,
        "batch_size": BATCH,
        "tokens": steps * BATCH * tokenizer.pyramid.tokens,
        "pictures": count,
        "held_out": len(held_out),
        "seeds": 1,
        "rows": rows,
        **law,
    }
