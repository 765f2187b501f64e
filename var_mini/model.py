"""Model: a tokenizer and a transformer that belong together, with their configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .attention import AttentionSpec
from .classes import find_class
from .config import ModelConfig
from .generation import (
    Record,
    RunSettings,
    Sampling,
    ScaleStep,
    Trace,
    generate,
    labels_and_seeds,
    sample_images,
    styles_per_image,
)
from .precision import convert, dtype_of
from .tokenizer import VQVAE
from .transformer import VAR


@dataclass
class Model:
    """What `checkpoints.load` returns and what draws images.

    model = load("fashion-28")
    for step in model.generate(label=7, seed=0):
        print(step.side, step.token_ids.shape)
    """

    config: ModelConfig
    tokenizer: VQVAE
    transformer: VAR

    @staticmethod
    def build(config: ModelConfig) -> Model:
        """An untrained model."""
        t = config.tokenizer
        return Model(config, VQVAE(t), VAR(config.transformer, t.pyramid, t.vocab_size, t.z_channels))

    def eval(self) -> Model:
        self.tokenizer.eval()
        self.transformer.eval()
        return self

    def to(self, device: torch.device | str, dtype: torch.dtype | str | None = None) -> Model:
        """Moves both parts; `dtype`, "bfloat16" or "float16", makes most weights 16-bit (see `precision`)."""
        for part in (self.tokenizer, self.transformer):
            if dtype is not None:
                convert(part, dtype_of(dtype))
            part.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer.pos_1LC.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights that may be 16-bit."""
        return self.transformer.head.weight.dtype

    def num_parameters(self) -> int:
        """Number of parameters of both parts."""
        return sum(p.numel() for part in (self.tokenizer, self.transformer) for p in part.parameters())

    def generate(
        self,
        label,
        seed,
        sampling: Sampling | None = None,
        style=None,
        attention: str | AttentionSpec = "exact",
        forced=None,
        implementation: str = "auto",
        **recorded,
    ) -> Iterator[ScaleStep]:
        """See `generation.generate`; `recorded` are the fields of its Record by name, such as `keep_logits=True`.

        `sampling` defaults to the model's own settings, and classes and styles may be names.
        """
        given = self._labels(label), seed, sampling or self.config.sampling, attention, Record(**recorded)
        others = {"forced": forced, "style": self._styles(style), "implementation": implementation}
        return generate(self.tokenizer, self.transformer, *given, **others)

    def trace_settings(
        self, label, seed, sampling: Sampling | None = None, attention: str | AttentionSpec = "exact", style=None
    ) -> dict:
        """The JSON values that reproduce a run of this model. Raises ValueError as `generate` does."""
        t, spec = self.config.transformer, AttentionSpec.parse(attention)
        labels, seeds = labels_and_seeds(self._labels(label), seed, t.num_classes)
        styles = styles_per_image(self._styles(style), len(labels), t.num_styles)
        each = _one_or_all(labels), _one_or_all(seeds), sampling or self.config.sampling
        dtype = str(self.dtype).removeprefix("torch.")
        return RunSettings(self.config.name, *each, spec, _one_or_all(styles) if styles else None, dtype).to_dict()

    def trace(
        self, label, seed, sampling: Sampling | None = None, attention: str | AttentionSpec = "exact", style=None, **options
    ) -> Trace:
        """Runs `generate` to its end and keeps the settings that reproduce it."""
        steps = self.generate(label, seed, sampling, attention=attention, style=style, **options)
        return Trace(self.trace_settings(label, seed, sampling, attention, style), list(steps))

    def sample_images(self, label, seed, sampling: Sampling | None = None, style=None, **options) -> torch.Tensor:
        """Only the final images, float (N, channels, S, S) in [0, 1]."""
        given = self._labels(label), seed, sampling or self.config.sampling
        return sample_images(self.tokenizer, self.transformer, *given, style=self._styles(style), **options)

    def _labels(self, label):
        """Labels with names of classes replaced by their numbers; all else is left to `labels_and_seeds`."""
        config = self.config

        def number(one):
            return find_class(one, config.class_names, config.transformer.num_classes, "label") if isinstance(one, str) else one

        return [number(one) for one in label] if isinstance(label, (list, tuple)) else number(label)

    def _styles(self, style):
        """The same of styles, "any" being None."""

        def number(one):
            return self.config.find_style(one) if isinstance(one, str) else one

        return [number(one) for one in style] if isinstance(style, (list, tuple)) else number(style)


def _one_or_all(values: list[int]) -> int | tuple[int, ...]:
    return tuple(values) if len(values) > 1 else values[0]
