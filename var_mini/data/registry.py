"""The data sets that have a name."""

from __future__ import annotations

from functools import partial

from .. import validate
from .fashion import fashion_is_here, load_fashion_mnist
from .images import ImageData
from .things import load_things

REGISTRY = {
    "fashion-mnist": load_fashion_mnist,
    "things": partial(load_things, 64),
    "things-32": partial(load_things, 32),
    "things-16": partial(load_things, 16),
}


def load(name: str) -> ImageData:
    """A data set of the registry by name. Raises ValueError where it is unknown or cannot be had."""
    return REGISTRY[validate.one_of("data", name, REGISTRY)]()


def is_here(name: str) -> bool:
    """Whether a data set is on this machine, so that `load` downloads nothing. Raises ValueError where it is unknown."""
    return validate.one_of("data", name, REGISTRY) != "fashion-mnist" or fashion_is_here()
