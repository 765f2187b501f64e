"""Part `generate`: do the CPU and the GPU draw the same tokens? Where they first differ: a tie of two codes, or a fault?

A token is the code with the largest score, its guided logit over the temperature minus the logarithm of its noise. Two devices
round differently, so two codes whose scores lie closer together than the devices' logits do may change places: a tie.
"""

from __future__ import annotations

import torch

from ..generation.sampling import exponential, filter_logits, noise_generators
from ..model import Model
from . import models
from .report import Report

IMAGES = 4
CLOSE = {"landmark": 0.2}  # logits of two devices; landmarks magnify rounding
OTHERWISE = 0.02


def run(report: Report) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # rounds at 2^-11: every second token a tie
    report.result["models"] = {}
    for name, load in models.shipped(report.dry).items():
        here, there = load("cpu"), load(report.device)
        rows = report.result["models"][name] = {}
        for attention in models.backends(here.transformer, report.dry):
            if report.left() < 0:
                report.skip(f"{name} {attention}", "no time left")
                continue
            rows[attention] = found = compare(here, there, attention, report.dry)
            report.check(f"{name} {attention}", found["verdict"] != "fault", str(found))


def compare(here: Model, there: Model, attention: str, dry: bool = False) -> dict:
    """Ids of a few images drawn by two copies of a model; of the first scale that differs, the gap behind the difference."""
    classes = here.config.transformer.num_classes
    images = 1 if dry else IMAGES
    labels, seeds = [i * classes // images for i in range(images)], list(range(images))
    steps = list(here.generate(labels, seeds, attention=attention, keep_logits=True))
    fused = attention == "poly-2" or attention.startswith("landmark")
    implementation = "triton" if dry and fused else "auto"  # in a dry run a CPU interprets the kernels
    others = list(there.generate(labels, seeds, attention=attention, keep_logits=True, implementation=implementation))
    equal = torch.cat([(a.token_ids == b.token_ids).flatten() for a, b in zip(steps, others)])
    differing = [k for k, (a, b) in enumerate(zip(steps, others)) if not torch.equal(a.token_ids, b.token_ids)]
    until = differing[0] + 1 if differing else len(steps)  # what is drawn after a difference has other input
    apart = max((a.logits - b.logits).abs().max().item() for a, b in zip(steps[:until], others[:until]))
    fallbacks = [steps[until - 1].fallbacks, others[until - 1].fallbacks]
    found = {
        "share_equal": equal.float().mean().item(),
        "tokens": len(equal),
        "logits_differ_by": apart,
        "fallbacks": fallbacks,
        "first_scale": differing[0] + 1 if differing else None,
        "gap": None,
        "verdict": "equal",
    }
    allowed = CLOSE.get(attention.partition("-")[0], OTHERWISE)
    if differing:
        found["gap"] = _gap(here, steps[differing[0]], others[differing[0]], seeds)
        found["verdict"] = "tie" if found["gap"] <= 4 * apart + 1e-4 else "fault"
    if fallbacks[0] != fallbacks[1]:
        found["verdict"] = "another head fell back to exact"  # a denominator at zero: decided by the last bit
    elif not apart <= allowed:
        found["verdict"] = "fault"
    return found


def _gap(model: Model, mine, other, seeds: list[int]) -> float:
    """Largest gap of the scores of the two codes, over the tokens of a scale that differ.

    Not where one device's top-k or top-p leaves the other's code out: that is a tie of a code with the edge.
    """
    generators, sampling = noise_generators(seeds), model.config.sampling
    for count in model.config.pyramid.counts[: mine.index + 1]:  # each scale draws the next noise
        noise = exponential(generators, count, model.transformer.vocab_size)
    scores = mine.logits / sampling.temperature - noise.log()
    first, second = (scores.gather(-1, ids.unsqueeze(-1)).squeeze(-1) for ids in (mine.token_ids, other.token_ids))
    differ = mine.token_ids != other.token_ids
    for one, code in ((mine, other.token_ids), (other, mine.token_ids)):
        kept = filter_logits(one.logits / sampling.temperature, sampling.top_k, sampling.top_p)
        differ &= kept.gather(-1, code.unsqueeze(-1)).squeeze(-1).isfinite()
    return (first - second).abs()[differ].max().item() if differ.any() else 0.0
