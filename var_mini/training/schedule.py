"""How long and how fast to train, and which examples a step sees: all of it known from the step's number."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from .. import validate


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    batch_size: int  # over all processes together
    lr: float  # peak learning rate of AdamW
    muon_lr: float = 0.0  # peak learning rate of Muon for hidden matrices; 0 = AdamW for all
    warmup: int = 200
    final_lr: float = 0.02  # share of the peak reached at the end (cosine)
    weight_decay: float = 0.05
    clip: float = 2.0
    ema: float = 0.999
    seed: int = 0
    log_every: int = 50
    early_steps: int = 0  # so many first steps take early_batch examples each instead
    early_batch: int = 1
    full_every: int = 0  # among them every so-manieth one is as the later ones are; 0: none is

    def __post_init__(self) -> None:
        validate.integer("steps", self.steps, 1, 10**9)
        validate.integer("batch_size", self.batch_size, 1, 1 << 20)
        validate.integer("early_steps", self.early_steps, 0, self.steps)
        validate.integer("early_batch", self.early_batch, 1, 1 << 20)
        validate.integer("full_every", self.full_every, 0, 1 << 20)
        validate.integer("seed", self.seed, 0, 2**32 - 1)
        validate.number("lr", self.lr, 0, 10, low_open=True)
        validate.number("ema", self.ema, 0, 1)

    def rate(self, step: int) -> float:
        """Share of the peak learning rate at a step: linear warm-up, then cosine."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def is_early(self, step: int) -> bool:
        """Whether a step is one of the early ones."""
        full = self.full_every and step % self.full_every == self.full_every - 1
        return step < self.early_steps and not full

    def changed(self, steps: int | None = None, batch_size: int | None = None, lr: float | None = None) -> Schedule:
        """Other steps, batch or learning rate; the early steps and their batch change in proportion, and so does Muon's rate."""
        new = self
        if steps is not None:
            new = replace(new, steps=steps, early_steps=self.early_steps * steps // self.steps)
        if batch_size is not None:
            new = replace(new, batch_size=batch_size, early_batch=max(1, self.early_batch * batch_size // self.batch_size))
        return new if lr is None else replace(new, lr=lr, muon_lr=self.muon_lr * lr / self.lr)

    def batch_at(self, step: int) -> int:
        """How many examples a step takes."""
        return self.early_batch if self.is_early(step) else self.batch_size

    def indices_at(self, step: int, count: int) -> torch.Tensor:
        """Which of `count` examples a step sees. Early steps and the others go through epochs of their own, each without gaps."""
        early = self._early_before(step)
        if self.is_early(step):
            return batch_indices(early, count, self.early_batch, self.seed + 1)
        return batch_indices(step - early, count, self.batch_size, self.seed)

    def examples(self, steps: int, count: int) -> int:
        """How many the first steps take together, out of `count` examples."""
        early = self._early_before(steps)
        return early * min(self.early_batch, count) + (steps - early) * min(self.batch_size, count)

    def _early_before(self, step: int) -> int:
        """How many of the steps before `step` are early ones."""
        early = min(step, self.early_steps)
        return early - (early // self.full_every if self.full_every else 0)


def batch_indices(step: int, count: int, batch_size: int, seed: int) -> torch.Tensor:
    """The images of batch number `step`: every epoch is a permutation of its own, known without replaying the run."""
    batch_size = min(batch_size, count)
    per_epoch = count // batch_size
    epoch, place = divmod(step, per_epoch)
    return _order(count, seed * 1_000_003 + epoch)[place * batch_size : (place + 1) * batch_size]


@lru_cache(maxsize=2)
def _order(count: int, seed: int) -> torch.Tensor:
    """One epoch's permutation, which takes longer to draw than a whole step on a GPU."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
