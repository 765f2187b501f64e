"""Exercises of lesson 3, watch it draw."""

from __future__ import annotations

import numpy as np
import torch

from . import pieces
from .exercise import Exercise, Mistake
from .picture import bars

# -- guided_logits -----------------------------------------------------------------------------------------------------


def _guided_case(rng, number):
    scales = 4 + number
    conditional, unconditional = (2 * torch.randn(2, 3, 5 + number, generator=rng) for _ in range(2))
    k = 1 + pieces.whole(rng, 0, scales - 3) if number < 4 else scales - 1
    weight = 1.5 + 3 * float(torch.rand(1, generator=rng))
    return {"conditional": conditional, "unconditional": unconditional, "weight": weight, "k": k, "num_scales": scales}


def _guided(conditional, unconditional, weight, k, num_scales):
    strength = weight * k / (num_scales - 1)
    return (1 + strength) * pieces.array(conditional) - strength * pieces.array(unconditional)


GUIDED_LOGITS = Exercise(
    lesson=3,
    name="guided_logits",
    difficulty=2,
    minutes=8,
    case=_guided_case,
    oracle=_guided,
    mistakes=(
        Mistake(
            "guides every scale alike",
            "The strength grows from 0 at the first scale to `weight` at the last one: weight * k / (K - 1).",
            lambda c, u, weight, k, K: _guided(c, u, weight, 1, 2),
        ),
        Mistake(
            "swaps the two predictions",
            "Guidance leads away from the prediction without a class, towards the one with it.",
            lambda c, u, *rest: _guided(u, c, *rest),
        ),
        Mistake(
            "uses k / K, which does not reach 1 at the last scale",
            "k counts from 0 to K - 1, so divide by K - 1.",
            lambda c, u, weight, k, K: _guided(c, u, weight, k, K + 1),
        ),
        Mistake(
            "uses the other convention, unconditional + t * (conditional - unconditional)",
            "Here t = 0 means the class prediction itself: (1 + t) * conditional - t * unconditional.",
            lambda c, u, weight, k, K: pieces.array(u) + weight * k / (K - 1) * (pieces.array(c) - pieces.array(u)),
        ),
        Mistake(
            "counts the scales from 1",
            "k is 0 for the first scale, where nothing is guided.",
            lambda c, u, weight, k, K: _guided(c, u, weight, k + 1, K + 1),
        ),
    ),
)

# -- keep_top_p --------------------------------------------------------------------------------------------------------


def _top_p_case(rng, number):
    n, codes = 1 + number, 6 + 4 * number
    return {"logits": 1.5 * torch.randn(n, codes, generator=rng), "p": (0.8, 0.5, 0.9, 0.95, 0.7)[number]}


def _top_p(logits, p, crossing=True):
    out = pieces.array(logits).copy()
    for row, chances in zip(out, pieces.softmax(out)):
        mass = 0.0
        for code in np.argsort(-chances):
            mass += chances[code]
            if (mass - chances[code] if crossing else mass) >= p:  # the mass before this code, or with it
                row[code] = -np.inf
    return out


def _each(logits, p):
    x = pieces.array(logits)
    return np.where(pieces.softmax(x) < 1 - p, -np.inf, x)


def _unsorted(logits, p):
    x = -np.sort(-pieces.array(logits))
    before = np.cumsum(pieces.softmax(x), -1) - pieces.softmax(x)
    return np.where(before >= p, -np.inf, pieces.array(logits))


def _draw_top_p(figure, args, got, expected):
    axis = figure.subplots()
    chances = pieces.softmax(pieces.array(args["logits"]))[0]
    order = np.argsort(-chances)
    axis.bar(range(len(order)), chances[order], color="0.85")
    for offset, (name, colour, values) in enumerate((("expected to stay", "#0072b2", expected), ("kept by you", "#e69f00", got))):
        kept = np.isfinite(pieces.array(values)[0][order])
        axis.plot(np.flatnonzero(kept), np.full(kept.sum(), -0.03 - 0.04 * offset), "s", ms=5, color=colour, label=name)
    axis.set_title(f"first row, codes by probability, p = {args['p']}", fontsize=9)
    axis.legend(fontsize=8)


KEEP_TOP_P = Exercise(
    lesson=3,
    name="keep_top_p",
    difficulty=4,
    minutes=20,
    case=_top_p_case,
    oracle=_top_p,
    mistakes=(
        Mistake(
            "drops the code that crosses p",
            "The kept codes must hold at least p together: the one that crosses the threshold stays.",
            lambda logits, p: _top_p(logits, p, crossing=False),
        ),
        Mistake(
            "compares each single probability with a threshold",
            "What counts is the mass of all more likely codes together, a cumulative sum.",
            _each,
        ),
        Mistake(
            "forgets to undo the sorting",
            "The cumulative sum belongs to sorted codes: bring the decision back to each code's own place (scatter or argsort).",
            _unsorted,
        ),
        Mistake(
            "returns the logits in sorted order",
            "What stays keeps its place as well as its value: decide on the sorted codes, mask the logits as they were given.",
            lambda *args: -np.sort(-_top_p(*args)),
        ),
        Mistake(
            "drops the most likely codes and keeps the rest",
            "-inf goes to the unlikely tail.",
            lambda logits, p: np.where(np.isfinite(_top_p(logits, p)), -np.inf, pieces.array(logits)),
        ),
        Mistake(
            "returns probabilities", "Return logits: what stays keeps its value.", lambda *args: pieces.softmax(_top_p(*args))
        ),
    ),
    draw=_draw_top_p,
)

# -- entropy_per_scale -------------------------------------------------------------------------------------------------


