"""What calibration on training images gives a model: landmarks and fitted coefficients, one table for all layers and heads."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import nn

from .. import validate
from .spec import AttentionSpec


class Tables(TypedDict):
    """The tables of one layer."""

    landmarks: torch.Tensor | None  # (H, m, d)
    coefficients: torch.Tensor | None  # (H, g + 1)


class Calibration(nn.Module):
    """Tables of one transformer. They move with its weights, but are no part of its state dict.

    landmarks[m]     (depth, H, m, d), unit vectors, for `landmark-m`
    coefficients[g]  (depth, H, g + 1), for `poly-g-calibrated`
    """

    def __init__(self, depth: int, heads: int, head_dim: int):
        super().__init__()
        self.depth, self.heads, self.head_dim = depth, heads, head_dim
        self.landmarks: dict[int, torch.Tensor] = {}
        self.coefficients: dict[int, torch.Tensor] = {}

    def set_landmarks(self, table: torch.Tensor) -> None:
        """Keeps a table (depth, H, m, d), beside those of other m. Raises ValueError unless it fits the model."""
        m = table.shape[2] if table.ndim == 4 else 0
        if tuple(table.shape) != (self.depth, self.heads, m, self.head_dim):
            wanted = f"({self.depth}, {self.heads}, m, {self.head_dim})"
            raise ValueError(f"landmarks have shape {tuple(table.shape)}: must be {wanted}")
        AttentionSpec("landmark", landmarks=m)  # checks m
        self.landmarks[m] = table.detach().float()

    def set_coefficients(self, table: torch.Tensor) -> None:
        """Keeps a table (depth, H, g + 1), beside those of other degrees. Raises ValueError unless it fits the model."""
        degree = table.shape[-1] - 1
        if tuple(table.shape) != (self.depth, self.heads, degree + 1):
            wanted = f"({self.depth}, {self.heads}, degree + 1)"
            raise ValueError(f"coefficients have shape {tuple(table.shape)}: must be {wanted}")
        AttentionSpec("poly", degree=degree)  # checks the degree
        self.coefficients[degree] = table.detach().float()

    def clear(self) -> None:
        """Forgets all tables, as they fit no other weights."""
        self.landmarks.clear()
        self.coefficients.clear()

    def check(self, spec: AttentionSpec) -> None:
        """Raises ValueError where `spec` needs a table that is not here."""
        if spec.method == "landmark":
            tables, number, kind = self.landmarks, spec.landmarks, "{} landmarks"
        elif spec.calibrated:
            tables, number, kind = self.coefficients, spec.degree, "coefficients of degree {}"
        else:
            return
        if number not in tables:
            has = "has " + kind.format(validate.listed(sorted(tables))) if tables else "has not been calibrated"
            raise ValueError(
                f"attention = {str(spec)!r}: this model {has}; `python -m var_mini train landmarks --model FOLDER` makes them"
            )

    def of_layer(self, spec: AttentionSpec, layer: int) -> Tables:
        """What `new_state` takes by the names of the tables: those of one layer, None where `spec` needs none."""
        landmarks = self.landmarks[spec.landmarks][layer] if spec.method == "landmark" else None
        coefficients = self.coefficients[spec.degree][layer] if spec.calibrated else None
        return {"landmarks": landmarks, "coefficients": coefficients}

    def _apply(self, fn, recurse: bool = True) -> Calibration:
        """What `to` and its kind do to every tensor of a module."""
        for tables in (self.landmarks, self.coefficients):
            tables.update({number: fn(table) for number, table in tables.items()})
        return super()._apply(fn, recurse)
