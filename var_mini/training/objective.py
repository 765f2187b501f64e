"""What a Trainer runs: a module that holds the model and tells its loss."""

from __future__ import annotations

from typing import Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class Objective(nn.Module, Generic[M]):
    """(step, *batch) -> (loss, metrics). `model` is what learns, is averaged and is saved; other parameters only learn."""

    model: M

    def __init__(self, model: M):
        super().__init__()
        self.model = model

    def after_step(self, step: int, accelerator) -> None:
        """What is to be done once the weights have changed; for most there is nothing."""
