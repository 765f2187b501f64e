"""One whole pass of VAR and when it can be fast: after arXiv 2501.04377 (Ke, Li, Liang, Sha, Shi, Song).

n is the side of the last token map, d the width, R a bound on the entries that reach attention. A pass has three phases:

    1  the transformer over each scale: the up-interpolated map so far, then attention over all tokens so far
    2  the feature map: the sum of all up-interpolated code maps
    3  the decoder, which has convolutions and attention over the n^2 cells of the feature map

The standard algorithm takes O(n^(4 + o(1))). The paper shows for d = O(log n): with R = o(sqrt(log n)) a pass takes n^(2 +
o(1)) to an additive error of 1 / poly(n), and for every delta > 0 there is a C such that with R = C sqrt(log n) no O(n^(4 -
delta)) algorithm exists unless SETH fails. (n^2 is almost linear in the tokens; the output alone has n^2 d numbers, so that no
n^1.9 can be.) Phase 2 is sparse and no bottleneck, but bicubic interpolation can enlarge R, see `row_sum`. sqrt(log n^2) is 2.4
for n = 16 and 3.3 for n = 256: what is measured here is an error that grows with R, not the threshold, and not hardness.
"""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from .. import data, validate
from ..attention import AttentionState, new_state
from ..config import PATCH_NUMS_256, TokenizerConfig
from ..pyramid import ScalePyramid
from ..tokenizer import VQVAE
from ..tokenizer.autoencoder import SpatialAttention
from .measure import growth, processor_seconds, refuse_beyond

MAX_SIDE = 512
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")

# -- counting --------------------------------------------------------------------------------------------------------


def doubling(side: int) -> ScalePyramid:
    """Sides 1, 2, 4 ... n: as in the proofs. n^4 needs a geometric ladder; sides 1, 2, 3 ... n cost n^6."""
    side = validate.integer("side", side, 1, 256)
    if side & (side - 1):
        raise ValueError(f"side = {side}: must be a power of two")
    return ScalePyramid(tuple(1 << i for i in range(side.bit_length())))


def doubling_tokens(side: int) -> int:
    """1 + 4 + 16 + ... + n^2 = (4 n^2 - 1) / 3."""
    return (4 * side**2 - 1) // 3


def doubling_pairs(side: int) -> int:
    """Pairs of one attention layer with a cache: sum of 4^k (4^(k+1) - 1) / 3 = (64 n^4 - 20 n^2 + 1) / 45."""
    return (64 * side**4 - 20 * side**2 + 1) // 45


def row_sum(small: int, large: int, interpolation: str) -> dict:
    """The up-interpolation as a matrix: `largest`, the largest sum of absolute values in a row, and `entries`, the most in a row.

    A map with entries in [-R, R] becomes one in [-R * largest, R * largest], and that bound is reached. Rows of the 2-d matrix
    are products of two rows of the 1-d one.
    """
    validate.one_of("interpolation", interpolation, INTERPOLATIONS)
    large = validate.integer("large", large, 1, MAX_SIDE)
    small = validate.integer("small", small, 1, large)
    images = torch.eye(small * small, dtype=torch.float64).view(-1, 1, small, small) if small <= 32 else None
    if images is None:
        raise ValueError(f"small = {small}: must be at most 32, for the matrix has {small**2:,} x {large**2:,} entries")
    refuse_beyond("the matrix", (small**2, large**2))
    rows = F.interpolate(images, size=(large, large), mode=interpolation).flatten(1).T  # (large^2, small^2)
    return {"largest": rows.abs().sum(1).max().item(), "entries": int((rows.abs() > 1e-12).sum(1).max())}


# -- a small pass with all three phases --------------------------------------------------------------------------------


