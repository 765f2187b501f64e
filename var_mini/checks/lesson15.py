"""Exercises of lesson 15, the capstone: three parts of a student's own VAR, which whole.py puts in place of the library's."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from . import pieces
from .calling import probe
from .exercise import Exercise, Mistake
from .picture import token_maps
from .values import RESULT, as_expected, difference, kind_of


def _random(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


# -- vq_loss -----------------------------------------------------------------------------------------------------------


def _loss_case(rng, number):
    shape = (1 + number % 2, 2, 3 + number, 3 + number)
    f = torch.randn(shape, generator=rng)
    f_hats = [0.8 * f + 0.5 * torch.randn(shape, generator=rng) for _ in range(2 + number)]
    return {"f": f, "f_hats": f_hats, "beta": 0.25 + 0.1 * number}


def _loss(f, f_hats, beta, to_f=None, to_codes=1.0, scales=slice(None), mean=True, through=1.0, to_last=0.0, seen=None):
    """(loss, z, gradients of the loss, gradients of z), each in closed form: d mean((a - b)^2) / da = 2 (a - b) / size."""
    x, hats = pieces.array(f), [pieces.array(f_hat) for f_hat in f_hats]
    share = 1 / len(hats[scales]) if mean else 1.0
    counted = [share * (i in range(len(hats))[scales]) for i in range(len(hats))]
    apart = [(x - hat, 2 * weight / x.size) for hat, weight in zip(hats, counted)]
    loss = sum(weight * (1 + beta) * ((x - hat) ** 2).mean() for hat, weight in zip(hats, counted))
    of_loss = [sum((beta if to_f is None else to_f) * c * d for d, c in apart), *(-to_codes * c * d for d, c in apart)]
    seed = probe(f.double()).numpy()
    of_z = [through * seed, *(np.zeros_like(x) for _ in hats[1:]), to_last * seed]
    return torch.tensor(loss), hats[-1] if seen is None else seen(x, hats), of_loss, of_z


def _judge_loss(args, got):
    if not isinstance(got, (tuple, list)) or len(got) != 4:
        must = "is a `return` missing?" if got is None else "must be the loss and the decoder's input, two torch tensors"
        return f"{RESULT} is {kind_of(got)}: {must}"
    wrt = ["f", *(f"f_hats[{k}]" for k in range(len(args["f_hats"])))]
    expected = as_expected(_loss(**args))
    for what, one, other in zip(("the loss", "the tensor for the decoder"), expected, got):
        if told := difference(one, other, VQ_LOSS.rtol, VQ_LOSS.atol):
            return told.replace(RESULT, what)
    for what, ours, theirs in zip(("the loss", "the tensor for the decoder"), expected[2:], got[2:]):
        for name, one, other in zip(wrt, ours, theirs if isinstance(theirs, (tuple, list)) else [None]):
            if told := difference(one, other, VQ_LOSS.rtol, VQ_LOSS.atol):
                return told.replace(RESULT, f"the gradient of {what} with respect to {name}")
    return None


VQ_LOSS = Exercise(
    lesson=15,
    name="vq_loss",
    difficulty=3,
    minutes=20,
    case=_loss_case,
    oracle=_loss,
    mistakes=(
        Mistake(
            "gives the decoder f_hat itself, so that no gradient reaches the encoder",
            "Choosing a code has no gradient. Take the value of f_hat and the gradient of f: f_hat.detach() + f - f.detach().",
            lambda *args: _loss(*args, through=0.0, to_last=1.0),
        ),
        Mistake(
            "cuts every gradient of the tensor for the decoder",
            "Detach f_hat, not f: z = f_hat.detach() + f - f.detach().",
            lambda *args: _loss(*args, through=0.0),
        ),
        Mistake(
            "gives the decoder f instead of f_hat",
            "The decoder must learn from what it will get when drawing, the quantized map.",
            lambda *args: _loss(*args, seen=lambda x, hats: x),
        ),
        Mistake(
            "swaps the two terms: beta slows the codes instead of the encoder",
            "beta |stop(f_hat) - f|^2 moves f, |f_hat - stop(f)|^2 moves the codes; the value of the loss does not show which.",
            lambda f, f_hats, beta: _loss(f, f_hats, beta, to_f=1.0, to_codes=beta),
        ),
        Mistake(
            "stops no gradient in the loss",
            "Each of the two terms holds one side fixed: detach f_hat in one and f in the other.",
            lambda f, f_hats, beta: _loss(f, f_hats, beta, to_f=1 + beta, to_codes=1 + beta),
        ),
        Mistake(
            "counts the last scale only",
            "Every scale's f_hat is pulled towards f: take the mean over all of them.",
            lambda *args: _loss(*args, scales=slice(-1, None)),
        ),
        Mistake(
            "adds up the scales instead of taking their mean",
            "Divide by the number of scales, so that the loss does not grow with it.",
            lambda *args: _loss(*args, mean=False),
        ),
    ),
    reference=lambda f, f_hats, beta: (
        sum(beta * (h.detach() - f).square().mean() + (h - f.detach()).square().mean() for h in f_hats) / len(f_hats),
        f_hats[-1].detach() + f - f.detach(),
    ),
    judge=_judge_loss,
    gradients=True,
)

# -- adaln_block -------------------------------------------------------------------------------------------------------


def _weights(rng, width, heads, d, hidden):
    def random(*shape):
        return _random(rng, *shape) / math.sqrt(shape[-1])

    A = heads * d
    return {
        "qkv": random(3 * A, width), "q_bias": random(A), "v_bias": random(A), "scale": 2 + random(heads).abs(),
        "proj": random(width, A), "proj_bias": random(width), "fc1": random(hidden, width), "fc1_bias": random(hidden),
        "fc2": random(width, hidden), "fc2_bias": random(width),
    }  # fmt: skip


def _block_case(rng, number):
    batch, n, before, heads, d = 1 + number % 2, 2 + number, (0, 1, 5, 3, 14)[number], 1 + number % 3, 4
    random = partial(_random, rng)
    keys = random(batch, heads, before, d)
    return {
        "x": random(batch, n, 6),
        "condition": 0.7 * random(batch, 6, 6),
        "w": _weights(rng, 6, heads, d, 10),
        "keys": keys / keys.norm(dim=-1, keepdim=True),
        "values": random(batch, heads, before, d),
    }


def _normed(x, scale, shift, one=1.0):
    return pieces.layer_norm(x) * (one + scale) + shift


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _unit(x, axis=-1):
    return x / np.sqrt((x**2).sum(axis, keepdims=True))


def _block(
    x, condition, w, keys, values, *,
    unit=_unit, unit_v=False, gates=True, one=1.0, root=False, only=None, both=False, mixed=False,
):  # fmt: skip
    x, condition, keys, values = map(pieces.array, (x, condition, keys, values))
    w = {name: pieces.array(tensor) for name, tensor in w.items()}
    gamma1, gamma2, scale1, scale2, shift1, shift2 = condition[:, :, None].swapaxes(0, 1)  # each (B, 1, C)
    gamma1, gamma2 = (gamma1, gamma2) if gates else (1.0, 1.0)
    (B, n, _), H, A = x.shape, len(w["scale"]), len(w["q_bias"])
    bias = np.concatenate([w["q_bias"], np.zeros(A), w["v_bias"]])
    h = _normed(x, scale1, shift1, one) @ w["qkv"].T + bias
    h = h.reshape(B, n, H, 3, A // H).swapaxes(2, 3) if mixed else h.reshape(B, n, 3, H, A // H)
    q, k, v = h.transpose(2, 0, 3, 1, 4)  # each (B, H, n, d)
    q, k, v = unit(q), unit(k), _unit(v) if unit_v else v
    keys, values = np.concatenate([keys, k], 2), np.concatenate([values, v], 2)
    seen = {"old": slice(None, keys.shape[2] - n), "new": slice(-n, None)}.get(only, slice(None))
    logits = w["scale"][:, None, None] * (q @ keys[:, :, seen].swapaxes(2, 3)) / (math.sqrt(A // H) if root else 1)
    out = (pieces.softmax(logits) @ values[:, :, seen]).transpose(0, 2, 1, 3).reshape(B, n, A)
    start, x = x, x + gamma1 * (out @ w["proj"].T + w["proj_bias"])
    h = _gelu(_normed(start if both else x, scale2, shift2, one) @ w["fc1"].T + w["fc1_bias"])
    return x + gamma2 * (h @ w["fc2"].T + w["fc2_bias"]), keys, values


ADALN_BLOCK = Exercise(
    lesson=15,
    name="adaln_block",
    difficulty=4,
    minutes=35,
    case=_block_case,
    oracle=_block,
    mistakes=(
        Mistake(
            "takes queries and keys as they are",
            "VAR makes both unit vectors, F.normalize(q, dim=-1): then no logit exceeds the learned scale of its head.",
            lambda *args: _block(*args, unit=lambda x: x),
        ),
        Mistake(
            "normalises queries and keys over the tokens",
            "Each vector of one token and head has length 1: the last dimension.",
            lambda *args: _block(*args, unit=lambda x: _unit(x, 2)),
        ),
        Mistake(
            "makes unit vectors of the values, too",
            "Only queries and keys; the values keep their lengths.",
            lambda *args: _block(*args, unit_v=True),
        ),
        Mistake(
            "divides the logits by the root of d as well",
            "The learned scale of the head stands in its place: logit = scale[h] * (q . k).",
            lambda *args: _block(*args, root=True),
        ),
        Mistake(
            "cuts the rows of qkv head by head instead of first into queries, keys and values",
            "The first A rows give all heads' queries, the next A their keys, the last A their values.",
            lambda *args: _block(*args, mixed=True),
        ),
        Mistake(
            "adds both branches without their gates",
            "x + gamma1 * attention(...), then x + gamma2 * feed_forward(...).",
            lambda *args: _block(*args, gates=False),
        ),
        Mistake(
            "multiplies by scale instead of 1 + scale",
            "With all of the condition at 0 the branches must see the plain normalised tokens.",
            lambda *args: _block(*args, one=0.0),
        ),
        Mistake(
            "attends to the new keys only",
            "keys and values hold all coarser scales: append the new ones, then attend to all.",
            lambda *args: _block(*args, only="new"),
        ),
        Mistake(
            "computes both branches from the same x",
            "The feed-forward branch starts from the x to which attention has been added.",
            lambda *args: _block(*args, both=True),
        ),
    ),
)

# -- generate ----------------------------------------------------------------------------------------------------------

WIDTH, CODES, CHANNELS = 6, 12, 3


def _drawing_case(rng, number):
    patch_nums = ((1, 2), (1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 5))[number]
    random = partial(_random, rng)
    counts, heads, d = [side**2 for side in patch_nums], 2, 3
    model = {
        "patch_nums": patch_nums,
        "start": random(2, counts[0], WIDTH),
        "positions": random(sum(counts), WIDTH),
        "word": random(WIDTH, CHANNELS),
        "word_bias": random(WIDTH),
        "blocks": [_weights(rng, WIDTH, heads, d, 8) for _ in range(2)],
        "conditions": [0.7 * random(2, 6, WIDTH) for _ in range(2)],
        "head_condition": 0.7 * random(2, 2, WIDTH),
        "head": random(CODES, WIDTH),
        "head_bias": random(CODES),
        "codebook": random(CODES, CHANNELS),
        "phi": [(random(CHANNELS, CHANNELS, 3, 3) / 4, random(CHANNELS) / 4) for _ in patch_nums],
        "ratio": 0.5,
    }
    noise = [torch.empty(n, CODES, dtype=torch.float64).exponential_(generator=rng) for n in counts]
    return {"model": model, "noise": noise, "guidance": 2.0 + number}


def _phi(h, weight, bias, ratio):
    """(1 - ratio) h + ratio conv3x3(h); h an array (C, S, S)."""
    return (1 - ratio) * h + ratio * pieces.convolved(h, pieces.array(weight), pieces.array(bias))


def _drawn(model, noise, guidance, progress=None, swap=False, remember=True, add=1.0, random=1.0, shift=True, smooth=_phi):
    patch_nums, m = model["patch_nums"], {name: pieces.array(v) for name, v in model.items() if isinstance(v, torch.Tensor)}
    channels, last, drawn, first = m["codebook"].shape[1], patch_nums[-1], [], 0
    f_hat = np.zeros((channels, last, last))
    caches = [None] * len(model["blocks"])
    for k, side in enumerate(patch_nums):
        x = m["start"]
        if k:
            small = pieces.area(f_hat, side).reshape(channels, -1).T
            x = np.stack([small @ m["word"].T + m["word_bias"]] * 2)
        x = torch.from_numpy(x + m["positions"][first : first + side**2])
        first += side**2 if shift else 0
        for i, (w, condition) in enumerate(zip(model["blocks"], model["conditions"])):
            empty = torch.zeros(2, len(w["scale"]), 0, len(w["q_bias"]) // len(w["scale"]))
            old = caches[i] if caches[i] is not None and remember else (empty, empty)
            x, *caches[i] = map(torch.from_numpy, _block(x, condition, w, *old))
        scale, shift_ = m["head_condition"][:, :, None].swapaxes(0, 1)
        logits = _normed(x.numpy(), scale, shift_) @ m["head"].T + m["head_bias"]
        t = guidance * (k / (len(patch_nums) - 1) if progress is None else progress)
        with_class, without = logits[::-1] if swap else logits
        odds = pieces.softmax((1 + t) * with_class - t * without)
        ids = (odds / (pieces.array(noise[k]) if random else 1)).argmax(-1)
        drawn.append(ids)
        h = m["codebook"][ids].T.reshape(channels, side, side)
        h = smooth(h if k == len(patch_nums) - 1 else pieces.bicubic(h, last), *model["phi"][k], model["ratio"])
        f_hat = add * f_hat + h
    return drawn


def _draw_ids(figure, args, got, expected):
    token_maps(figure, args["model"]["patch_nums"], expected, got, CODES - 1, "viridis")


GENERATE = Exercise(
    lesson=15,
    name="generate",
    difficulty=5,
    minutes=50,
    case=_drawing_case,
    oracle=_drawn,
    mistakes=(
        Mistake(
            "takes the most likely code without noise",
            "Drawing divides the probabilities by noise[k], or adds its Gumbel form to the logits.",
            lambda *args: _drawn(*args, random=0.0),
        ),
        Mistake(
            "guides every scale alike",
            "The strength grows from 0 to guidance: guidance * k / (K - 1).",
            lambda *args: _drawn(*args, progress=1.0),
        ),
        Mistake(
            "leaves guidance out",
            "Row 0 is the prediction with the class, row 1 without: (1 + t) * logits[0] - t * logits[1].",
            lambda *args: _drawn(*args, progress=0.0),
        ),
        Mistake("swaps the two rows", "Row 0 is the class, row 1 the null class.", lambda *args: _drawn(*args, swap=True)),
        Mistake(
            "forgets the coarser scales' keys and values",
            "Keep what adaln_block returns, one pair per block, and hand it back at the next scale.",
            lambda *args: _drawn(*args, remember=False),
        ),
        Mistake(
            "gives the next scale the last token map alone, instead of the sum so far",
            "f_hat is the sum of what all scales so far have added; made small, it is the next scale's input.",
            lambda *args: _drawn(*args, add=0.0),
        ),
        Mistake(
            "gives every scale the positions of the first tokens",
            "positions holds all scales one after another: scale k begins where the coarser ones end.",
            lambda *args: _drawn(*args, shift=False),
        ),
        Mistake(
            "leaves out phi",
            "The enlarged codes go through (1 - ratio) h + ratio * conv3x3(h), also at the last scale.",
            lambda *args: _drawn(*args, smooth=lambda h, *rest: h),
        ),
    ),
    draw=_draw_ids,
)

EXERCISES = (VQ_LOSS, ADALN_BLOCK, GENERATE)
