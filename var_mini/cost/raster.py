"""Raster order against next-scale prediction, on the same blocks: how many steps, how many pairs, how long.

VAR's authors were asked (issue 35 of their repository) what an image of n x n tokens costs. A raster-order model draws one
token per step: n^2 steps, O(n^6) pairs when every step computes the whole prefix anew, O(n^4) with a KV cache. VAR with a cache
also takes O(n^4) pairs, but in about ten steps, from which they expect at least ten times less wall clock. Here that is
tried: the same transformer blocks, widths and vocabulary, the same final token map, one image, one CPU thread.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .. import validate
from ..attention import masked
from ..attention.exact import ExactState
from ..config import TransformerConfig
from ..pyramid import ScalePyramid
from ..transformer import VAR
from .complexity import pairs, raster_pairs
from .fit import fit_upper
from .ladder import official_like

SIDES = (4, 6, 8, 12, 16, 24, 32)
SHAPE = TransformerConfig(depth=2, width=128, heads=8, head_dim=8, num_classes=10, shared_adaln=True, scale_init=2.0)
VOCAB, Z_CHANNELS = 512, 16
METHODS = ("raster", "raster-cached", "var", "var-cached", "var-poly-2", "var-landmark-32")
# exponents in n of the attention pairs; of the whole, the linear layers' share is n^2, and n^4 where prefixes are computed anew
# token by token
THEORY = {"raster": 6, "raster-cached": 4, "var": 4, "var-cached": 4, "var-poly-2": 2, "var-landmark-32": 2}
ENOUGH_SECONDS, MIN_ROUNDS, MAX_ROUNDS = 2.0, 3, 15
ROW_SECONDS = 150.0  # a row that will take longer than this is left out, and says so


@dataclass
class Counter:
    """Query-key pairs that one layer's attention really met."""

    pairs: int = 0

    def add(self, queries: int, keys: int, causal: bool = False) -> None:
        self.pairs += queries * (queries + 1) // 2 if causal else queries * keys


class RasterModel:
    """A raster-order autoregressive model that borrows all weights of a VAR over one scale of side^2 tokens."""

    def __init__(self, side: int, shape: TransformerConfig = SHAPE, vocab: int = VOCAB):
        torch.manual_seed(0)
        self.tokens = validate.integer("side", side, 1, 64) ** 2
        self.blocks = VAR(shape, ScalePyramid((side,)), vocab, Z_CHANNELS).eval()
        self.codes = torch.randn(vocab, Z_CHANNELS)
        self.shape = shape

    def _inputs(self, ids: torch.Tensor, condition, first: int) -> torch.Tensor:
        """Embeddings of positions first, first + 1, ...: the class at position 0, then the tokens drawn so far."""
        x = self.blocks.word_embed(self.codes[ids])
        if first == 0:
            x = torch.cat([condition.start.unsqueeze(1), x], 1)
        return x + self.blocks.pos_1LC[:, first : first + x.shape[1]]

    def draw(self, cached: bool, counter: Counter | None = None, keep: list | None = None) -> torch.Tensor:
        """All tokens of one image of class 0, greedily, one step per token: (1, side^2). `keep` collects each step's logits."""
        m, counter = self.blocks, counter or Counter()
        condition = m.condition(torch.zeros(1, dtype=torch.long))
        scales = [block.attn.logit_scale() for block in m.blocks]
        states = [ExactState(1, scale, self.shape.head_dim, self.tokens) for scale in scales]
        ids = torch.zeros(1, 0, dtype=torch.long)
        for step in range(self.tokens):
            # with a cache only the newest token, else all of them
            x = self._inputs(ids[:, step - 1 : step], condition, step) if cached else self._inputs(ids, condition, 0)
            for layer, (block, c) in enumerate(zip(m.blocks, condition.blocks)):

                def attend(q, k, v, layer=layer):
                    if cached:
                        states[layer].extend(k, v)
                        out, keys = states[layer].attend(q), states[layer].length
                    else:
                        scale = scales[layer].view(1, -1, 1, 1)
                        out, keys = F.scaled_dot_product_attention(q * scale, k, v, is_causal=True, scale=1.0), k.shape[2]
                    if layer == 0:
                        counter.add(q.shape[2], keys, causal=not cached)
                    return out

                x = block(x, c, attend)
            logits = m.logits(x[:, -1:], condition)
            if keep is not None:
                keep.append(logits)
            ids = torch.cat([ids, logits.argmax(-1)], 1)
        return ids