class ToyPass:
    """A VAR with random weights whose attention sees entries within [-R, R]: q = R tanh(x W), likewise k; values are tanh.

    Two layers of one head with scores q . k / d, a codebook of 16 entries, noise that is the same for every algorithm, and one
    attention layer as the decoder. `degree` None is exact attention, else the Taylor polynomial of exp.
    """

    LAYERS, CODES = 2, 16

    def __init__(self, side: int, bound: float, d: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64):
        self.pyramid, self.bound = doubling(side), validate.number("bound", bound, 0, 100, low_open=True)
        self.d, self.dtype = validate.integer("d", d, 1, 16), dtype
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.weights = 2 * normal(self.LAYERS + 1, 3, d, d) / math.sqrt(d)  # the last one is the decoder's
        self.codes = torch.rand(self.CODES, d, generator=generator, dtype=torch.float64).to(dtype) * 2 - 1
        self.places = [normal(count, d) for count in self.pyramid.counts]
        uniform = torch.rand(self.pyramid.tokens, self.CODES, generator=generator, dtype=torch.float64)
        self.noise = self.pyramid.split(-(-uniform.log()).log().to(dtype), dim=0)  # Gumbel: argmax of logits + noise is a draw

    def states(self, degree: int | None) -> list[AttentionState]:
        name = "exact" if degree is None else f"poly-{degree}"
        scale = torch.tensor([1 / self.d], dtype=self.dtype)
        last = self.pyramid.counts[-1]
        return [new_state(name, 1, scale, self.d, self.pyramid.tokens) for _ in range(self.LAYERS)] + [
            new_state(name, 1, scale, self.d, last)
        ]

    def run(self, degree: int | None = None, forced: list[torch.Tensor] | None = None) -> dict:
        """The whole pass: `tokens` of every scale, `logits` of the last one, `decoded` (n^2, d), processor `seconds` by phase.

        With `forced` token maps every scale sees the same input whatever was drawn before, as in training: the fair comparison,
        since one token that falls otherwise changes all that follows.
        """
        if degree is None:
            refuse_beyond("the weights of the last scale", (self.pyramid.counts[-1], self.pyramid.tokens), 4, 1 << 32)
        side = self.pyramid.side
        states, f_hat = self.states(degree), torch.zeros(1, self.d, side, side, dtype=self.dtype)
        tokens, seconds = [], {"transformer": 0.0, "maps": 0.0, "decoder": 0.0}
        for k, (own, place, noise) in enumerate(zip(self.pyramid.patch_nums, self.places, self.noise)):
            with _counted(seconds, "maps"):
                x = F.interpolate(f_hat, size=(own, own), mode="area").flatten(2)[0].T + place  # (n_k, d)
            with _counted(seconds, "transformer"):
                for layer in range(self.LAYERS):
                    x = x + self._attention(x, layer, states[layer])
                logits = x @ self.codes.T
            with _counted(seconds, "maps"):
                tokens.append((logits + noise).argmax(1))
                used = tokens[-1] if forced is None else forced[k]
                codes = self.codes[used].T.reshape(1, self.d, own, own)
                f_hat = f_hat + F.interpolate(codes, size=(side, side), mode="nearest")
        with _counted(seconds, "decoder"):
            cells = f_hat.flatten(2)[0].T
            decoded = cells + self._attention(cells, self.LAYERS, states[-1])
        return {"tokens": tokens, "logits": logits, "decoded": decoded, "seconds": seconds}

    def _attention(self, x: torch.Tensor, layer: int, state: AttentionState) -> torch.Tensor:
        q, k, v = (torch.tanh(x @ W) for W in self.weights[layer])
        state.extend(self.bound * k[None, None], v[None, None])
        return state.attend(self.bound * q[None, None])[0, 0]


@contextmanager
def _counted(seconds: dict, phase: str):
    begin = time.process_time()
    yield
    seconds[phase] += time.process_time() - begin


def compare(side: int, bound: float, degree: int, seed: int = 0) -> dict:
    """Largest differences of the last logits and of the decoded map; the share of equal tokens where each draws its own."""
    toy = ToyPass(side, bound, seed=seed)
    exact = toy.run()
    forced, free = toy.run(degree, exact["tokens"]), toy.run(degree)
    return {
        "side": side,
        "bound": bound,
        "degree": degree,
        "logits": (forced["logits"] - exact["logits"]).abs().max().item(),
        "decoded": (forced["decoded"] - exact["decoded"]).abs().max().item(),
        "same_tokens": (torch.cat(free["tokens"]) == torch.cat(exact["tokens"])).double().mean().item(),
    }


# -- phase 3 in a trained decoder --------------------------------------------------------------------------------------

SMALL_TOKENIZER = TokenizerConfig(
    patch_nums=(1, 2, 3, 5, 7),
    image_channels=1,
    vocab_size=256,
    z_channels=8,
    channels=16,
    channel_mult=(1, 2),
    res_blocks=1,
    stem=2,
    attention=True,
    norm_groups=8,
)


def train_small_tokenizer(steps: int = 400, seed: int = 0) -> VQVAE:
    """A tokenizer with attention in its decoder, trained for a minute on Fashion-MNIST: the shipped ones have none."""
    from ..training.loop import Trainer
    from ..training.schedule import Schedule
    from ..training.tokenizer import TokenizerObjective

    validate.integer("steps", steps, 1, 100_000)
    images = data.load("fashion-mnist").train_images
    torch.manual_seed(seed)
    model = VQVAE(SMALL_TOKENIZER)
    schedule = Schedule(steps=steps, batch_size=32, lr=3e-3, weight_decay=0.01, clip=1.0, ema=0.99, warmup=50)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(TokenizerObjective(model, steps, mse_weight=20.0), schedule, folder, "no")
        trainer.run(len(images), lambda chosen, _: [data.to_unit(images[chosen])])
    return model.eval()