def _entropy_case(rng, number):
    patch_nums = ((1, 2), (1, 2, 3), (1, 3), (2, 3, 4), (1, 2, 3, 5))[number]
    tokens = sum(side**2 for side in patch_nums)
    logits = 2 * torch.randn(tokens, 7 + number, generator=rng)
    if number > 0:  # as after top-p: some codes are impossible
        logits[:, 1 : 1 + number] = -torch.inf
    return {"logits": logits, "patch_nums": patch_nums}


def _entropy(logits, patch_nums, unit=1.0, total=False, sign=-1.0, split=None):
    chances = pieces.softmax(pieces.array(logits))
    each = np.array([sign * sum(c * np.log(c) for c in row if c > 0) for row in chances]) / unit
    ends = np.cumsum([side**2 for side in patch_nums])
    parts = np.split(each, ends[:-1]) if split is None else split(each)
    return np.array([part.sum() if total else part.mean() for part in parts])


def _naive(logits, patch_nums):
    chances = pieces.softmax(pieces.array(logits))
    with np.errstate(all="ignore"):
        each = -(chances * np.log(chances)).sum(-1)
    return np.array([part.mean() for part in np.split(each, np.cumsum([side**2 for side in patch_nums])[:-1])])


def _draw_entropy(figure, args, got, expected):
    axis = figure.subplots()
    bars(axis, pieces.array(expected), np.nan_to_num(pieces.array(got)))
    axis.set_xticks(range(len(expected)), [f"{side} x {side}" for side in args["patch_nums"]])
    axis.set_ylabel("nats", fontsize=9)


ENTROPY_PER_SCALE = Exercise(
    lesson=3,
    name="entropy_per_scale",
    difficulty=3,
    minutes=12,
    case=_entropy_case,
    oracle=_entropy,
    mistakes=(
        Mistake(
            "computes 0 * log 0, which is not a number",
            "A code of probability 0 contributes nothing: torch.special.entr(p) is -p log p with 0 there.",
            _naive,
        ),
        Mistake("counts in bits", "Nats are asked for: the natural logarithm.", lambda *args: _entropy(*args, unit=np.log(2))),
        Mistake(
            "forgets the minus", "log p is never positive; entropy is -sum p log p.", lambda *args: _entropy(*args, sign=1.0)
        ),
        Mistake(
            "adds up the tokens of a scale",
            "The mean over the tokens of a scale is asked for, so that scales can be compared.",
            lambda *args: _entropy(*args, total=True),
        ),
        Mistake(
            "averages over all tokens at once",
            "One number per scale: cut the tokens into scales first.",
            lambda logits, patch_nums: np.full(len(patch_nums), _entropy(logits, patch_nums, split=lambda each: [each])[0]),
        ),
    ),
    draw=_draw_entropy,
)

# -- gumbel_draw -------------------------------------------------------------------------------------------------------


def _gumbel_case(rng, number):
    n, codes = 8 + 8 * number, 4 + 3 * number
    uniform = 1e-6 + (1 - 2e-6) * torch.rand(n, codes, generator=rng, dtype=torch.float64)
    return {"logits": torch.randn(n, codes, generator=rng, dtype=torch.float64), "uniform": uniform}


def _gumbel(logits, uniform, noise=lambda u: -np.log(-np.log(u)), of=lambda x: x):
    return (of(pieces.array(logits)) + noise(pieces.array(uniform))).argmax(-1)


def _draw_gumbel(figure, args, got, expected):
    axes = figure.subplots(1, 2, sharey=True)
    codes = args["logits"].shape[-1]
    mean = pieces.softmax(pieces.array(args["logits"])).mean(0)
    for axis, title, ids in zip(axes, ("expected", "yours"), (expected, got)):
        axis.bar(range(codes), np.bincount(ids.numpy(), minlength=codes) / len(ids), color="#0072b2")
        axis.plot(range(codes), mean, "o", color="#e69f00", label="mean probability")
        axis.set_title(f"{title}: share of each code", fontsize=9)
    axes[0].legend(fontsize=8)


GUMBEL_DRAW = Exercise(
    lesson=3,
    name="gumbel_draw",
    difficulty=3,
    minutes=12,
    case=_gumbel_case,
    oracle=_gumbel,
    mistakes=(
        Mistake(
            "takes the most likely code without noise",
            "That is temperature 0; drawing needs the noise -log(-log u).",
            lambda logits, uniform: _gumbel(logits, uniform, noise=np.zeros_like),
        ),
        Mistake(
            "adds the uniform numbers themselves",
            "Only Gumbel noise, -log(-log u), makes the argmax follow the softmax.",
            lambda logits, uniform: _gumbel(logits, uniform, noise=lambda u: u),
        ),
        Mistake(
            "takes one logarithm only",
            "The noise is -log(-log u): two logarithms, two minus signs.",
            lambda logits, uniform: _gumbel(logits, uniform, noise=lambda u: -np.log(u)),
        ),
        Mistake(
            "adds the noise to probabilities",
            "The noise belongs to logits (or log-probabilities).",
            lambda logits, uniform: _gumbel(logits, uniform, of=pieces.softmax),
        ),
        Mistake(
            "has the sign of the noise wrong",
            "The noise is -log(-log u); it has a long tail upwards.",
            lambda logits, uniform: _gumbel(logits, uniform, noise=lambda u: np.log(-np.log(u))),
        ),
    ),
    draw=_draw_gumbel,
)

EXERCISES = (GUMBEL_DRAW, KEEP_TOP_P, GUIDED_LOGITS, ENTROPY_PER_SCALE)
