"""Exercises of lesson 2, next-scale prediction."""

from __future__ import annotations

import numpy as np
import torch

from . import pieces
from .exercise import Exercise, Mistake
from .picture import matrix

# -- modulate ----------------------------------------------------------------------------------------------------------


def _modulate_case(rng, number):
    batch, n, width = 1 + number, 2 + number, 6
    return {
        "x": 1 + 2 * torch.randn(batch, n, width, generator=rng),
        "scale": torch.randn(batch, width, generator=rng),
        "shift": torch.randn(batch, width, generator=rng),
    }


def _modulate(x, scale, shift, axis=-1, one=1.0, centre=True, spare=0):
    x, scale, shift = map(pieces.array, (x, scale, shift))
    return pieces.layer_norm(x, axis, centre, spare) * (one + scale[:, None]) + shift[:, None]


MODULATE = Exercise(
    lesson=2,
    name="modulate",
    difficulty=2,
    minutes=10,
    case=_modulate_case,
    oracle=_modulate,
    mistakes=(
        Mistake(
            "multiplies by scale instead of 1 + scale",
            "With scale = shift = 0 the block must see the plain normalised tokens: multiply by 1 + scale.",
            lambda *args: _modulate(*args, one=0.0),
        ),
        Mistake(
            "normalises over the tokens instead of the channels",
            "Layer norm looks at one token at a time: mean and variance over the last dimension.",
            lambda *args: _modulate(*args, axis=1),
        ),
        Mistake(
            "leaves the mean in",
            "Layer norm subtracts the mean before it divides.",
            lambda *args: _modulate(*args, centre=False),
        ),
        Mistake(
            "divides by C - 1 in the variance",
            "Layer norm takes the plain mean of the squares: var(unbiased=False).",
            lambda *args: _modulate(*args, spare=1),
        ),
        Mistake(
            "forgets to normalise",
            "x is normalised first, then scaled and shifted.",
            lambda x, scale, shift: x * (1 + scale[:, None]) + shift[:, None],
        ),
    ),
)

# -- block_causal_mask -------------------------------------------------------------------------------------------------


