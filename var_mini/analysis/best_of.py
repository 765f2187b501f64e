"""Rejection sampling: of several drawings the one that a classifier finds most like what was asked for.

The published VAR reports it, too (arXiv 2404.02905, table 1, "-re"). The classifier is the *ranker*, a second judge
(training/judge.py), narrower than the first and trained on other batches: the judge that `evaluate` asks has no part
in the choice.

`bench best-of` measures what it gains.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F

from .. import checkpoints, validate
from .. import data as datasets
from ..config import ModelConfig, Sampling
from ..generation.sampling import MAX_SEED
from ..model import Model
from ..training.judge import Gallery, Judge, load_judge, retrieval

MOST = 64  # drawings that one is chosen from
COUNTS = (1, 2, 4, 8)


def has_ranker(config: ModelConfig) -> bool:
    """Whether what a model draws can be ranked."""
    try:
        load_ranker(config)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=2)
def load_ranker(config: ModelConfig) -> Judge:
    """The ranker of what a model draws. Raises ValueError where there is none."""
    if not config.transformer.num_styles:
        raise ValueError(f"model = {config.name!r}: has no styles, and so no ranker, which choosing the best drawing needs")
    return load_judge(config.data, config.class_names, config.style_names, "ranker")


@torch.inference_mode()
def scores(ranker: Judge, images: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
    """log p(thing) + log p(style) of images (N, 3, S, S) in [0, 1], asked for as `conditions` (N, 2) or (1, 2) say; any style
    counts 0.
    """
    x = images.cpu() * 2 - 1
    thing, style = conditions.expand(len(x), 2).split(1, 1)
    things = ranker(x)[1].log_softmax(-1)
    styles = F.pad(ranker.style(x).float().log_softmax(-1), (0, 1))  # the last place is "any"
    return (things.gather(1, thing) + styles.gather(1, style))[:, 0]


class Drawing(NamedTuple):
    """One of those that the best is chosen from: its seed, its score, its image (3, S, S) in [0, 1]."""

    seed: int
    score: float
    image: torch.Tensor


def ranked(
    model: Model,
    score: Callable[[torch.Tensor], torch.Tensor],
    label: int,
    seed: int,
    count: int,
    sampling: Sampling | None = None,
    **options,
) -> list[Drawing]:
    """What `count` seeds from `seed` on draw, the highest score first; `score` takes images (count, ...) in [0, 1].

    `options` go to `Model.sample_images`, which draws all at once.
    """
    validate.integer("best_of", count, 1, MOST)
    seeds = [(validate.integer("seed", seed, 0, MAX_SEED) + i) % (MAX_SEED + 1) for i in range(count)]
    images = model.sample_images(label, seeds, sampling, **options)
    drawn = map(Drawing, seeds, score(images).tolist(), images)
    return sorted(drawn, key=lambda drawing: drawing.score, reverse=True)


def bench_best_of(name: str, samples: int = 200) -> dict:
    """What the judge sees in the best of 1, 2, 4 and 8 drawings: `rows` for trained and held-out pairs, `samples` of each.

    Picture i of drawing k has seed 1000 k + i. Raises ValueError where judge or ranker is missing.
    """
    validate.integer("samples", samples, 1, 1000)
    model = checkpoints.load(name)
    data = datasets.load(model.config.data).with_classes(model.config.class_names)
    ranker, judge = load_ranker(model.config), load_judge(data.name, data.class_names, data.style_names)
    gallery, generator, rows = Gallery.of(judge, data), torch.Generator().manual_seed(0), []
    began = time.monotonic()
    for pairs, known in (("trained", data.train_conditions), ("held out", data.test_conditions)):
        asked = known[torch.randperm(len(known), generator=generator)[:samples]]
        things, styles = (part.tolist() for part in asked.unbind(1))
        drawn = [model.sample_images(things, [1000 * k + i for i in range(len(asked))], style=styles) for k in range(max(COUNTS))]
        found = torch.stack([scores(ranker, images, asked) for images in drawn])
        for count in COUNTS:
            chosen = torch.stack([drawn[k][i] for i, k in enumerate(found[:count].argmax(0).tolist())])
            verdict = judge.judge(chosen * 2 - 1)
            rows.append({"pairs": pairs, "best_of": count, **retrieval(judge, gallery, verdict, asked)})
    return {"model": name, "samples": samples, "rows": rows, "seconds": round(time.monotonic() - began)}
