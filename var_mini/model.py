"""Model: a tokenizer and a transformer that belong together, with their configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .attention import AttentionSpec
from .config import ModelConfig
from .generation import Sampling, ScaleStep, Trace, generate, normalise, normalise_styles, sample_images
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

    def to(self, device: torch.device | str) -> Model:
        self.tokenizer.to(device)
        self.transformer.to(device)
        return self

    def num_parameters(self) -> int:
        """Number of parameters of both parts."""
        return sum(p.numel() for part in (self.tokenizer, self.transformer) for p in part.parameters())

    def generate(self, label, seed, sampling: Sampling | None = None, **options) -> Iterator[ScaleStep]:
        """See `generation.generate`; `sampling` defaults to the model's own settings."""
        return generate(self.tokenizer, self.transformer, label, seed, sampling or self.config.sampling, **options)

    def trace_settings(
        self, label, seed, sampling: Sampling | None = None, attention: str | AttentionSpec = "exact", style=None
    ) -> dict:
        """The JSON values that reproduce a run of this model. Raises ValueError as `generate` does."""
        s, t = sampling or self.config.sampling, self.config.transformer
        labels, seeds = normalise(label, seed, t.num_classes)
        styles = normalise_styles(style, len(labels), t.num_styles)
        label, seed = (values if len(values) > 1 else values[0] for values in (labels, seeds))
        with_style = {} if styles is None else {"style": styles if len(styles) > 1 else styles[0]}
        return {
            "model": self.config.name,
            "label": label,
            **with_style,
            "seed": seed,
            "guidance": s.guidance,
            "temperature": s.temperature,
            "top_k": s.top_k,
            "top_p": s.top_p,
            "attention": str(AttentionSpec.parse(attention)),
        }

    def trace(
        self, label, seed, sampling: Sampling | None = None, attention: str | AttentionSpec = "exact", style=None, **options
    ) -> Trace:
        """Runs `generate` to its end and keeps the settings that reproduce it."""
        steps = self.generate(label, seed, sampling, attention=attention, style=style, **options)
        return Trace(self.trace_settings(label, seed, sampling, attention, style), list(steps))

    def sample_images(self, label: list[int], seed: list[int], sampling: Sampling | None = None, **options) -> torch.Tensor:
        """Only the final images, float (N, channels, S, S) in [0, 1]."""
        return sample_images(self.tokenizer, self.transformer, label, seed, sampling or self.config.sampling, **options)
