"""Exercises of lesson 8, train your own."""

from __future__ import annotations

import math

import numpy as np
import torch

from . import pieces
from .exercise import Exercise, Mistake
from .picture import bars

# -- learning_rate -----------------------------------------------------------------------------------------------------


def _rate_case(rng, number):
    steps, warmup = 200 + 100 * number, 40 + 5 * number
    place = (0.3, 0.4, 0.6, 0.8, 1.0)[number] + 0.1 * float(torch.rand((), generator=rng, dtype=torch.float64))
    step = int(place * warmup) if number == 0 else min(steps - 1, int(warmup + place * (steps - warmup)))
    return {"step": step, "steps": steps, "warmup": warmup, "peak": (1.0, 0.003, 0.02, 2.0, 0.5)[number], "final": 0.1}


def _rate(step, steps, warmup, peak, final, first=1, begin=None, warm=True, shape=lambda x: (1 + math.cos(math.pi * x)) / 2):
    if warm and step < warmup:
        return peak * (step + first) / warmup
    begin = warmup if begin is None else begin
    return peak * (final + (1 - final) * shape((step - begin) / (steps - begin)))


def _draw_rate(figure, args, got, expected):
    axis = figure.subplots()
    steps = range(args["steps"])
    axis.plot(steps, [_rate(**{**args, "step": step}) for step in steps], color="#0072b2", label="schedule")
    axis.plot([args["step"]], [got], "x", color="#d55e00", ms=9, label="yours")
    axis.set_xlabel("step", fontsize=9)
    axis.legend(fontsize=8)


LEARNING_RATE = Exercise(
    lesson=8,
    name="learning_rate",
    difficulty=2,
    minutes=10,
    case=_rate_case,
    oracle=_rate,
    mistakes=(
        Mistake(
            "begins the warm-up at 0",
            "Step 0 would then train nothing: the rate is (step + 1) / warmup of the peak.",
            lambda *args: _rate(*args, first=0),
        ),
        Mistake("leaves out the warm-up", "Before `warmup` the rate grows linearly.", lambda *args: _rate(*args, warm=False)),
        Mistake(
            "begins the cosine at step 0",
            "The cosine covers the steps after the warm-up: (step - warmup) / (steps - warmup).",
            lambda *args: _rate(*args, begin=0),
        ),
        Mistake(
            "falls to zero",
            "The rate ends at `final` of the peak: final + (1 - final) * cosine.",
            lambda step, steps, warmup, peak, final: _rate(step, steps, warmup, peak, 0.0),
        ),
        Mistake("falls in a straight line", "Half a cosine is asked for.", lambda *args: _rate(*args, shape=lambda x: 1 - x)),
        Mistake(
            "forgets the peak",
            "The schedule is a share; multiply it by the peak.",
            lambda a, b, c, peak, e: _rate(a, b, c, 1.0, e),
        ),
    ),
    draw=_draw_rate,
    atol=1e-9,
)

# -- revive_codes ------------------------------------------------------------------------------------------------------


def _revival_case(rng, number):
    scales, codes, channels, found = 2 + number % 3, 8 + 4 * number, 2 + number, 40
    usage = torch.randint(1, 9, (scales, codes), generator=rng)
    order = torch.randperm(codes, generator=rng)
    usage[:, order[:3]] = 0  # chosen at no scale
    usage[0, order[3:5]] = 0  # only not at the first
    return {
        "codebook": torch.randn(codes, channels, generator=rng),
        "usage": usage.float(),
        "candidates": 5 + torch.randn(found, channels, generator=rng),
        "chosen": torch.randperm(found, generator=rng)[:codes]
        if codes <= found
        else torch.randint(found, (codes,), generator=rng),
    }


def _revive(codebook, usage, candidates, chosen, dead=lambda usage: usage.sum(0) == 0, by_code=False, ordered=False):
    codes, usage, found, chosen = map(pieces.array, (codebook, usage, candidates, chosen))
    out, next_one = codes.copy(), 0
    for v, gone in enumerate(dead(usage)):
        if gone:
            out[v] = found[next_one % len(found) if ordered else int(chosen[v if by_code else next_one])]
            next_one += 1
    return out


def _draw_revival(figure, args, got, expected):
    axis = figure.subplots()
    codes, dead = args["codebook"], args["usage"].sum(0) == 0
    axis.plot(*args["candidates"][:, :2].T, ".", color="0.7", label="candidates")
    axis.plot(*codes[:, :2].T, "o", color="#0072b2", ms=4, label="codes before")
    axis.plot(*expected[dead][:, :2].T, "o", mfc="none", mec="black", ms=9, label="expected")
    moved = (got - codes).abs().sum(1) > 0
    axis.plot(*got[moved][:, :2].detach().T, "x", color="#d55e00", label="moved by you")
    axis.legend(fontsize=7)
    axis.set_title("first two channels", fontsize=9)


