"""The sampling settings a model ships with: python -m var_mini.analysis.sampling_choice --model NAME --out FILE.csv

Every setting draws the same classes and seeds. Of a model with classes the least Frechet distance to *training* images decides,
of one with things and styles how many of the drawn training pairs a judge recognises: test images have no part in the choice.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from .. import checkpoints, validate
from .. import data as datasets
from ..data import ImageData
from ..files import writable_file
from ..generation import Sampling
from ..model import Model
from ..training.classifier import load_classifier
from ..training.judge import Gallery, load_judge
from .evaluation import judge_drawn
from .evaluation_pairs import Bench

GUIDANCE = (1.5, 3.0, 5.0)
TOP_P = (0.3, 0.5, 0.7, 0.9)


def measure_settings(name: str, count: int) -> list[dict]:
    """A row of figures for every combination of guidance and top-p, from `count` drawn images each."""
    validate.integer("samples", count, 100, 100_000)
    model = checkpoints.load(name)
    data = datasets.load(model.config.data).with_classes(model.config.class_names)
    judged = _by_judge(model, data, count) if data.train_styles is not None else _by_classifier(model, data, count)
    rows = []
    for guidance, top_p in product(GUIDANCE, TOP_P):
        sampling = replace(model.config.sampling, guidance=guidance, top_p=top_p)
        figures = judged(sampling)
        distance = figures.pop("frechet_samples")
        rows.append({"guidance": guidance, "top_p": top_p, "frechet_to_training": distance} | figures)
        print(rows[-1], file=sys.stderr)
    return rows


def _by_classifier(model: Model, data: ImageData, count: int) -> Callable[[Sampling], dict]:
    classifier = load_classifier(data.name, data.class_names)
    _, real = classifier.judge(datasets.to_unit(data.train_images))
    return lambda sampling: judge_drawn(model, data, classifier, real, count, sampling)[0]


def _by_judge(model: Model, data: ImageData, count: int) -> Callable[[Sampling], dict]:
    judge = load_judge(data.name, data.class_names, data.style_names)
    real = judge.judge(datasets.to_unit(data.train_images))
    bench = Bench(model, data, judge, Gallery(real.embedding, data.train_labels, data.known_styles), real.features)
    chosen = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(1))[:count]
    conditions = data.train_conditions[chosen]
    return lambda sampling: bench.figures(bench.draw(conditions, sampling), conditions)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m var_mini.analysis.sampling_choice", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True, help="CSV file")
    options = parser.parse_args(arguments)
    try:
        writable_file("out", options.out, (".csv",))
        rows = measure_settings(options.model, options.samples)
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({key: float(f"{value:.4g}") for key, value in row.items()} for row in rows)
    except (ValueError, OSError) as error:
        print(f"sampling_choice: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
