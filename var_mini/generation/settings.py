"""What a run depends on: one label, seed and style per image, and the settings that reproduce it as JSON values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from .. import validate
from ..attention import AttentionSpec
from ..config import ModelConfig, Sampling
from ..precision import DTYPES
from .sampling import MAX_SEED

MAX_BATCH = 1 << 16
Several = int | tuple[int, ...]  # of one image, or of each


def labels_and_seeds(label, seed, num_classes: int) -> tuple[list[int], list[int]]:
    """Labels and seeds, each a number, a list, or a tensor or array of them, as two lists of one length; one alone is repeated.

    Raises ValueError unless every label is a class, every seed is in range, and the lengths fit.
    """
    given = (_plain(label), _plain(seed))
    labels, seeds = ([_plain(v) for v in value] if isinstance(value, (list, tuple, range)) else [value] for value in given)
    batch = min(len(labels), len(seeds)) and max(len(labels), len(seeds))
    validate.integer("batch", batch, 1, MAX_BATCH)
    labels = [validate.integer("label", value, 0, num_classes - 1) for value in labels]
    seeds = [validate.integer("seed", value, 0, MAX_SEED) for value in seeds]
    labels, seeds = (given * batch if len(given) == 1 else given for given in (labels, seeds))
    if len(labels) != len(seeds):
        raise ValueError(f"label has {len(labels)} and seed has {len(seeds)} entries: must be equal, or one of them 1")
    return labels, seeds


def styles_per_image(style, batch: int, num_styles: int) -> list[int] | None:
    """Styles as a list of one per image, None standing for "any"; None for a model without styles.

    Raises ValueError unless each is one of the model's styles, and where a model without styles is given one.
    """
    style = _plain(style)
    styles = list(style) if isinstance(style, (list, tuple, range)) else [style] * batch  # one alone is for all
    if not num_styles:
        if any(value is not None for value in styles):
            raise ValueError(f"style = {validate.shown(style)}: must be None, for this model has no styles")
        return None
    styles = styles * batch if len(styles) == 1 else styles
    if len(styles) != batch:
        raise ValueError(f"style has {len(styles)} entries: must be one, or {batch} as label and seed have")
    return [num_styles if value is None else validate.integer("style", value, 0, num_styles) for value in styles]


def conditions(labels: list[int], styles: list[int] | None) -> torch.Tensor:
    """What the transformer is told of each image: int64 (B,), or (B, 2) with the style."""
    return torch.tensor(labels if styles is None else list(zip(labels, styles)))


def _plain(value):
    """A number or a list in place of a tensor of torch or an array of numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


@dataclass(frozen=True)
class RunSettings:
    """All that a run depends on, checked by whoever makes it; `to_dict` is what traces, links and the page hold of it."""

    name: str  # of the model
    label: Several
    seed: Several
    sampling: Sampling
    attention: AttentionSpec = field(default_factory=AttentionSpec)  # as asked for: it may be `auto`
    style: Several | None = None  # None for a model without styles, else from 0 to num_styles ("any")
    dtype: str = "float32"

    def to_dict(self) -> dict:
        """JSON values; style and dtype only where they say something."""
        label, seed, style = (list(v) if isinstance(v, tuple) else v for v in (self.label, self.seed, self.style))
        return {
            "model": self.name,
            "label": label,
            **({} if style is None else {"style": style}),
            "seed": seed,
            "guidance": self.sampling.guidance,
            "temperature": self.sampling.temperature,
            "top_k": self.sampling.top_k,
            "top_p": self.sampling.top_p,
            "attention": str(self.attention),
            **({} if self.dtype == "float32" else {"dtype": self.dtype}),
        }

    @classmethod
    def from_dict(cls, record: object, config: ModelConfig) -> RunSettings:
        """What `to_dict` made, for a model of this configuration. Raises ValueError naming what is missing or out of range."""
        if not isinstance(record, dict):
            raise ValueError(f"settings = {validate.shown(record)}: must be a JSON object")
        t = config.transformer

        def given(name: str, default: Any = None) -> Any:
            return record.get(name, default)

        return cls(
            name=given("model"),
            label=_each("class", given("label"), t.num_classes - 1),
            seed=_each("seed", given("seed"), MAX_SEED),
            sampling=Sampling(given("guidance"), given("temperature"), given("top_k"), given("top_p")),
            attention=AttentionSpec.parse(given("attention", "exact")),
            style=checked_style(config, given("style")),
            dtype=validate.one_of("dtype", given("dtype", "float32"), DTYPES),
        )


def of_one_image(settings: RunSettings) -> RunSettings:
    """The settings as they are. Raises ValueError where they are of several images."""
    for name, called in (("label", "class"), ("seed", "seed"), ("style", "style")):
        value = getattr(settings, name)
        if isinstance(value, tuple):
            raise ValueError(f"{called} = {validate.shown(list(value))}: must be one number, for the run of one image")
    return settings


def checked_style(config: ModelConfig, style) -> Several | None:
    """The style of a run, where None stands for any; None for a model without styles. Raises ValueError."""
    styles = config.transformer.num_styles
    if not styles and style is not None:
        raise ValueError(f"style = {validate.shown(style)}: {config.name} has no styles")
    return (styles or None) if style is None else _each("style", style, styles)


def _each(name: str, value, largest: int) -> Several:
    if isinstance(value, list) and value:
        return tuple(validate.integer(name, one, 0, largest) for one in value)
    return validate.integer(name, value, 0, largest)