REVIVE_CODES = Exercise(
    lesson=8,
    name="revive_codes",
    difficulty=3,
    minutes=12,
    case=_revival_case,
    oracle=_revive,
    mistakes=(
        Mistake(
            "moves codes that are unused at one scale only",
            "All scales share the codebook: a code is dead if no scale has chosen it. Add the counts up first.",
            lambda *args: _revive(*args, dead=lambda usage: (usage == 0).any(0)),
        ),
        Mistake(
            "moves the codes that are in use",
            "Those are the ones to be kept: the dead have a count of 0.",
            lambda *args: _revive(*args, dead=lambda usage: usage.sum(0) > 0),
        ),
        Mistake(
            "gives code v the candidate chosen[v]",
            "chosen counts the dead: the first dead code gets chosen[0], the next chosen[1].",
            lambda *args: _revive(*args, by_code=True),
        ),
        Mistake(
            "takes the candidates in their order",
            "Which candidates are taken is drawn at random and given by `chosen`.",
            lambda *args: _revive(*args, ordered=True),
        ),
        Mistake(
            "moves every code",
            "Codes in use stay where they are.",
            lambda *args: _revive(*args, dead=lambda usage: np.ones(usage.shape[1], bool)),
        ),
        Mistake(
            "moves no code",
            "Assign to the rows of a copy: codebook.clone(), then copy[dead] = ...",
            lambda codebook, *rest: pieces.array(codebook),
        ),
    ),
    draw=_draw_revival,
)

# -- drop_labels -------------------------------------------------------------------------------------------------------


def _labels_case(rng, number):
    n, classes = 12 + 8 * number, 5 + number
    return {
        "labels": torch.randint(classes, (n,), generator=rng),
        "uniform": torch.rand(n, generator=rng),
        "share": (0.4, 0.1, 0.25, 0.5, 0.3)[number],
        "num_classes": classes,
    }


def _drop(labels, uniform, share, num_classes, null=lambda n: n, drop=lambda u, share: u < share):
    given = zip(labels.tolist(), uniform.tolist())
    return np.array([null(num_classes) if drop(u, share) else label for label, u in given], np.int64)


DROP_LABELS = Exercise(
    lesson=8,
    name="drop_labels",
    difficulty=1,
    minutes=5,
    case=_labels_case,
    oracle=_drop,
    mistakes=(
        Mistake(
            "takes a real class for the null class",
            "The classes are 0 to num_classes - 1; the null class is one more, num_classes.",
            lambda *args: _drop(*args, null=lambda n: n - 1),
        ),
        Mistake("takes class 0 for the null class", "Class 0 is a real one.", lambda *args: _drop(*args, null=lambda n: 0)),
        Mistake("marks dropped labels with -1", "An embedding has no row -1.", lambda *args: _drop(*args, null=lambda n: -1)),
        Mistake(
            "drops all but the share",
            "A uniform number lies below `share` with probability `share`: drop there.",
            lambda *args: _drop(*args, drop=lambda u, share: u >= share),
        ),
    ),
)

# -- nearest_distance --------------------------------------------------------------------------------------------------


def _pictures_case(rng, number):
    n, m, channels, size = 3 + number, 5 + 4 * number, 1 + number % 3, 3 + number
    train = 2 * torch.rand(m, channels, size, size, generator=rng) - 1
    images = 2 * torch.rand(n, channels, size, size, generator=rng) - 1
    images[0] = train[m - 1] + 0.05 * images[0]  # nearly a copy
    return {"images": images, "train": train}


def _nearest(images, train, apart=lambda x: np.sqrt((x**2).mean()), best=min, swap=False):
    images, train = pieces.array(images), pieces.array(train)
    images, train = (train, images) if swap else (images, train)
    return np.array([best([apart(image - other) for other in train]) for image in images])


def _draw_nearest(figure, args, got, expected):
    axis = figure.subplots()
    bars(axis, expected, got)
    axis.set_xlabel("image", fontsize=9)
    axis.set_ylabel("distance", fontsize=9)


NEAREST_DISTANCE = Exercise(
    lesson=8,
    name="nearest_distance",
    difficulty=2,
    minutes=10,
    case=_pictures_case,
    oracle=_nearest,
    mistakes=(
        Mistake(
            "forgets the root", "Root mean square: the root of the mean.", lambda *args: _nearest(*args, lambda x: (x**2).mean())
        ),
        Mistake(
            "sums over the pixels instead of averaging",
            "The mean makes pictures of different size comparable.",
            lambda *args: _nearest(*args, lambda x: np.sqrt((x**2).sum())),
        ),
        Mistake(
            "takes absolute differences", "Squares are asked for.", lambda *args: _nearest(*args, lambda x: np.abs(x).mean())
        ),
        Mistake(
            "averages over the training images",
            "Only the nearest one tells whether something was copied: the minimum.",
            lambda *args: _nearest(*args, best=lambda found: sum(found) / len(found)),
        ),
        Mistake("takes the farthest one", "The nearest has the least distance.", lambda *args: _nearest(*args, best=max)),
        Mistake(
            "looks for the nearest image of every training image",
            "One distance per drawn image: the minimum goes over the training images.",
            lambda *args: _nearest(*args, swap=True),
        ),
    ),
    draw=_draw_nearest,
)

EXERCISES = (LEARNING_RATE, REVIVE_CODES, DROP_LABELS, NEAREST_DISTANCE)
