"""Exercises of lesson 7, on a GPU."""

from __future__ import annotations

import torch

from .exercise import WHOLE, Exercise, Mistake
from .pieces import whole

# -- arithmetic_intensity ----------------------------------------------------------------------------------------------

NUMBER, SUM = 2, 4  # bytes of a 16-bit number, and of one of the state's sums in float32


def _intensity_case(rng, number):
    return {
        "tokens": 64 if number == 0 else whole(rng, 100, 8999),
        "head_dim": (8, 8, 16, 32, 64)[number],
        "on_chip": (True, False, False, True, False)[number],
    }


def _intensity(tokens, head_dim, on_chip, pair=2, state=SUM, number=NUMBER, trips=2, columns=None):
    d1 = head_dim + 1
    operations = sum(pair * d1 * (columns or d1) for _ in range(d1)) * tokens
    moved = tokens * head_dim * number * 2 + d1**3 * state  # keys, values, and the state once
    if not on_chip:
        moved += tokens * d1**2 * number * trips
    return operations / moved


ARITHMETIC_INTENSITY = Exercise(
    lesson=7,
    name="arithmetic_intensity",
    difficulty=2,
    minutes=12,
    case=_intensity_case,
    oracle=_intensity,
    mistakes=(
        Mistake(
            "counts a multiplication and the addition after it as one operation",
            "A FLOP is one of the two: a product of sizes n, r and c takes 2 n r c of them.",
            lambda *args: _intensity(*args, pair=1),
        ),
        Mistake(
            "counts numbers instead of bytes",
            "Keys, values and features take 2 bytes each, entries of the state 4.",
            lambda *args: _intensity(*args, state=1, number=1),
        ),
        Mistake(
            "leaves the state out of the traffic",
            "The state is written to memory once, in float32.",
            lambda *args: _intensity(*args, state=0),
        ),
        Mistake(
            "leaves the features out although they go through memory",
            "Where on_chip is False, psi is written by one kernel and read by the next.",
            lambda tokens, head_dim, on_chip: _intensity(tokens, head_dim, True),
        ),
        Mistake(
            "moves the features although they stay on the chip",
            "Where on_chip is True, psi costs no traffic at all.",
            lambda tokens, head_dim, on_chip: _intensity(tokens, head_dim, False),
        ),
        Mistake(
            "moves the features only one way",
            "What is stored must be loaded again: psi crosses the bus twice.",
            lambda *args: _intensity(*args, trips=1),
        ),
        Mistake(
            "forgets the column of ones",
            "The state has d + 1 columns, for [v, 1]: the last one gives the denominators.",
            lambda tokens, head_dim, on_chip: _intensity(tokens, head_dim, on_chip, columns=head_dim),
        ),
    ),
)

# -- roofline_time -----------------------------------------------------------------------------------------------------


def _roofline_case(rng, number):
    if number == 0:
        return {"flops": 2e12, "nbytes": 1e9, "peak": 1e14, "bandwidth": 2e12}
    factor = 1 + torch.rand(4, generator=rng, dtype=torch.float64)
    flops = (0, 1e10, 3e11, 4e9, 1e11)[number]  # in turn bound by memory and by arithmetic
    values = (flops, 1e9, 1e14, 2e12)
    return {name: float(v * f) for name, v, f in zip(("flops", "nbytes", "peak", "bandwidth"), values, factor)}


def _roofline(flops, nbytes, peak, bandwidth, join=max):
    compute, memory = flops / peak, nbytes / bandwidth
    return join(compute, memory), "compute" if compute > memory else "memory"


def _other_name(*args):
    seconds, bound = _roofline(*args)
    return seconds, "memory" if bound == "compute" else "compute"


