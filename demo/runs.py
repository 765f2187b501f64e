"""Runs drawn here, kept for a while: what a click on a token, an export or a comparison needs of them.

A run is a pure function of its settings, so one that was dropped is drawn again, nothing is kept per visitor, and nothing gets
in that was not drawn here: what visitors send never answers anybody else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from var_mini import checkpoints, validate
from var_mini.attention import AttentionSpec
from var_mini.config import ModelConfig, Sampling
from var_mini.generation import ScaleStep, Trace
from var_mini.generation.sampling import MAX_SEED

from . import backend, models, wording

KEPT = 32  # runs, and no more of them than fit into
KEPT_BYTES = 24_000_000


@dataclass(frozen=True)
class Settings:
    """All that a run depends on, checked."""

    name: str  # of the model, as the page offers it
    label: int
    seed: int
    sampling: Sampling
    attention: AttentionSpec
    style: int | None = None  # None for a model without styles, else from 0 to num_styles ("any")

    @property
    def condition(self) -> torch.Tensor:
        """What the transformer is told, for one image: int64 (1,), or (1, 2) with the style."""
        return torch.tensor([self.label] if self.style is None else [[self.label, self.style]])

    @property
    def subject(self) -> str:
        """The class in words, with the style where one was asked for."""
        config = self.config
        named = self.style is not None and self.style < config.transformer.num_styles
        return config.class_name(self.label) + (f" ({config.style_name(self.style)})" if named else "")

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
    )


def checked_style(config: ModelConfig, style) -> int | None:
    """A style from the browser, where nothing stands for any; None for a model without styles. Raises ValueError."""
    styles = config.transformer.num_styles
    if not styles and style is not None:
        raise ValueError(f"style = {validate.shown(style)}: {config.name} has no styles")
    return (styles or None) if style is None else validate.integer("style", style, 0, styles)


def checked_seed(seed) -> int:
    """A seed from the browser, where an emptied field sends nothing."""
    if seed is None:
        raise ValueError(wording.text("seed_empty", largest=MAX_SEED))
    return validate.integer("seed", seed, 0, MAX_SEED)


def from_record(record) -> Settings:
    """Settings from a run's own record of them, as traces, links and the browser give it. Raises ValueError as `checked` does."""
    if not isinstance(record, dict):
        raise ValueError(f"settings = {validate.shown(record)}: must be a JSON object")
    name, config = record.get("model"), models.offered_config(record.get("model"))
    return Settings(
        name,
        validate.integer("class", record.get("label"), 0, config.transformer.num_classes - 1),
        validate.integer("seed", record.get("seed"), 0, MAX_SEED),
        Sampling(*(record.get(key) for key in ("guidance", "temperature", "top_k", "top_p"))),
        backend.supported(name, config, AttentionSpec.parse(record.get("attention", "exact"))),
        checked_style(config, record.get("style")),
    )


def checked_ids(config: ModelConfig, ids) -> list[torch.Tensor]:
    """Token maps from the browser, a list of codes per scale -> int64 (n_k,) each. Raises ValueError where they do not fit."""
    counts, codes = config.pyramid.counts, config.tokenizer.vocab_size
    if not isinstance(ids, list) or [len(part) if isinstance(part, list) else None for part in ids] != list(counts):
        raise ValueError(f"ids = {validate.shown(ids)}: must be {len(counts)} lists of {', '.join(map(str, counts))} codes")
    return [torch.tensor([validate.integer("code", code, 0, codes - 1) for code in part]) for part in ids]


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
    return Trace(record(settings), steps)


def record(settings: Settings) -> dict:
    """The JSON values that reproduce a run on this page; see `from_record`."""
    s = settings.sampling
    return {
        "model": settings.name,
        "label": settings.label,
        **({} if settings.style is None else {"style": settings.style}),
        "seed": settings.seed,
        "guidance": s.guidance,
        "temperature": s.temperature,
        "top_k": s.top_k,
        "top_p": s.top_p,
        "attention": str(settings.attention),
    }
