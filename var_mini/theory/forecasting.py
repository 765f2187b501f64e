"""Where attention forecasts worse than a straight line: after arXiv 2412.06061 (Ke, Liang, Shi, Song, Yang).

The paper studies two-layer attention in the NTK regime that predicts the next value of a residual state-space model. Updates
follow the value weights; when sign(x_t) and sign(x_(t+1)) differ, the residual feature is not learned, so that sign changes,
unseen in training, are forecast wrongly, while a linear residual network succeeds. We did not reproduce the paper's model, and
the two lemmas below are ours, not its proof.

    hull lemma     one head gives v times an average of the window; where the whole window has one sign and v > 0, its forecast
                   has that sign, too: wrong at every sign change
    parity lemma   near zero logits w_j x_j, what training the logits can add is (x_j - mean) x_j / L, an even function of the
                   window, while the right forecast is odd

Told plainly: an ordinary attention block of four heads with positions forecasts sign changes well, and two heads whose values may
take two signs already do. Of our variants only the single head must fail; many heads with frozen values and without positions do
not even fit the windows that they are trained on, so that their signs on other windows mean nothing.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from .. import validate
from .measure import refuse_beyond

PERIOD, WINDOW = 24, 6
OMEGA = 2 * math.pi / PERIOD
EXACT_VALUES = (2 * math.cos(OMEGA), -1.0)  # of two heads that look at the last and at the last but one value


def windows(count: int, flips: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x_t = A sin(omega t + phase): windows (count, 6) and the next value (count,).

    With `flips` the next value has another sign than all the window; without, the same sign as the window's last value.
    """
    count = validate.integer("count", count, 1, 1 << 20)
    refuse_beyond("the table of windows", (16 * count, WINDOW + 1), limit=1 << 28)
    rng = np.random.default_rng(seed)
    amplitude, phase = rng.uniform(0.5, 1.5, (16 * count, 1)), rng.uniform(0, 2 * np.pi, (16 * count, 1))
    series = amplitude * np.sin(OMEGA * np.arange(WINDOW + 1) + phase)
    x, y = series[:, :-1], series[:, -1]
    keep = np.sign(y) == np.sign(x[:, -1])
    if flips:
        keep = ~keep & (np.abs(np.sign(x).sum(1)) == WINDOW)
    return x[keep][:count], y[keep][:count]


def exact_forecast(x: np.ndarray) -> np.ndarray:
    """2 cos(omega) x_L - x_(L-1): what a sine of known period obeys."""
    return EXACT_VALUES[0] * x[:, -1] + EXACT_VALUES[1] * x[:, -2]


def score(forecast: np.ndarray, y: np.ndarray) -> dict:
    """`nmse`, the squared error as a share of that of always saying 0, and the share of right signs."""
    error = np.square(forecast - y).sum() / np.square(y).sum()
    return {"nmse": float(error), "sign_accuracy": float((np.sign(forecast) == np.sign(y)).mean())}


def least_squares(features) -> dict:
    """Fits y on `features(x)` (count, m) without sign changes, tested on sign changes."""
    x, y = windows(2000, False, seed=1)
    weights = np.linalg.lstsq(features(x), y, rcond=1e-10)[0]
    x, y = windows(2000, True, seed=2)
    return score(features(x) @ weights, y)


def persistence(x: np.ndarray) -> np.ndarray:
    return x[:, -1]


def residual_forecast() -> dict:
    """x_L plus a linear function of the window, fitted: the linear residual model."""
    x, y = windows(2000, False, seed=1)
    weights = np.linalg.lstsq(x, y - persistence(x), rcond=1e-10)[0]
    x, y = windows(2000, True, seed=2)
    return score(persistence(x) + x @ weights, y)


# -- the two lemmas --------------------------------------------------------------------------------------------------


def hull_nmse(value: float) -> float:
    """The least nmse on sign changes of any forecast in value * [min x, max x], value > 0: the nearest point of it, always."""
    value = validate.number("value", value, 0, 100, low_open=True)
    x, y = windows(2000, True, seed=2)
    return score(np.clip(y, value * x.min(1), value * x.max(1)), y)["nmse"]