def prefix_pass(model: VAR, inputs: list[torch.Tensor | None], condition, counter: Counter | None = None) -> torch.Tensor:
    """Logits of all scales so far, in one masked pass that computes everything anew: VAR without a cache.

    `inputs` holds None for the first scale, then (B, n_k, Cvae) of each later one. The mask hides pairs but does not save
    them, so all end^2 of them count.
    """
    x = torch.cat([model.start_tokens(condition), *(model.word_embed(given) for given in inputs[1:])], 1)
    end = x.shape[1]
    x = x + model.positions()[:, :end]
    level = model.pyramid.levels(x.device)[:end]
    mask = level[:, None] >= level[None, :]
    for layer, (block, c) in enumerate(zip(model.blocks, condition.blocks)):
        scale = block.attn.logit_scale()
        x = block(x, c, lambda q, k, v, scale=scale: masked("exact", q, k, v, scale, mask))
        if counter is not None and layer == 0:
            counter.add(end, end)
    return model.logits(x, condition)


class VarModel:
    """A VAR over `pyramid` whose greedy tokens feed the next scale, without a decoder."""

    def __init__(self, pyramid: ScalePyramid, shape: TransformerConfig = SHAPE, vocab: int = VOCAB):
        torch.manual_seed(0)
        self.pyramid = pyramid
        self.model = VAR(shape, pyramid, vocab, Z_CHANNELS).eval()
        self.codes = torch.randn(vocab, Z_CHANNELS)
        generator = torch.Generator().manual_seed(1)
        marks = torch.randn(shape.depth, shape.heads, 32, shape.head_dim, generator=generator)
        self.model.set_landmarks(F.normalize(marks, dim=-1))

    def draw(self, attention: str, cached: bool = True, counter: Counter | None = None, keep: list | None = None) -> torch.Tensor:
        """All tokens of one image of class 0, (1, tokens), one step per scale."""
        counter = counter or Counter()
        condition = self.model.condition(torch.zeros(1, dtype=torch.long))
        states = self.model.new_states(1, attention)
        inputs: list[torch.Tensor | None] = [None]
        drawn = []

        def observer(layer, state, q, k, v):
            if layer == 0:
                counter.add(q.shape[2], state.rank)

        for scale, side in enumerate(self.pyramid.patch_nums):
            if cached:
                logits = self.model.step(scale, inputs[scale], condition, states, observer)
            else:
                logits = prefix_pass(self.model, inputs, condition, counter)[:, -side * side :]
            if keep is not None:
                keep.append(logits)
            drawn.append(logits.argmax(-1))
            if scale + 1 < self.pyramid.num_scales:
                grid = self.codes[drawn[-1]].transpose(1, 2).unflatten(-1, (side, side))
                finer = F.interpolate(grid, size=(self.pyramid.patch_nums[scale + 1],) * 2, mode="bicubic")
                inputs.append(finer.flatten(2).transpose(1, 2))
        return torch.cat(drawn, 1)


