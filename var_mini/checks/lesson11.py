"""Exercises of lesson 11, the whole pass and its limits."""

from __future__ import annotations

import torch

from .exercise import WHOLE, Exercise, Mistake
from .pieces import array, whole

# -- doubling_pairs ----------------------------------------------------------------------------------------------------


def _doubling_case(rng, number):
    return {"scales": 2 if number == 0 else whole(rng, 3, 8)}


def _pairs(scales):
    """Query by query, scale by scale."""
    seen = pairs = 0
    for scale in range(scales):
        own = (2**scale) ** 2
        seen += own
        for _ in range(own):
            pairs += seen
    return pairs


def _ends(scales):
    return [sum(4**j for j in range(k + 1)) for k in range(scales)]


DOUBLING_PAIRS = Exercise(
    lesson=11,
    name="doubling_pairs",
    difficulty=2,
    minutes=10,
    case=_doubling_case,
    oracle=_pairs,
    mistakes=(
        Mistake(
            "counts pairs inside each scale only",
            "A query also sees all tokens of the coarser scales.",
            lambda scales: sum(16**k for k in range(scales)),
        ),
        Mistake(
            "leaves out the scale's own tokens",
            "A token sees the tokens of its own scale, too: they are drawn in one parallel step.",
            lambda scales: sum(4**k * (end - 4**k) for k, end in enumerate(_ends(scales))),
        ),
        Mistake(
            "computes every prefix anew",
            "With a cache only the tokens of the scale are queries; the earlier ones were asked before.",
            lambda scales: sum(end * end for end in _ends(scales)),
        ),
        Mistake(
            "lets every token see every other one",
            "Coarse tokens do not see finer ones, which are not drawn yet.",
            lambda scales: _ends(scales)[-1] ** 2,
        ),
        Mistake(
            "takes a scale of side s to have s tokens",
            "A map of side 2^k has 4^k tokens, one per cell.",
            lambda scales: sum(2**k * (2 ** (k + 1) - 1) for k in range(scales)),
        ),
    ),
    reference=lambda scales: (64 * 16 ** (scales - 1) - 20 * 4 ** (scales - 1) + 1) // 45,
    **WHOLE,
)

# -- bound_after -------------------------------------------------------------------------------------------------------


def _bound_case(rng, number):
    rows = torch.randn(6, 4, generator=rng)
    rows[:, 0] += 1.5 - rows.sum(1)  # rows with one sum, as an interpolation has, and some negative entries
    rows[:, 1] -= 0.5 + rows[:, 1].abs()
    return {"rows": rows, "bound": 0.5 + 2 * float(torch.rand(1, generator=rng)), "steps": 2 + number}


def _bound(rows, bound, steps):
    worst = max(sum(abs(x) for x in row) for row in array(rows).tolist())
    for _ in range(steps):
        bound *= worst
    return float(bound)


BOUND_AFTER = Exercise(
    lesson=11,
    name="bound_after",
    difficulty=2,
    minutes=10,
    case=_bound_case,
    oracle=_bound,
    mistakes=(
        Mistake(
            "adds the entries of a row with their signs",
            "The worst map has the sign of each entry: absolute values add up.",
            lambda rows, bound, steps: float(bound * array(rows).sum(1).max() ** steps),
        ),
        Mistake(
            "takes the largest entry of the matrix",
            "A new value is a sum over a whole row, and all its terms can have one sign.",
            lambda rows, bound, steps: float(bound * abs(array(rows)).max() ** steps),
        ),
        Mistake(
            "adds up columns",
            "One new value is one row times the old map; a column says where one old value goes.",
            lambda rows, bound, steps: float(bound * abs(array(rows)).sum(0).max() ** steps),
        ),
        Mistake(
            "multiplies by the number of steps",
            "Each step multiplies the bound that the step before left: a power.",
            lambda rows, bound, steps: float(bound * abs(array(rows)).sum(1).max() * steps),
        ),
        Mistake(
            "takes the power of R as well",
            "R is there once, at the start; only the factor of the matrices comes with every step.",
            lambda rows, bound, steps: float((bound * abs(array(rows)).sum(1).max()) ** steps),
        ),
    ),
)

