"""16-bit weights against float32 in one run: time of an image, and how many of its tokens are the same."""

from __future__ import annotations

import statistics
import time
from copy import deepcopy

import torch

from .. import checkpoints, validate
from ..analysis.parity import fill_by_rule
from ..generation.observe import Clock
from ..model import Model
from ..precision import dtype_of

PUBLISHED = "var_d16"
HALVES = ("bfloat16", "float16")
REPEATS = 3  # of each type, in turn, so that a busy machine slows both


def random_weights(name: str) -> Model:
    """A published model's shapes, filled by the rule of `parity`, which makes every branch of every block matter."""
    with torch.device("meta"):
        model = Model.build(checkpoints.official_config(name))
    for part in (model.tokenizer, model.transformer):
        part.to_empty(device="cpu")
        fill_by_rule(part)
    return model.eval()


def bench_dtype(
    name: str | None = None, dtype: str = "bfloat16", device: torch.device | str = "cpu", repeats: int = REPEATS
) -> dict:
    """Draws the same images with float32 and with `dtype` weights, at the model's sampling defaults.

    name   a shipped model or a checkpoint folder; None: the shapes of VAR-d16 with random weights
    Returns per type the median `seconds` of one image (decoded once) by the clock and `processor_seconds`, which another program
    on a busy machine does not add to; `speedup` and `processor_speedup`; and the share of token ids that are
    `ids_equal` in all, per scale, and `ids_equal_forced`: most likely code of each token when both are given the float32
    run's coarser scales, so that a token that differs does not make finer ones differ.
    """
    validate.integer("repeats", repeats, 1, 1000)
    wanted = dtype_of(validate.one_of("dtype", dtype, HALVES))
    full = (random_weights(PUBLISHED) if name is None else checkpoints.load(name)).to(device)
    models = {"float32": full, dtype: deepcopy(full).to(device, wanted)}
    clock = Clock(torch.device(device))
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in models}
    ids: dict[str, list[torch.Tensor]] = {}
    for turn in range(-1, repeats):  # the first warms up
        for kind, model in models.items():
            begin, busy = clock(), time.process_time()
            steps = list(model.generate(0, max(turn, 0), details=False, partial_images=False, timed=False))
            if turn >= 0:
                times[kind].append((clock() - begin, time.process_time() - busy))
            if turn <= 0:
                ids[kind] = [step.token_ids[0] for step in steps]
    medians = {kind: [statistics.median(column) for column in zip(*found)] for kind, found in times.items()}
    seconds, busy = ({kind: found[i] for kind, found in medians.items()} for i in (0, 1))
    equal = [(a == b).float().mean().item() for a, b in zip(*ids.values())]
    return {
        "model": name or f"{PUBLISHED}, random weights",
        "parameters": full.num_parameters(),
        "seconds": seconds,
        "processor_seconds": busy,
        "speedup": seconds["float32"] / seconds[dtype],
        "processor_speedup": busy["float32"] / busy[dtype],
        "ids_equal": (torch.cat(ids["float32"]) == torch.cat(ids[dtype])).float().mean().item(),
        "ids_equal_per_scale": equal,
        "ids_equal_forced": _forced(full, models[dtype], torch.cat(ids["float32"])),
        "repeats": repeats,
    }


@torch.inference_mode()
def _forced(reference: Model, other: Model, ids: torch.Tensor) -> float:
    """Share of tokens whose most likely code is the same in both models, given the same coarser scales."""

    device = reference.transformer.pos_1LC.device
    label, given = torch.tensor([0], device=device), reference.tokenizer.quantize.inputs_from_ids(ids.to(device)[None])
    codes = [model.transformer(label, given).argmax(-1) for model in (reference, other)]
    return (codes[0] == codes[1]).float().mean().item()
