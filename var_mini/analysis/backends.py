"""How good is every attention back end on a trained model: its error against exact attention, and what that does to images."""

from __future__ import annotations

import statistics
import sys

import torch

from .. import data as datasets
from .. import validate
from ..generation import Record, generate
from ..model import Model
from ..training.classifier import load_classifier
from ..training.qkv import collect_qkv
from ..training.transformer import cross_entropy, tokenize_images
from .distances import memorised_share, memorised_threshold, relative_frechet
from .fidelity import output_errors

BACKENDS = (
    "exact",
    "poly-2",
    "poly-2-calibrated",
    "poly-4",
    "poly-4-calibrated",
    "landmark-16",
    "landmark-32",
    "landmark-64",
    "pool-2",
    "pool-4",
)


@torch.inference_mode()
def draw_with(model: Model, attention: str, count: int, batch_size: int = 100) -> dict:
    """`count` images (label i mod classes, seed i) with their tokens and what the attention states reported."""
    t, settings = model.transformer.config, model.config.sampling
    images, tokens = [], []
    result = {"fallbacks": 0, "attended": 0, "smallest": []}
    for start in range(0, count, batch_size):
        seeds = list(range(start, min(start + batch_size, count)))
        labels = [i % t.num_classes for i in seeds]
        record = Record(partial_images=False, timed=False)
        steps = list(generate(model.tokenizer, model.transformer, labels, seeds, settings, attention, record))
        images.append(steps[-1].image)
        tokens.append(torch.cat([step.token_ids for step in steps], 1))
        rows = len(seeds) * (2 if settings.guidance > 0 else 1)
        result["fallbacks"] += steps[-1].fallbacks
        result["attended"] += rows * t.heads * t.depth * len(steps)
        result["smallest"].append(steps[-1].smallest_denominator)
        result |= {"rank": steps[-1].rank, "state_bytes": steps[-1].state_bytes // rows}
    known = [s for s in result["smallest"] if s is not None]
    return result | {"images": torch.cat(images), "tokens": torch.cat(tokens), "smallest": min(known, default=None)}


def bench_error(model: Model, samples: int = 2000, backends: tuple[str, ...] = BACKENDS, calibration_images: int = 100) -> dict:
    """All figures of `python -m var_mini bench error`.

    Per back end: the median and the largest relative output error over layers, heads and scales on test images (and the
    median of the last scale, since pooling leaves coarse scales exact and one key is exact for all); the share of
    tokens drawn from the same seeds that are those of exact attention; class accuracy, Frechet distance and memorised share of
    `samples` images as in `evaluate`; test cross-entropy; the share of outputs that fell back to exact; rank, state bytes per
    sequence and smallest denominator. What this model cannot do (no calibration, too large a rank) stands in `left_out` with
    the reason. Raises ValueError where the data set or its classifier is missing.
    """
    validate.integer("samples", samples, 100, 100_000)
    left_out = {}
    for name in backends:
        try:
            model.transformer.resolve(name)
        except ValueError as error:
            left_out[name] = str(error)
    data = datasets.load(model.config.data).with_classes(model.config.class_names)
    if data.train_styles is not None:
        raise ValueError(f"data = {data.name!r}: has styles, which a judge tells, not a classifier; see `evaluate`")
    classifier = load_classifier(data.name, data.class_names)
    test, train = datasets.to_unit(data.test_images), datasets.to_unit(data.train_images)
    real, threshold = classifier.judge(test)[1], memorised_threshold(test, train)
    few = data.test_images[:2000]
    ids, few_labels = tokenize_images(model.tokenizer, few), data.test_conditions[: len(few)]
    qkv = collect_qkv(model, ids[:calibration_images], few_labels[:calibration_images])
    wanted = torch.arange(samples) % model.transformer.config.num_classes
    reference, result = None, {}
    for name in [name for name in backends if name not in left_out]:
        print(f"bench error: {name}", file=sys.stderr, flush=True)
        errors, _ = output_errors(model, qkv, name)
        flat = [e for layer in errors for head in layer for e in head]
        drawn = draw_with(model, name, samples)
        reference = drawn["tokens"] if reference is None else reference
        predicted, features = classifier.judge(drawn["images"] * 2 - 1)
        result[name] = {
            "median_error": statistics.median(flat),
            "max_error": max(flat),
            "median_error_last_scale": statistics.median(head[-1] for layer in errors for head in layer),
            "token_agreement": (drawn["tokens"] == reference).float().mean().item(),
            "token_agreement_per_scale": [
                (drawn["tokens"][:, s] == reference[:, s]).float().mean().item() for s in model.config.pyramid.slices
            ],
            "class_accuracy": (predicted == wanted).float().mean().item(),
            "frechet_samples": relative_frechet(features, real),
            "memorised_share": memorised_share(drawn["images"] * 2 - 1, train, threshold),
            "cross_entropy": cross_entropy(model.transformer, model.tokenizer.quantize, ids, few_labels, name)["cross_entropy"],
            "fallback_share": drawn["fallbacks"] / drawn["attended"],
            "smallest_denominator": drawn["smallest"],
            "rank": drawn["rank"],
            "state_bytes": drawn["state_bytes"],
            "error": errors,
        }
    scales = [block.attn.logit_scale().tolist() for block in model.transformer.blocks]
    return {"model": model.config.name, "samples": samples, "logit_scales": scales, "backends": result, "left_out": left_out}