# -- attention_share ---------------------------------------------------------------------------------------------------


def _share_case(rng, number):
    sides = torch.randperm(14, generator=rng)[: 3 + number % 3].sort().values + 2
    return {"counts": [int(side) ** 2 for side in sides], "width": whole(rng, 4, 64)}


def _share(counts, width, products=2, per_token=12, pairs=None):
    seen = met = 0
    for count in counts:
        seen += count
        met += count * seen
    attention = products * width * (met if pairs is None else pairs)
    return attention / (attention + per_token * width * width * sum(counts))


ATTENTION_SHARE = Exercise(
    lesson=11,
    name="attention_share",
    difficulty=2,
    minutes=10,
    case=_share_case,
    oracle=_share,
    mistakes=(
        Mistake(
            "counts one of the two products of attention",
            "A pair costs d multiplications for the logit and d for adding the weighted value.",
            lambda counts, width: _share(counts, width, products=1),
        ),
        Mistake(
            "leaves out the four projections of attention",
            "Queries, keys, values and the output are linear layers: 4 d^2 a token beside the 8 d^2 of the MLP.",
            lambda counts, width: _share(counts, width, per_token=8),
        ),
        Mistake(
            "lets every token see every other one",
            "A scale's queries meet the tokens up to their own scale, not the finer ones.",
            lambda counts, width: _share(counts, width, pairs=sum(counts) ** 2),
        ),
        Mistake(
            "counts the keys of a scale's own map only",
            "A scale's queries meet the keys of all coarser scales as well: the cache keeps them.",
            lambda counts, width: _share(counts, width, pairs=sum(count * count for count in counts)),
        ),
        Mistake(
            "gives the ratio of attention and linear layers",
            "Wanted is attention's share of both together.",
            lambda counts, width: _share(counts, width) / (1 - _share(counts, width)),
        ),
    ),
)

# -- first_flip --------------------------------------------------------------------------------------------------------


def _flip_case(rng, number):
    counts = [1, 4, 9, 16]
    exact = torch.randint(0, 50, (30,), generator=rng)
    fast = exact.clone()
    if number:
        begin = (1, 5, 14)[number % 3] + whole(rng, 0, 3)
        changed = torch.rand(30, generator=rng) < 0.4
        changed[:begin], changed[begin] = False, True
        fast = torch.where(changed, (fast + 1) % 50, fast)
    return {"exact": exact, "fast": fast, "counts": counts}


def _flip(exact, fast, counts):
    a, b = exact.tolist(), fast.tolist()
    same = [x == y for x, y in zip(a, b)]
    share = sum(same) / len(same)
    if all(same):
        return [-1, share]
    place, scale = same.index(False), 0
    while place >= counts[scale]:
        place -= counts[scale]
        scale += 1
    return [scale, share]


def _changed_flip(change):
    return lambda exact, fast, counts: change(exact, fast, counts, *_flip(exact, fast, counts))


FIRST_FLIP = Exercise(
    lesson=11,
    name="first_flip",
    difficulty=2,
    minutes=12,
    case=_flip_case,
    oracle=_flip,
    mistakes=(
        Mistake(
            "gives the place of the token instead of its scale",
            "Wanted is the scale, from 0, in which the first other token lies: count on by the tokens of each scale.",
            _changed_flip(lambda a, b, counts, scale, share: [scale if scale < 0 else (a != b).nonzero()[0].item(), share]),
        ),
        Mistake(
            "counts scales from 1",
            "Scales are counted from 0, as the library does.",
            _changed_flip(lambda a, b, counts, scale, share: [scale if scale < 0 else scale + 1, share]),
        ),
        Mistake(
            "gives the share of tokens that differ",
            "Wanted is the share of equal tokens.",
            _changed_flip(lambda a, b, counts, scale, share: [scale, 1 - share]),
        ),
        Mistake(
            "gives the number of equal tokens",
            "Wanted is their share: divide by the number of all tokens.",
            _changed_flip(lambda a, b, counts, scale, share: [scale, share * len(a)]),
        ),
    ),
)

EXERCISES = (DOUBLING_PAIRS, ATTENTION_SHARE, BOUND_AFTER, FIRST_FLIP)
