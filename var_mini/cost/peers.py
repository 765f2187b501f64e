"""Other packages' linear attention beside this project's, in one run: the same q, k, v, error and time.

Peers, from PyPI (optional extra `peers`): performer-pytorch (FAVOR+, arXiv 2009.14794), taylor-series-linear-attention (degree 2,
arXiv 2209.04881) and nystrom-attention (arXiv 2102.03902). Their own code runs, with projections replaced by the identity and
inputs scaled so that every method sees the logit s (q . k). All N tokens see each other, once.

One difference remains: nystrom-attention takes its landmarks from the sequence itself, within its time; ours are calibrated
beforehand on an independent draw of the same distribution, as a checkpoint's are on training images.
"""

from __future__ import annotations

import importlib
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .. import validate
from ..attention import AttentionSpec, new_state
from ..attention.spec import MAX_RANK

HEADS = 8
OURS = ("exact", "poly-2", "poly-4", "landmark-16", "landmark-32", "landmark-64", "landmark-128")
PEERS = {  # name -> (package, parameter)
    "performer-64": ("performer_pytorch", 64),
    "performer-256": ("performer_pytorch", 256),
    "performer-1024": ("performer_pytorch", 1024),
    "taylor": ("taylor_series_linear_attention", False),
    "taylor-symmetric": ("taylor_series_linear_attention", True),
    "nystrom-32": ("nystrom_attention", 32),
    "nystrom-64": ("nystrom_attention", 64),
    "nystrom-128": ("nystrom_attention", 128),
}
CLUSTERS, NOISE = 24, 0.6
ENOUGH_SECONDS, MIN_ROUNDS, MAX_ROUNDS = 1.0, 3, 30

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # q, k, v
Draw = Callable[[int, int, int, int], Three]


