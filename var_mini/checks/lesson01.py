"""Exercises of lesson 1, an image as a pyramid of token maps."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from . import pieces
from .exercise import Exercise, Mistake
from .picture import matrix, plane

# -- pyramid_offsets ---------------------------------------------------------------------------------------------------


def _pyramid(rng, number):
    return {"patch_nums": pieces.sides(rng, number, scales=2 + number, step=3)}


def _offsets(patch_nums):
    ends = [sum(side**2 for side in patch_nums[: k + 1]) for k in range(len(patch_nums))]
    return [(end - side**2, end) for side, end in zip(patch_nums, ends)]


def _offsets_of_sides(patch_nums):
    ends = [sum(patch_nums[: k + 1]) for k in range(len(patch_nums))]
    return [(end - side, end) for side, end in zip(patch_nums, ends)]


def _draw_offsets(figure, args, got, expected):
    for axis, title, spans in zip(figure.subplots(2, 1), ("expected", "yours"), (expected, got)):
        for k, (begin, end) in enumerate(spans):
            axis.barh(0, end - begin, left=begin, color=f"C{k % 10}", edgecolor="white")
        axis.set_title(title, fontsize=9)
        axis.set_yticks([])
        axis.set_xlim(0, expected[-1][1])


PYRAMID_OFFSETS = Exercise(
    lesson=1,
    name="pyramid_offsets",
    difficulty=1,
    minutes=5,
    case=_pyramid,
    oracle=_offsets,
    mistakes=(
        Mistake("counts a scale of side s as s tokens", "A map of side s has s * s tokens.", _offsets_of_sides),
        Mistake(
            "gives the index of the last token as `end`",
            "`end` is one past the last token, as in a Python slice.",
            lambda patch_nums: [(begin, end - 1) for begin, end in _offsets(patch_nums)],
        ),
        Mistake(
            "gives begin and length instead of begin and end",
            "Add what came before to the length.",
            lambda patch_nums: [(begin, end - begin) for begin, end in _offsets(patch_nums)],
        ),
    ),
    draw=_draw_offsets,
)


# -- area_downsample ---------------------------------------------------------------------------------------------------

SIZES = ((4, 2), (7, 1), (7, 3), (7, 5), (8, 6))


def _feature_map(rng, number):
    size, side = SIZES[number % len(SIZES)]
    return {"f": torch.randn(1 + number % 2, 2, size, size, generator=rng), "side": side}


def _area(f, side):
    return pieces.area(pieces.array(f), side)


def _floor_windows(f, side):
    """Windows that leave out the places they touch only partly."""
    size, x = f.shape[-1], pieces.array(f)
    spans = [(i * size // side, max((i + 1) * size // side, i * size // side + 1)) for i in range(side)]
    return np.stack([np.stack([x[..., a:b, c:d].mean((-1, -2)) for c, d in spans], -1) for a, b in spans], -2)


AREA_DOWNSAMPLE = Exercise(
    lesson=1,
    name="area_downsample",
    difficulty=3,
    minutes=15,
    case=_feature_map,
    oracle=_area,
    mistakes=(
        Mistake(
            "takes one value per cell instead of the mean",
            "Every value of the window counts: average over all of it.",
            lambda f, side: F.interpolate(f, (side, side), mode="nearest"),
        ),
        Mistake(
            "interpolates between the nearest values instead of averaging the window",
            "Bilinear interpolation looks at four values only; the mean looks at the whole window.",
            lambda f, side: F.interpolate(f, (side, side), mode="bilinear"),
        ),
        Mistake(
            "rounds the end of a window down",
            "A cell owns every place that it touches, so its end is rounded up: ceil((i + 1) * size / side).",
            _floor_windows,
        ),
        Mistake(
            "sums over the window without dividing by its number of places",
            "Divide by the number of values in the window, which differs from cell to cell.",
            lambda f, side: (
                (pieces.area_matrix(f.shape[-1], side) > 0).astype(float)
                @ pieces.array(f)
                @ (pieces.area_matrix(f.shape[-1], side) > 0).T
            ),
        ),
    ),
    reference=lambda f, side: F.interpolate(f, (side, side), mode="area"),
)


# -- nearest_code ------------------------------------------------------------------------------------------------------


def _codes(rng, number):
    n, codes, channels = 3 + 4 * number, 5 + 3 * number, 2 + number
    lengths = 0.3 + 2 * torch.rand(codes, 1, generator=rng)  # codes of unlike length, so that directions alone do not do
    return {
        "z": torch.randn(n, channels, generator=rng),
        "codebook": lengths * torch.randn(codes, channels, generator=rng),
    }


def _distances(z, codes):
    """Squared, of every vector from every code: (..., C), (V, C) -> (..., V)."""
    return ((z[..., None, :] - codes) ** 2).sum(-1)


def _squared(z, codebook):
    return _distances(pieces.array(z), pieces.array(codebook))  # (N, V)


def _nearest(z, codebook):
    return _squared(z, codebook).argmin(1)


def _draw_nearest(figure, args, got, expected):
    squared = _squared(**args)
    axis = figure.subplots()
    image = axis.imshow(squared, cmap="cividis", aspect="auto")
    figure.colorbar(image, ax=axis, label="squared distance")
    axis.plot(expected, range(len(expected)), "o", ms=9, mfc="none", mec="white", label="nearest")
    axis.plot(got, range(len(expected)), "x", color="#d55e00", label="yours")
    axis.set_xlabel("code", fontsize=9)
    axis.set_ylabel("vector", fontsize=9)
    axis.legend(fontsize=8, loc="upper right")


NEAREST_CODE = Exercise(
    lesson=1,
    name="nearest_code",
    difficulty=2,
    minutes=10,
    case=_codes,
    oracle=_nearest,
    mistakes=(
        Mistake(
            "takes the code with the largest dot product",
            "A long code can have a large dot product and still be far away: the |code|^2 of the distance must not be left out.",
            lambda z, codebook: (pieces.array(z) @ pieces.array(codebook).T).argmax(1),
        ),
        Mistake(
            "takes the farthest code", "The nearest one has the least distance: argmin.", lambda z, c: _squared(z, c).argmax(1)
        ),
        Mistake(
            "looks for the nearest vector of every code",
            "One code per vector is wanted: take the minimum over the codes, dimension 1 of an (N, V) table.",
            lambda z, codebook: _squared(z, codebook).argmin(0),
        ),
        Mistake(
            "adds 2 z . c instead of subtracting it",
            "|z - c|^2 = |z|^2 - 2 z . c + |c|^2: a code that points the same way as z is nearer.",
            lambda z, codebook: (2 * pieces.array(z) @ pieces.array(codebook).T + (pieces.array(codebook) ** 2).sum(1)).argmin(1),
        ),
        Mistake(
            "compares directions only",
            "Do not normalise here: this quantizer compares vectors with their lengths.",
            lambda z, c: (F.normalize(z.double(), dim=-1) @ F.normalize(c.double(), dim=-1).T).argmax(1),
        ),
    ),
    draw=_draw_nearest,
)


# -- mix_phi -----------------------------------------------------------------------------------------------------------


def _phi_case(rng, number):
    channels, size = 2 + number % 2, 3 + number
    return {
        "h": torch.randn(1 + number % 2, channels, size, size, generator=rng),
        "weight": torch.randn(channels, channels, 3, 3, generator=rng) / 3,
        "bias": torch.randn(channels, generator=rng),
        "ratio": 0.25 + 0.1 * number,
    }


def _convolved(h, weight, bias):
    return pieces.convolved(*map(pieces.array, (h, weight, bias)))


def _phi(h, weight, bias, ratio):
    return (1 - ratio) * pieces.array(h) + ratio * _convolved(h, weight, bias)


MIX_PHI = Exercise(
    lesson=1,
    name="mix_phi",
    difficulty=2,
    minutes=8,
    case=_phi_case,
    oracle=_phi,
    mistakes=(
        Mistake(
            "swaps the two shares",
            "The convolution gets `ratio`, the map itself 1 - ratio.",
            lambda h, weight, bias, ratio: _phi(h, weight, bias, 1 - ratio),
        ),
        Mistake(
            "adds the convolution to the whole map",
            "The map itself counts with 1 - ratio only, so that phi neither grows nor shrinks what passes through.",
            lambda h, weight, bias, ratio: pieces.array(h) + ratio * _convolved(h, weight, bias),
        ),
        Mistake(
            "returns the convolution alone",
            "Part of the map goes past the convolution unchanged.",
            lambda h, weight, bias, ratio: _convolved(h, weight, bias),
        ),
        Mistake(
            "leaves out the bias",
            "The convolution has a bias, one number per channel.",
            lambda h, weight, bias, ratio: _phi(h, weight, torch.zeros_like(bias), ratio),
        ),
        Mistake(
            "convolves without a border",
            "padding=1 adds one row of zeros on every side, so that the map keeps its size.",
            lambda h, weight, bias, ratio: F.conv2d(h, weight, bias),
        ),
    ),
    reference=lambda h, weight, bias, ratio: (1 - ratio) * h + ratio * F.conv2d(h, weight, bias, padding=1),
)


# -- residual_step -----------------------------------------------------------------------------------------------------


def _residual_case(rng, number):
    batch, channels, size = 1 + number % 2, 3, (4, 5, 7, 7, 7)[number]
    return {
        "f": torch.randn(batch, channels, size, size, generator=rng),
        "f_hat": 0.7 * torch.randn(batch, channels, size, size, generator=rng),
        "codebook": torch.randn(12, channels, generator=rng),
        "side": (2, 3, 5, 7, 1)[number],
    }


def _step(f, f_hat, codebook, side, rest=None, shrink=pieces.area, enlarge=pieces.bicubic, add=1.0, start=1.0, reshaped=()):
    """`reshaped` names what is reshaped instead of permuted: the `vectors` to be quantized, the `codes` on their way back."""
    f, f_hat, codes = map(pieces.array, (f, f_hat, codebook))
    z = shrink(f - f_hat if rest is None else rest(f, f_hat), side)  # (B, C, side, side)
    z = z.reshape(len(f), side, side, -1) if "vectors" in reshaped else z.transpose(0, 2, 3, 1)
    ids = _distances(z, codes).argmin(-1)
    h = codes[ids]  # (B, side, side, C)
    h = enlarge(h.reshape(len(f), -1, side, side) if "codes" in reshaped else h.transpose(0, 3, 1, 2), f.shape[-1])
    return ids.reshape(len(f), -1), start * f_hat + add * h


def _interpolated(x, size, mode):
    return F.interpolate(torch.from_numpy(np.ascontiguousarray(x)), (size, size), mode=mode).numpy()


def _draw_step(figure, args, got, expected):
    pictures = {
        "f": args["f"], "f_hat before": args["f_hat"], "expected f_hat": expected[1], "yours": got[1],
        "left over": args["f"] - got[1],
    }  # fmt: skip
    limit = args["f"].abs().max().item()
    for axis, (title, values) in zip(figure.subplots(1, len(pictures)), pictures.items()):
        image = matrix(axis, plane(values), title, -limit, limit)
    figure.colorbar(image, ax=figure.axes, label="first channel")


RESIDUAL_STEP = Exercise(
    lesson=1,
    name="residual_step",
    difficulty=3,
    minutes=20,
    case=_residual_case,
    oracle=_step,
    mistakes=(
        Mistake(
            "quantizes f itself",
            "What the coarser scales have already said must not be said again: quantize the residual f - f_hat.",
            lambda *args: _step(*args, rest=lambda f, f_hat: f),
        ),
        Mistake(
            "quantizes f_hat - f",
            "What is missing is f - f_hat; the sign decides which code is near.",
            lambda *args: _step(*args, rest=lambda f, f_hat: f_hat - f),
        ),
        Mistake(
            "returns only what this scale adds",
            "The new f_hat is the old one plus the enlarged codes.",
            lambda *args: _step(*args, start=0.0),
        ),
        Mistake("subtracts the codes from f_hat", "f_hat grows towards f: add.", lambda *args: _step(*args, add=-1.0)),
        Mistake(
            "enlarges the code map by repeating values",
            'F.interpolate takes mode="bicubic" here: the enlarged map is smooth.',
            lambda *args: _step(*args, enlarge=pieces.picked),
        ),
        Mistake(
            "enlarges the code map bilinearly",
            'F.interpolate takes mode="bicubic" here.',
            lambda *args: _step(*args, enlarge=lambda h, size: _interpolated(h, size, "bilinear")),
        ),
        Mistake(
            "averages the residual down with bicubic interpolation",
            'Downwards means the mean over each cell, mode="area"; bicubic is for the way up.',
            lambda *args: _step(*args, shrink=lambda z, side: _interpolated(z, side, "bicubic")),
        ),
        *(
            Mistake(
                f"reshapes {told} instead of moving the channels",
                "reshape and view keep the order of the numbers, so channels and places get mixed: permute the dimensions.",
                lambda *args, which=which: _step(*args, reshaped=which),
            )
            for told, which in (
                ("(B, C, side, side) to vectors", ("vectors",)),
                ("the codes to (B, C, side, side)", ("codes",)),
                ("both the map to vectors and the codes to a map", ("vectors", "codes")),
            )
        ),
    ),
    draw=_draw_step,
)

EXERCISES = (PYRAMID_OFFSETS, AREA_DOWNSAMPLE, NEAREST_CODE, MIX_PHI, RESIDUAL_STEP)
