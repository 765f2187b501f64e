"""Runs drawn here, kept for a while: what a click on a token, an export or a comparison needs of them.

A run is a pure function of its settings, so one that was dropped is drawn again, nothing is kept per visitor, and nothing gets
in that was not drawn here: what visitors send never answers anybody else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from var_mini import checkpoints, validate
from var_mini.analysis.best_of import Drawing, load_ranker, ranked, scores
from var_mini.attention import AttentionSpec
from var_mini.config import ModelConfig, Sampling
from var_mini.generation import RunSettings, ScaleStep, Trace
from var_mini.generation.sampling import MAX_SEED
from var_mini.generation.settings import checked_style, of_one_image

from . import backend, models, wording

KEPT = 32  # runs, and no more of them than fit into
KEPT_BYTES = 24_000_000


class Settings(RunSettings):
    """Those of one image, of a model by the name that the page offers."""

    @property
    def condition(self) -> torch.Tensor:
        """What the transformer is told, for one image: int64 (1,), or (1, 2) with the style."""
        return torch.tensor([self.label] if self.style is None else [[self.label, self.style]])

    @property
    def style_name(self) -> str:
        """The style by its name, or nothing where none was asked for."""
        named = self.style is not None and self.style < self.config.transformer.num_styles
        return self.config.style_name(self.style) if named else ""

    def subject(self, language: str) -> str:
        """The class in the visitor's language, with the style where one was asked for."""
        shown, style = wording.named(self.config.class_name(self.label), language), self.style_name
        return f"{shown} ({style})" if style else shown

    @property
    def config(self) -> ModelConfig:
        return checkpoints.load_config(self.name)


def checked(
    name,
    label,
    seed,
    guidance,
    temperature,
    top_k,
    top_p,
    method="exact",
    polynomial="2",
    landmarks=64,
    factor=2,
    style=None,
) -> Settings:
    """Settings from whatever the browser sends. Raises ValueError that names what is out of range."""
    config = models.offered_config(name)
    return Settings(
        name,
        validate.integer("class", label, 0, config.transformer.num_classes - 1),
        checked_seed(seed),
        Sampling(guidance, temperature, top_k, top_p),
        backend.checked(name, config, method, polynomial, landmarks, factor),
        checked_style(config, style),
        models.dtype(),
    )


def checked_seed(seed) -> int:
    """A seed from the browser, where an emptied field sends nothing."""
    if seed is None:
        raise ValueError(wording.text("seed_empty", largest=MAX_SEED))
    return validate.integer("seed", seed, 0, MAX_SEED)


def from_record(record) -> Settings:
    """Settings from a run's own record of them, as traces, links and the browser give it. Raises ValueError as `checked` does."""
    if not isinstance(record, dict):
        raise ValueError(f"settings = {validate.shown(record)}: must be a JSON object")
    config = models.offered_config(record.get("model"))
    found = of_one_image(Settings.from_dict(record, config))
    return replace(found, attention=backend.supported(found.name, config, found.attention), dtype=models.dtype())


def model_and_attention(record) -> tuple[str, ModelConfig, AttentionSpec]:
    """What a record says of these two, whatever the rest of it is. Raises ValueError."""
    if not isinstance(record, dict):
        raise ValueError(f"settings = {validate.shown(record)}: must be a JSON object")
    config = models.offered_config(record.get("model"))
    return record["model"], config, AttentionSpec.parse(record.get("attention"))


_RUNS: OrderedDict[Settings, list[ScaleStep]] = OrderedDict()
_LOCK = threading.Lock()


def draw(settings: Settings) -> Iterator[ScaleStep]:
    """The steps of a run as they are drawn; a whole one is kept."""
    loaded = models.load_model(settings.name)
    loaded.warm_up(settings.attention)
    steps = []
    how = {"attention": settings.attention, "style": settings.style}
    for step in loaded.model.generate(settings.label, settings.seed, settings.sampling, **how):
        steps.append(step)
        yield step
    with _LOCK:
        _RUNS[settings] = steps
        _RUNS.move_to_end(settings)
        while len(_RUNS) > KEPT or (len(_RUNS) > 1 and sum(map(size, _RUNS.values())) > KEPT_BYTES):
            _RUNS.popitem(last=False)


def drawings(settings: Settings, count: int) -> list[Drawing]:
    """What `count` seeds from theirs on draw, as the ranker likes it, best first. Raises ValueError without a ranker."""
    score = partial(scores, load_ranker(settings.config), conditions=settings.condition)
    how = {"attention": settings.attention, "style": settings.style}
    model = models.load_model(settings.name).model
    return ranked(model, score, settings.label, settings.seed, count, settings.sampling, **how)


def size(steps: list[ScaleStep]) -> int:
    """Bytes of a run's arrays."""
    return sum(value.nbytes for step in steps for value in vars(step).values() if isinstance(value, torch.Tensor))


def trace(settings: Settings) -> Trace:
    """The whole run, drawn again if it has been dropped."""
    with _LOCK:
        steps = _RUNS.get(settings)
        if steps is not None:
            _RUNS.move_to_end(settings)
    if steps is None:
        steps = list(draw(settings))
    return Trace(settings.to_dict(), steps)