@torch.no_grad()
def bench_raster(sides: tuple[int, ...] = SIDES, methods: tuple[str, ...] = METHODS, row_seconds: float = ROW_SECONDS) -> dict:
    """All figures of `python -m var_mini bench raster`, on one CPU thread with random weights; decoders are not timed.

    `rows` hold sequential steps, pairs of one head and layer (closed form, and as counted in the run) and median seconds;
    `exponents` fit seconds ~ side^e over the upper half of the measured sides; `speedup_vs_cached_raster` is the time of raster
    order with a cache over VAR's with a cache; `ten_times_from_side` is the first measured side from which on it is ten or
    more, null if there is none. For a constant-size state no keys are met, so `pairs` is null there.
    """
    for side in sides:
        validate.integer("side", side, 4, 64)
    for method in methods:
        validate.one_of("method", method, METHODS)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = _measure(sorted(sides), methods, row_seconds)
    finally:
        torch.set_num_threads(before)
    exponents = []
    for method in methods:
        measured = [(r["side"], r["seconds"]) for r in rows if r["method"] == method and r["seconds"] is not None]
        if len(measured) >= 3:
            timed, seconds_each = zip(*measured)
            exponents.append({"method": method, **fit_upper(timed, seconds_each), "theory": THEORY[method]})
    seconds = {(r["side"], r["method"]): r["seconds"] for r in rows}
    ratios = {
        str(side): seconds[side, "raster-cached"] / seconds[side, "var-cached"]
        for side in sorted(sides)
        if seconds.get((side, "raster-cached")) and seconds.get((side, "var-cached"))
    }
    reached = [int(side) for side in ratios if all(ratios[s] >= 10 for s in ratios if int(s) >= int(side))]
    return {
        "rows": rows,
        "exponents": exponents,
        "speedup_vs_cached_raster": ratios,
        "ten_times_from_side": min(reached, default=None),
        "weights": "random",
        "threads_timed": 1,
        "shape": {"depth": SHAPE.depth, "width": SHAPE.width, "heads": SHAPE.heads, "head_dim": SHAPE.head_dim, "vocab": VOCAB},
    }


def _measure(sides: list[int], methods: tuple[str, ...], row_seconds: float) -> list[dict]:
    rows: list[dict] = []
    last: dict[str, tuple[int, float]] = {}  # method -> the side before and its seconds
    for side in sides:
        pyramid = official_like(side)
        raster, var = RasterModel(side), VarModel(pyramid)
        for method in methods:
            print(f"bench raster: side {side}, {method}", file=sys.stderr, flush=True)
            run, closed = runner(method, raster, var)
            row = {"side": side, "method": method, "steps": raster.tokens if method.startswith("raster") else pyramid.num_scales}
            row |= {"pairs": closed, "pairs_counted": None, "seconds": None, "rounds": 0}
            expected = last[method][1] * (side / last[method][0]) ** THEORY[method] if method in last else 0.0
            if expected > row_seconds:
                row["note"] = f"left out: would take about {expected:.0f} s"
            else:
                counter, spent = Counter(), []
                run(counter)  # warms up, too
                while len(spent) < MAX_ROUNDS and (len(spent) < MIN_ROUNDS or sum(spent) < ENOUGH_SECONDS):
                    begin = time.perf_counter()
                    run(Counter())
                    spent.append(time.perf_counter() - begin)
                    if sum(spent) > 10 * ENOUGH_SECONDS:  # long enough to be steady
                        break
                row |= {"seconds": statistics.median(spent), "rounds": len(spent)}
                row["pairs_counted"] = counter.pairs if closed is not None else None
                last[method] = side, row["seconds"]
            rows.append(row)
    return rows


def runner(method: str, raster: RasterModel, var: VarModel) -> tuple[Callable[[Counter], torch.Tensor], int | None]:
    """What draws one image, and the closed form of its pairs."""
    if method.startswith("raster"):
        cached = method.endswith("cached")
        return lambda counter: raster.draw(cached, counter), raster_pairs(round(raster.tokens**0.5), cached)
    if method in ("var", "var-cached"):
        cached = method.endswith("cached")
        closed = pairs(var.pyramid, "exact" if cached else "exact-uncached")
        return lambda counter: var.draw("exact", cached, counter), closed
    return lambda counter: var.draw(method.removeprefix("var-"), True, counter), None
