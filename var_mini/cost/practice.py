"""Practice beside theory: at the same number of query-key pairs, whose approximation costs a trained model least?

Theory replaces the exponential (`poly`, and `landmark` from calibration); practice leaves keys out: those far away (`local-K`,
after MVAR, arXiv 2505.12742), or those that a head does not look at (`budget-B`, after HACK, arXiv 2504.09261); `pool` averages
them. Pairs of a constant-size state are its features times the queries and keys that meet them. The judge is the cross-entropy of
held-out images with teacher forcing; every row is compared with exact attention image by image.

MVAR trains with its locality, so one row adapts the model to `local-9` with LoRA first, and one gives exact attention the same
further training, as a control.
"""

from __future__ import annotations

import statistics
import sys
import tempfile

import torch
import torch.nn.functional as F

from .. import checkpoints, validate
from .. import data as datasets
from ..attention import AttentionSpec
from ..model import Model
from ..training.lora import train_adapter
from ..training.transformer import tokenize_images
from .complexity import feature_pairs, pairs
from .trained import time_image

METHODS = (
    "exact",
    "poly-2",
    "landmark-16",
    "landmark-32",
    "pool-2",
    "local-9",
    "local-25",
    "local-49",
    "budget-8",
    "budget-16",
    "budget-32",
)
ADAPTED = ("local-9", "exact")
SHARES = (0.15, 0.3, 0.6)  # budgets of pairs, as shares of exact attention's


def bench_practice(name: str = "fashion-28-bounded", images: int = 150, steps: int = 20, rank: int = 8, repeats: int = 5) -> dict:
    """All figures of `python -m var_mini bench practice`.

    `rows` [{`method`, `adapted_steps`, `pairs`, `pairs_share`, `cross_entropy`, `excess` over exact attention with its standard
    error, `seconds` and `seconds_attention` of one image}]; `winners` names, for each budget of pairs, the method that was not
    trained further with the least cross-entropy. Raises ValueError where the data set of the model is missing.
    """
    validate.integer("images", images, 2, 100_000)
    validate.integer("steps", steps, 0, 100_000)
    validate.integer("repeats", repeats, 2, 10_000)
    model = checkpoints.load(name)
    data = datasets.load(model.config.data).with_classes(model.config.class_names)
    ids = tokenize_images(model.tokenizer, data.test_images[:images])
    labels = data.test_conditions[:images]
    rows, left_out, reference = [], {}, None
    for method in METHODS:
        try:
            model.transformer.resolve(method)
        except ValueError as error:
            left_out[method] = str(error)
            continue
        row, each = _row(model, method, ids, labels, reference, repeats)
        reference = each if reference is None else reference
        rows.append(row)
    for method in ADAPTED if steps else ():
        with tempfile.TemporaryDirectory() as folder:
            adapted = train_adapter(name, folder, rank=rank, steps=steps, attention=method).to("cpu")  # as the others
        rows.append(_row(adapted, method, ids, labels, reference, repeats)[0] | {"adapted_steps": steps})
    plain = [row for row in rows if not row["adapted_steps"] and row["method"] != "exact"]
    winners = [
        {"pairs_share": share, "method": min(fitting, key=lambda row: row["cross_entropy"])["method"]}
        for share in SHARES
        if (fitting := [row for row in plain if row["pairs_share"] <= share])
    ]
    facts = {"model": name, "images": len(ids), "lora_rank": rank, "tokens": model.config.pyramid.tokens}
    return {**facts, "rows": rows, "winners": winners, "left_out": left_out}


def _row(model: Model, method: str, ids, labels, reference, repeats: int) -> tuple[dict, torch.Tensor]:
    print(f"bench practice: {method}", file=sys.stderr, flush=True)
    pyramid, head_dim = model.config.pyramid, model.config.transformer.head_dim
    constant = AttentionSpec.parse(method).method in ("poly", "landmark")
    met = feature_pairs(pyramid, method, head_dim) if constant else pairs(pyramid, method)
    each = image_cross_entropy(model, ids, labels, method)
    excess = each - (each if reference is None else reference)
    timed = time_image(model, method, repeats)
    row = {
        "method": method,
        "adapted_steps": 0,
        "pairs": met,
        "pairs_share": met / pyramid.attention_pairs(),
        "cross_entropy": each.mean().item(),
        "excess": excess.mean().item(),
        "excess_error": statistics.stdev(excess.tolist()) / len(excess) ** 0.5,
        "seconds": timed["seconds"],
        "seconds_attention": timed["seconds_attention"],
    }
    return row, each


@torch.inference_mode()
def image_cross_entropy(
    model: Model, ids: torch.Tensor, labels: torch.Tensor, attention: str, batch_size: int = 100
) -> torch.Tensor:
    """Nats per token of each image with teacher forcing, (N,)."""
    found = []
    for part, label in zip(ids.split(batch_size), labels.split(batch_size)):
        logits = model.transformer(label, model.tokenizer.quantize.inputs_from_ids(part.long()), attention)
        found.append(F.cross_entropy(logits.transpose(1, 2), part.long(), reduction="none").double().mean(1))
    return torch.cat(found)