def clustered(tokens: int, heads: int, head_dim: int, seed: int) -> Three:
    """Unit q and k (1, H, N, d) around 24 directions per head, half of them shared by both, as learned ones gather; normal v.

    A head's directions are the same for every seed: `seed` draws the tokens, so that one seed calibrates and another tests.
    """
    fixed = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(heads, 3 * CLUSTERS // 2, head_dim, generator=fixed), dim=-1)
    generator = torch.Generator().manual_seed(seed)
    made = []
    for offset in (0, CLUSTERS // 2):  # q from the first 24 directions, k from the last 24 of 36
        chosen = torch.randint(CLUSTERS, (heads, tokens), generator=generator) + offset
        centres = directions.gather(1, chosen.unsqueeze(-1).expand(-1, -1, head_dim))
        noise = torch.randn(heads, tokens, head_dim, generator=generator) * (NOISE / math.sqrt(head_dim))
        made.append(F.normalize(centres + noise, dim=-1).unsqueeze(0))
    return made[0], made[1], torch.randn(1, heads, tokens, head_dim, generator=generator)


def exact_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bound: float, block: int = 1024) -> torch.Tensor:
    """Softmax attention in float64, in blocks of queries: what every error is measured against."""
    q, k, v = q.double(), k.double(), v.double()
    return torch.cat([(bound * part @ k.transpose(-1, -2)).softmax(-1) @ v for part in q.split(block, dim=2)], 2)


class _Given(nn.Module):
    """Stands where a package has a projection, and returns what it was given."""

    def __init__(self, value: torch.Tensor):
        super().__init__()
        self.value = value

    def forward(self, _) -> torch.Tensor:
        return self.value


def peer(name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bound: float) -> Callable[[], torch.Tensor]:
    """A function that computes one peer's attention, (1, H, N, d). Raises ValueError where its package is not installed."""
    package, parameter = PEERS[validate.one_of("peer", name, PEERS)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated imports inside the packages
            module = importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"peer = {name!r}: needs a package ({error}); pip install '.[peers]' in the repository") from None
    _, heads, tokens, d = q.shape
    torch.manual_seed(0)
    if package == "performer_pytorch":  # divides q and k by d^(1/4) each
        attention = module.FastAttention(dim_heads=d, nb_features=parameter).eval()
        root = math.sqrt(bound) * d**0.25
        return lambda: attention(q * root, k * root, v)
    scaled = q * (bound * math.sqrt(d))  # both others divide q by the root of d
    if package == "taylor_series_linear_attention":
        attention = module.TaylorSeriesLinearAttn(
            dim=1, dim_head=d, heads=heads, combine_heads=False, remove_even_power_dups=parameter
        ).eval()
        attention.to_q, attention.to_kv = _Given(scaled), _Given(torch.stack([k, v]))
        nothing = torch.zeros(1, tokens, 1)
        return lambda: attention(nothing).unflatten(-1, (heads, d)).transpose(1, 2)
    attention = module.NystromAttention(dim=1, dim_head=d, heads=heads, num_landmarks=parameter, residual=False).eval()
    attention.to_qkv, attention.to_out = nn.Identity(), nn.Identity()
    packed = torch.cat([x.transpose(1, 2).flatten(2) for x in (scaled, k, v)], -1)
    # tokens that it adds to fill its segments must be masked, or they would take part
    mask = torch.ones(1, tokens, dtype=torch.bool) if tokens % parameter else None
    return lambda: attention(packed, mask=mask)[:, -tokens:].unflatten(-1, (heads, d)).transpose(1, 2)


def ours(name: str, q, k, v, bound: float, landmarks: dict[int, torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The same through one of this project's states."""
    spec = AttentionSpec.parse(name)
    scale = torch.full((q.shape[1],), bound)

    def run() -> torch.Tensor:
        state = new_state(spec, 1, scale, q.shape[-1], q.shape[2], landmarks.get(spec.landmarks))
        state.extend(k, v)
        return state.attend(q)

    return run


@torch.no_grad()
def bench_peers(
    tokens: tuple[int, ...] = (680, 2240, 6743),
    head_dims: tuple[int, ...] = (8, 16),
    logit_bounds: tuple[float, ...] = (2.0, 4.0),
    peers: tuple[str, ...] = tuple(PEERS),
    draw: Draw = clustered,
) -> dict:
    """All figures of `python -m var_mini bench peers`, on one CPU thread, 8 heads, q, k and v from `draw`.

    `rows`: relative error in the Frobenius norm against float64 softmax, median and interquartile range of the seconds; methods
    take turns. `beaten` names for each peer and size one of ours that is both more accurate and faster, or null.
    """
    for n in tokens:
        validate.integer("tokens", n, 16, 1 << 20)
    for bound in logit_bounds:
        validate.number("logit_bound", bound, 0, 100, low_open=True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[dict] = []
    try:
        for head_dim in head_dims:
            validate.integer("head_dim", head_dim, 1, 256)
            landmarks = _calibrated(draw, head_dim)
            for n in tokens:
                for bound in logit_bounds:
                    print(
                        f"bench peers: head dimension {head_dim}, {n} tokens, logits within {bound:g}",
                        file=sys.stderr,
                        flush=True,
                    )
                    rows += _measure(draw(n, HEADS, head_dim, 2), bound, landmarks, peers)
    finally:
        torch.set_num_threads(before)
    beaten = [_beaten(row, rows) for row in rows if row["peer"]]
    return {
        "rows": rows,
        "beaten": beaten,
        "all_beaten": all(b["by"] for b in beaten),
        "data": f"q and k around {CLUSTERS} directions per head" if draw is clustered else getattr(draw, "__name__", "given"),
        "threads_timed": 1,
    }


def _calibrated(draw: Draw, head_dim: int) -> dict[int, torch.Tensor]:
    """Landmarks from an independent draw, by number."""
    from ..training.landmarks import kmeans_centres  # scikit-learn takes a second to import

    q, k, _ = draw(4096, HEADS, head_dim, 1)
    vectors = torch.cat([q, k], 2)[0]
    counts = [spec.landmarks for spec in map(AttentionSpec.parse, OURS) if spec.method == "landmark"]
    return {m: kmeans_centres(vectors, m) for m in counts}


def _measure(qkv: Three, bound: float, landmarks: dict, peers: tuple[str, ...]) -> list[dict]:
    head_dim = qkv[0].shape[-1]
    fitting = [n for n in OURS if not (n.startswith("poly") and math.comb(head_dim + int(n[-1]), head_dim) > MAX_RANK)]
    runs = {name: ours(name, *qkv, bound, landmarks) for name in fitting}
    runs |= {name: peer(name, *qkv, bound) for name in peers}
    wanted = exact_attention(*qkv, bound)
    error = {name: ((run().double() - wanted).norm() / wanted.norm()).item() for name, run in runs.items()}  # warms up, too
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(MAX_ROUNDS):
        for name, run in runs.items():
            if len(seconds[name]) < MIN_ROUNDS or sum(seconds[name]) < ENOUGH_SECONDS:
                begin = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - begin)
    rows = []
    for name, spent in seconds.items():
        low, _, high = statistics.quantiles(spent, n=4, method="inclusive")
        row = {"tokens": qkv[0].shape[2], "head_dim": head_dim, "logit_bound": bound, "method": name, "peer": name in PEERS}
        rows.append(
            row | {"error": error[name], "seconds": statistics.median(spent), "spread_s": high - low, "rounds": len(spent)}
        )
    return rows


def _beaten(theirs: dict, rows: list[dict]) -> dict:
    """The most accurate of ours among those that are faster and more accurate than a peer's row."""
    same = ("tokens", "head_dim", "logit_bound")
    better = [
        row
        for row in rows
        if not row["peer"]
        and row["method"] != "exact"
        and all(row[key] == theirs[key] for key in same)
        and row["seconds"] < theirs["seconds"]
        and row["error"] < theirs["error"]
    ]
    best = min(better, key=lambda row: row["error"], default=None)
    return {key: theirs[key] for key in same} | {"peer": theirs["method"], "by": best["method"] if best else None}