def _draw_roofline(figure, args, got, expected):
    axis = figure.subplots()
    compute, memory = args["flops"] / args["peak"], args["nbytes"] / args["bandwidth"]
    axis.barh(["arithmetic", "memory"], [compute, memory], color=["#0072b2", "#009e73"])
    axis.axvline(expected[0], color="black", label="expected")
    axis.axvline(float(got[0]), color="#e69f00", ls="--", label="yours")
    axis.set_xlabel("seconds", fontsize=9)
    axis.legend(fontsize=8)


ROOFLINE_TIME = Exercise(
    lesson=7,
    name="roofline_time",
    difficulty=1,
    minutes=6,
    case=_roofline_case,
    oracle=_roofline,
    mistakes=(
        Mistake(
            "adds the two times",
            "A GPU loads the next tile while it computes on this one: the longer of the two counts.",
            lambda *args: _roofline(*args, join=lambda a, b: a + b),
        ),
        Mistake(
            "takes the shorter of the two times",
            "Both must be done: the longer one decides.",
            lambda *args: _roofline(*args, join=min),
        ),
        Mistake("names the wrong limit", "The limit is the part that takes longer.", _other_name),
        Mistake(
            "divides the rates by the work",
            "Seconds are work over rate: FLOP divided by FLOP per second.",
            lambda flops, nbytes, peak, bandwidth: _roofline(peak, bandwidth, flops, nbytes),
        ),
        Mistake(
            "returns the rate that is reached",
            "Seconds are asked for, not FLOP per second.",
            lambda *args: (args[0] / _roofline(*args)[0], _roofline(*args)[1]),
        ),
    ),
    draw=_draw_roofline,
    atol=0.0,
)

# -- program_bytes -----------------------------------------------------------------------------------------------------


def _program_case(rng, number):
    return {"head_dim": (8, 16, 32, 64, whole(rng, 17, 59))[number], "tile": (64, 64, 32, 128, 32)[number]}


def _power(n: int) -> int:
    return next(p for p in (2**i for i in range(4, 30)) if p >= n)


def _program(head_dim, tile, pad=lambda d: _power(d + 1), number=4, acc=lambda P, d: P * P, features=lambda T, P: T * P):
    P = pad(head_dim)
    return number * (acc(P, head_dim) + 2 * tile * P + features(tile, P))


PROGRAM_BYTES = Exercise(
    lesson=7,
    name="program_bytes",
    difficulty=2,
    minutes=10,
    case=_program_case,
    oracle=_program,
    mistakes=(
        Mistake(
            "does not pad the width",
            "Triton takes powers of two from 16 up: d + 1 = 9 becomes 16, and 17 becomes 32.",
            lambda *args: _program(*args, pad=lambda d: d + 1),
        ),
        Mistake(
            "pads d instead of d + 1",
            "The vectors carry a 1 at their end: d + 1 numbers, so 17 of them need 32 columns.",
            lambda *args: _program(*args, pad=_power),
        ),
        Mistake(
            "counts two bytes per number",
            "The kernel turns what it loads into float32 and sums in float32: four bytes each.",
            lambda *args: _program(*args, number=2),
        ),
        Mistake(
            "forgets the accumulator",
            "The sums of this program, P x P numbers, stay on the chip for the whole loop.",
            lambda *args: _program(*args, acc=lambda P, d: 0),
        ),
        Mistake(
            "keeps the whole state on the chip",
            "One program owns one row a of the outer products, so P x P sums; the other rows belong to other programs.",
            lambda *args: _program(*args, acc=lambda P, d: (d + 1) * P * P),
        ),
        Mistake(
            "forms all features of a tile at once",
            "Only those of row a: one product of each key with its own entry a, T x P numbers.",
            lambda *args: _program(*args, features=lambda T, P: T * P * P),
        ),
        Mistake(
            "forgets the tile of features",
            "Keys, values and features are three tiles of T x P.",
            lambda *args: _program(*args, features=lambda T, P: 0),
        ),
    ),
    **WHOLE,
)

EXERCISES = (ARITHMETIC_INTENSITY, ROOFLINE_TIME, PROGRAM_BYTES)