def ntk_features(x: np.ndarray, logits: str) -> np.ndarray:
    """d (softmax(logits) . x) / d (weights of the logits) at zero logits, (count, m).

    own        logit_j = w_j x_j          (x_j - mean) x_j / L, even
    query      logit_j = u x_L x_j        the sum over j of x_L x_j (x_j - mean) / L, odd but one number
    positions  logit_j = b_j              (x_j - mean) / L, odd, and enough
    """
    validate.one_of("logits", logits, ("own", "query", "positions"))
    centred = (x - x.mean(1, keepdims=True)) / x.shape[1]
    if logits == "own":
        return centred * x
    return centred if logits == "positions" else (centred * x).sum(1, keepdims=True) * x[:, -1:]


# -- trained models --------------------------------------------------------------------------------------------------


class Heads(nn.Module):
    """Sum over m heads of v_h times the softmax average of the window; logits w_h x_L x_j + b_hj, b without positions 0."""

    def __init__(self, heads: int, positions: bool, frozen: bool = False):
        super().__init__()
        self.w = nn.Parameter(torch.randn(heads))
        self.b = nn.Parameter(torch.randn(heads, WINDOW) * 0.1, requires_grad=positions)
        if not positions:
            nn.init.zeros_(self.b)
        values = torch.ones(heads) if heads == 1 else torch.randn(heads)
        self.v = nn.Parameter(torch.sign(values) / math.sqrt(heads) if frozen else values, requires_grad=not frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.w[:, None] * (x[:, -1:] * x)[:, None] + self.b  # (B, m, L)
        return (logits.softmax(-1) * x[:, None]).sum(-1) @ self.v


class Block(nn.Module):
    """Ordinary attention: 4 heads, width 32, learned positions, read at the last token; `residual` adds x_L to the forecast."""

    def __init__(self, residual: bool, width: int = 32):
        super().__init__()
        self.embed = nn.Linear(1, width)
        self.place = nn.Parameter(torch.randn(WINDOW, width) * 0.5)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.read = nn.Linear(width, 1)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x.unsqueeze(-1)) + self.place
        out = self.read(self.attention(h[:, -1:], h, h, need_weights=False)[0]).flatten()
        return out + x[:, -1] if self.residual else out


MODELS = {
    "1 head": lambda: Heads(1, True),
    "2 heads": lambda: Heads(2, True),
    "8 heads": lambda: Heads(8, True),
    "64 frozen heads, no positions": lambda: Heads(64, False, frozen=True),
    "512 frozen heads, no positions": lambda: Heads(512, False, frozen=True),
    "4-head block with positions": lambda: Block(False),
    "4-head block and residual": lambda: Block(True),
}


def trained(name: str, seed: int = 0, steps: int = 1500, batch: int = 128) -> dict:
    """Scores on sign changes, and `train_nmse`, of a model trained on windows without them."""
    validate.one_of("model", name, MODELS)
    validate.integer("steps", steps, 1, 100_000)
    torch.manual_seed(seed)
    model = MODELS[name]()
    x, y = (torch.from_numpy(part).float() for part in windows(4000, False, seed=1))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / steps))
        chosen = torch.randint(len(x), (batch,), generator=generator)
        loss = (model(x[chosen]) - y[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    flips, wanted = windows(2000, True, seed=2)
    with torch.no_grad():
        result = score(model(torch.from_numpy(flips).float()).numpy(), wanted)
        return result | {"train_nmse": score(model(x).numpy(), y.numpy())["nmse"], "seed": seed}


def experiment() -> dict:
    """Linear models, lemmas, and every trained model with two seeds."""
    x, y = windows(2000, True, seed=2)
    return {
        "persistence": score(persistence(x), y),
        "linear_residual": residual_forecast(),
        "recurrence": score(exact_forecast(x), y),
        "hull": {str(v): hull_nmse(v) for v in (0.5, 1.0)},
        "parity": {name: least_squares(lambda x, name=name: ntk_features(x, name)) for name in ("own", "query", "positions")},
        "trained": {name: [trained(name, seed) for seed in (0, 1)] for name in MODELS},
        "seeds": 2,
    }