def _pyramid(rng, number):
    return {"patch_nums": pieces.sides(rng, number, scales=2 + number // 2, step=2)}


def _levels(patch_nums):
    return np.concatenate([[k] * side**2 for k, side in enumerate(patch_nums)])


def _mask(patch_nums):
    level = _levels(patch_nums)
    return np.array([[bool(key <= query) for key in level] for query in level])


def _draw_mask(figure, args, got, expected):
    axes = figure.subplots(1, 3)
    for axis, title, values in zip(axes, ("expected", "yours", "different"), (expected, got, expected != got)):
        image = matrix(axis, values, title, 0, 1)
        axis.set_xlabel("key", fontsize=8)
    axes[0].set_ylabel("query", fontsize=8)
    figure.colorbar(image, ax=axes, ticks=[0, 1], label="1: true")


BLOCK_CAUSAL_MASK = Exercise(
    lesson=2,
    name="block_causal_mask",
    difficulty=2,
    minutes=10,
    case=_pyramid,
    oracle=_mask,
    mistakes=(
        Mistake(
            "builds the mask of a language model, where a token sees only the tokens before it",
            "Tokens of one scale are predicted in one step and all see each other: compare scales, not places in the sequence.",
            lambda patch_nums: np.tri(len(_levels(patch_nums)), dtype=bool),
        ),
        Mistake(
            "hides the token's own scale",
            "A token sees all coarser scales and its own: level(key) <= level(query).",
            lambda patch_nums: _levels(patch_nums)[:, None] > _levels(patch_nums),
        ),
        Mistake(
            "swaps queries and keys",
            "Rows are queries, columns are keys: the first row, the coarsest token, may see little.",
            lambda patch_nums: _mask(patch_nums).T,
        ),
        Mistake(
            "marks what is hidden with True",
            "True stands for *may look at*, as in scaled_dot_product_attention.",
            lambda patch_nums: ~_mask(patch_nums),
        ),
        Mistake(
            "lets a token see its own scale only",
            "The coarser scales are what the prediction is conditioned on: they are visible, too.",
            lambda patch_nums: _levels(patch_nums)[:, None] == _levels(patch_nums),
        ),
    ),
    draw=_draw_mask,
)

# -- extend_and_attend -------------------------------------------------------------------------------------------------


def _cache_case(rng, number):
    heads, d, before, new = 1 + number % 3, 4, (1, 3, 5, 14, 0)[number], (2, 4, 3, 5, 3)[number]
    keys, values, k, v, q = (torch.randn(heads, n, d, generator=rng) for n in (before, before, new, new, new))
    return {"keys": keys, "values": values, "k": k, "v": v, "q": q, "scale": 0.5 + torch.rand(heads, generator=rng)}


def _attend(keys, values, k, v, q, scale, used=None, hidden=None, power=1.0, extra=1.0, axis=-1):
    keys, values, k, v, q = map(pieces.array, (keys, values, k, v, q))
    keys, values = np.concatenate([keys, k], 1), np.concatenate([values, v], 1)
    seen = slice(*(used(keys.shape[1], k.shape[1]) if used else (None,)))
    logits = extra * pieces.array(scale)[:, None, None] ** power * (q @ keys[:, seen].transpose(0, 2, 1))
    if hidden is not None:
        logits = np.where(hidden(q.shape[1], keys.shape[1]), -np.inf, logits)
    weights = pieces.softmax(logits) if axis == -1 else pieces.softmax(logits.swapaxes(1, 2)).swapaxes(1, 2)
    return weights @ values[:, seen], keys, values


def _in_front(keys, values, k, v, q, scale):
    out, _, _ = _attend(keys, values, k, v, q, scale)
    return out, torch.cat([k, keys], 1), torch.cat([v, values], 1)


EXTEND_AND_ATTEND = Exercise(
    lesson=2,
    name="extend_and_attend",
    difficulty=3,
    minutes=15,
    case=_cache_case,
    oracle=_attend,
    mistakes=(
        Mistake(
            "attends to the cache before the new keys are in it",
            "Tokens of a scale see each other: extend first, attend afterwards.",
            lambda *args: _attend(*args, used=lambda total, new: (0, total - new)),
        ),
        Mistake(
            "attends to the new keys only",
            "The cache is there to be looked at: all coarser scales count.",
            lambda *args: _attend(*args, used=lambda total, new: (total - new, total)),
        ),
        Mistake(
            "hides later tokens of the same scale",
            "No mask is needed here: all tokens of the scale are computed in this one step and may see each other.",
            lambda *args: _attend(*args, hidden=lambda n, total: np.triu(np.ones((n, total), bool), total - n + 1)),
        ),
        Mistake("leaves out the scale", "The logit is scale[h] * (q . k).", lambda *args: _attend(*args, power=0.0)),
        Mistake(
            "divides by the root of d as well as taking the scale",
            "scaled_dot_product_attention divides by sqrt(d) by itself: give it scale=1.0 once q carries the scale.",
            lambda *args: _attend(*args, extra=args[2].shape[-1] ** -0.5),
        ),
        Mistake(
            "divides by the root of d instead of taking the scale",
            "That is the default of scaled_dot_product_attention; here every head has a learned scale: multiply q by it and give "
            "scale=1.0.",
            lambda *args: _attend(*args, power=0.0, extra=args[2].shape[-1] ** -0.5),
        ),
        Mistake(
            "takes the softmax over the queries",
            "The weights of one query over all keys sum to 1: the last dimension of (H, n, keys).",
            lambda *args: _attend(*args, axis=1),
        ),
        Mistake("puts the new keys in front of the old ones", "The order of the sequence is coarse to fine: append.", _in_front),
    ),
)

# -- teacher_forcing_input ---------------------------------------------------------------------------------------------


def _forcing_case(rng, number):
    patch_nums = ((1, 2, 3), (1, 2, 4), (1, 2, 3, 5), (2, 3, 4, 6), (1, 3, 5, 7))[number]
    batch, channels, size = 1 + number % 2, 3 + number % 2, patch_nums[-1]
    return {"f_hats": [torch.randn(batch, channels, size, size, generator=rng) for _ in patch_nums], "patch_nums": patch_nums}


def _forced(f_hats, patch_nums, first=0, flatten=None, shrink=pieces.area, sides=slice(1, None)):
    parts = []
    for k, side in enumerate(patch_nums[sides]):
        small = shrink(pieces.array(f_hats[k + first]), side)  # (B, C, side, side)
        parts.append(flatten(small) if flatten else small.reshape(*small.shape[:2], -1).swapaxes(1, 2))
    return np.concatenate(parts, 1)


TEACHER_FORCING_INPUT = Exercise(
    lesson=2,
    name="teacher_forcing_input",
    difficulty=3,
    minutes=15,
    case=_forcing_case,
    oracle=_forced,
    mistakes=(
        Mistake(
            "gives a scale the f_hat that already contains it",
            "The input of scale k + 1 is what is known before it is predicted: the sum up to scale k.",
            lambda *args: _forced(*args, first=1),
        ),
        Mistake(
            "pairs every f_hat with its own side",
            "The f_hat up to scale k is the input of scale k + 1: zip it with patch_nums[1:].",
            lambda *args: _forced(*args, sides=slice(None)),
        ),
        Mistake(
            "reshapes (B, C, n) to (B, n, C) instead of swapping the dimensions",
            "A token's vector is all channels of one place: transpose(1, 2), not view or reshape.",
            lambda *args: _forced(*args, flatten=lambda small: small.reshape(len(small), -1, small.shape[1])),
        ),
        Mistake(
            "takes one value per cell instead of the mean",
            'Downsampling means mode="area" everywhere in VAR.',
            lambda *args: _forced(*args, shrink=pieces.picked),
        ),
    ),
)

EXERCISES = (TEACHER_FORCING_INPUT, MODULATE, BLOCK_CAUSAL_MASK, EXTEND_AND_ATTEND)
