"""Did the model copy? The training images nearest to a drawn one, by root-mean-square pixel distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .. import checkpoints, validate
from .. import data as datasets
from ..data import ImageData, to_unit
from ..generation import Trace


@dataclass(frozen=True)
class Neighbours:
    """The k nearest training images of B drawn ones, nearest first."""

    images: torch.Tensor  # uint8 (B, k, channels, S, S)
    distances: torch.Tensor  # (B, k), root mean square, where black to white is 2
    indices: torch.Tensor  # int64 (B, k), into the training images
    names: list[list[str]]  # what each shows, where the data set knows


def nearest(trace: Trace, k: int = 5, data: ImageData | None = None) -> Neighbours:
    """The `k` training images nearest to each final image of a run.

    `data` is what the model was trained on; by default the data set named in the configuration of the run's model. Raises
    ValueError where that cannot be had, or does not fit the images.
    """
    if data is None:
        config = checkpoints.load_config(trace.settings.get("model", ""))
        if config.data not in datasets.REGISTRY:
            raise ValueError(
                f"data set of the model = {config.data!r}: must be one of {validate.listed(datasets.REGISTRY)}, or be given"
            )
        data = datasets.load(config.data)
    k = validate.integer("k", k, 1, len(data.train_images))
    shape, own = tuple(trace.image.shape[1:]), tuple(data.train_images.shape[1:])
    if shape != own:
        raise ValueError(f"images of shape {shape}: must be {own}, as in data set {data.name}")
    distances, indices = nearest_images(trace.image * 2 - 1, to_unit(data.train_images), k)
    known = data.train_names or tuple(data.class_names[label] for label in data.train_labels.tolist())
    names = [[known[i] for i in row] for row in indices.tolist()]
    return Neighbours(data.train_images[indices], distances, indices, names)


def nearest_images(
    images: torch.Tensor, reference: torch.Tensor, k: int = 1, block: int = 500
) -> tuple[torch.Tensor, torch.Tensor]:
    """Root-mean-square distances (N, k) and indices (N, k) of the k nearest reference images: (N, ...), (M, ...)."""
    reference = reference.flatten(1)
    squares = reference.square().sum(1)
    distances, indices = [], []
    for x in images.flatten(1).split(block):
        found = (squares[:, None] - reference @ (2 * x.T)).topk(k, dim=0, largest=False)
        distances.append((found.values + x.square().sum(1)).clamp(min=0).T)
        indices.append(found.indices.T)
    return (torch.cat(distances) / reference.shape[1]).sqrt(), torch.cat(indices)