@contextmanager
def decoder_attention(tokenizer: VQVAE, attention: str, report: list):
    """Inside the block every attention layer of the decoder is computed by the back end named `attention`.

    Each call appends to `report`: channels, features, the largest entry and logit, and the relative error of its output.
    Raises ValueError where the decoder has no attention.
    """

    def replaced(module: SpatialAttention, inputs, output):
        x = inputs[0]
        B, C, h, w = x.shape
        q, k, v = module.qkv(module.norm(x)).reshape(B, 3, 1, C, h * w).transpose(-1, -2).unbind(1)  # (B, 1, hw, C)
        state = new_state(attention, B, torch.tensor([C**-0.5]), C, h * w)
        state.extend(k, v)
        out, exact = state.attend(q), F.scaled_dot_product_attention(q, k, v)
        report.append(
            {
                "channels": C,
                "cells": h * w,
                "features": state.rank,
                "largest_entry": max(q.abs().max().item(), k.abs().max().item()),
                "largest_logit": (q @ k.transpose(-1, -2)).abs().max().item() * C**-0.5,
                "relative_error": ((out - exact).norm() / exact.norm()).item(),
            }
        )
        return x + module.proj_out(out.transpose(-1, -2).reshape(B, C, h, w))

    layers = [module for module in tokenizer.decoder.modules() if isinstance(module, SpatialAttention)]
    if not layers:
        raise ValueError("tokenizer has attention = False: its decoder must have attention layers")
    handles = [layer.register_forward_hook(replaced) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def phase_three(tokenizer: VQVAE, images: torch.Tensor, attention: str = "poly-2") -> dict:
    """What low-rank attention in the decoder changes on images in [-1, 1]: PSNR before and after, and every layer's report."""
    f_hat = tokenizer.tokenize(images).f_hat[-1]
    exact, layers = tokenizer.decode(f_hat), []
    with decoder_attention(tokenizer, attention, layers):
        fast = tokenizer.decode(f_hat)

    def psnr(a, b):
        return 10 * math.log10(4 / (a - b).square().mean().item())

    return {
        "attention": attention,
        "psnr_exact": psnr(exact, images),
        "psnr_low_rank": psnr(fast, images),
        "largest_pixel_difference": (fast - exact).abs().max().item(),
        "layers": layers,
    }


def experiment() -> dict:
    """Counts, interpolation, errors by R and degree, growth of a whole pass, and attention in a trained decoder."""
    official = ScalePyramid(PATCH_NUMS_256)
    sides = (1, 2, 4, 8, 16, 32, 64)
    counts = [{"side": n, "tokens": doubling(n).tokens, "pairs": doubling(n).attention_pairs()} for n in sides]
    errors = [compare(16, bound, degree) for bound in (1.0, 2.0, 3.0) for degree in (2, 4, 6)]
    slow, fast = [16, 32, 64, 128], [32, 64, 128, 256]
    toys = {n: ToyPass(n, 1.0, dtype=torch.float32) for n in set(slow + fast)}
    shares = toys[64].run()["seconds"]
    test = data.to_unit(data.load("fashion-mnist").test_images[:200])
    return {
        "counts": counts,
        "pairs_over_n4": {"doubling": doubling_pairs(64) / 64**4, "official": official.attention_pairs() / 16**4},
        "official": {"tokens": official.tokens, "pairs": official.attention_pairs()},
        "every_side_exponent": _every_side_exponent(),
        "interpolation": [
            {"small": a, "large": b, "interpolation": name, **row_sum(a, b, name)}
            for a, b in ((8, 16), (13, 16))
            for name in INTERPOLATIONS
        ],
        "errors": errors,
        "sqrt_log_tokens": {str(n): math.sqrt(2 * math.log(n)) for n in (16, 64, 256)},
        "exact": growth(slow, [lambda n=n: toys[n].run() for n in slow], repeats=2),
        "low_rank": growth(fast, [lambda n=n: toys[n].run(4) for n in fast], repeats=2),
        "seconds_at_64": {
            name: processor_seconds(lambda g=g: toys[64].run(g)) for name, g in (("exact", None), ("2", 2), ("4", 4))
        },
        "phase_shares_at_64": {phase: s / sum(shares.values()) for phase, s in shares.items()},
        "decoder": phase_three(train_small_tokenizer(), test),
        "seeds": 1,
    }


def _every_side_exponent() -> float:
    """The local exponent of pairs in n for sides 1, 2, 3 ... n, from n = 32 to 64."""
    pairs = [ScalePyramid(tuple(range(1, n + 1))).attention_pairs() for n in (32, 64)]
    return math.log2(pairs[1] / pairs[0])
