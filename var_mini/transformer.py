"""The VAR transformer: it predicts all tokens of a scale at once from all coarser scales.

Mirrors VAR (arXiv 2404.02905, section 3.1), down to the parameter names of the published weights. What differs between training
and inference (mask or state, which back end) is an argument. tests/test_transformer.py computes the same pass in NumPy.

Shapes: B images, L tokens, n tokens of one scale, C width, H heads, d head dimension, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttentionSpec, AttentionState, BackEnds, Observer, SelfAttention, attend_through, has_masked_pass, masked
from .attention.model import ModuleListOf
from .config import TransformerConfig
from .initial import initialise
from .precision import Linear
from .pyramid import ScalePyramid


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """AdaLN: (1 + scale) * layer_norm(x) + shift."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), scale + 1)


def add_gated(x: Tensor, gamma: Tensor, h: Tensor) -> Tensor:
    """x + gamma * h, faster than as two operations, and never rounded to 16 bits in between."""
    return torch.addcmul(x, h, gamma)


def ada_lin(width: int, parts: int) -> nn.Sequential:
    """Class embedding (B, C) -> the shifts, scales and gates of AdaLN, (B, parts * C)."""
    return nn.Sequential(nn.SiLU(), Linear(width, parts * width))


class FeedForward(nn.Module):
    """fc2(gelu(fc1(x)))."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        C, hidden = config.width, round(config.width * config.mlp_ratio)
        self.fc1, self.fc2 = Linear(C, hidden), Linear(hidden, C)

    def forward(self, x: Tensor) -> Tensor:
        h = x.to(self.fc1.weight.dtype)  # with 16-bit weights, what lies between the two products is 16-bit, too
        return self.fc2(F.gelu(self.fc1(h), approximate="tanh")).to(x.dtype)


class Block(nn.Module):
    """x = x + gamma1 * attention(modulate(x)); x = x + gamma2 * feed_forward(modulate(x))."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.attn, self.ffn = SelfAttention(config), FeedForward(config)
        self.drop = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        if config.shared_adaln:
            self.ada_gss = nn.Parameter(torch.randn(1, 1, 6, config.width) / config.width**0.5)
        else:
            self.ada_lin = ada_lin(config.width, 6)

    def forward(self, x: Tensor, condition: tuple[Tensor, ...], attend) -> Tensor:
        """x (B, n, C). `attend(q, k, v)` is the attention to use, with a mask or with a state behind it."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = condition
        x = add_gated(x, gamma1, self.drop(self.attn(modulate(x, shift1, scale1), attend)))
        return add_gated(x, gamma2, self.drop(self.ffn(modulate(x, shift2, scale2))))


@dataclass
class Conditioning:
    """All that depends on the class alone, computed once per image instead of once per scale."""

    start: Tensor  # (B, C), the class embedding, input of the first scale
    blocks: list[tuple[Tensor, ...]]  # per block: gamma1, gamma2, scale1, scale2, shift1, shift2, each (B, 1, C)
    head: tuple[Tensor, Tensor]  # scale, shift, each (B, 1, C)


class VAR(BackEnds):
    """p(r_1, ..., r_K) = prod_k p(r_k | r_1, ..., r_(k-1)) with r_k all tokens of scale k (equation 6)."""

    def __init__(self, config: TransformerConfig, pyramid: ScalePyramid, vocab_size: int, z_channels: int):
        super().__init__(config, pyramid)
        self.vocab_size, self.z_channels, C = vocab_size, z_channels, config.width
        self.word_embed = Linear(z_channels, C)
        self.class_emb = nn.Embedding(config.num_classes + 1, C)  # the last row is the null class
        if config.num_styles:
            self.style_emb = nn.Embedding(config.num_styles + 1, C)  # the last row is "any"
        self.pos_start = nn.Parameter(torch.empty(1, pyramid.counts[0], C))
        self.pos_1LC = nn.Parameter(torch.empty(1, pyramid.tokens, C))
        self.lvl_embed = nn.Embedding(pyramid.num_scales, C)
        if config.shared_adaln:
            self.shared_ada_lin = ada_lin(C, 6)
        self.blocks: ModuleListOf[Block] = ModuleListOf(Block(config) for _ in range(config.depth))
        self.head_nm = nn.ModuleDict({"ada_lin": ada_lin(C, 2)})
        self.head = Linear(C, vocab_size)
        initialise(self)

    # -- what both ways share ----------------------------------------------------------------------------------

    def condition(self, label: Tensor, added: Tensor | None = None) -> Conditioning:
        """label int64 (B,) from 0 to num_classes (the null class) -> what every block needs of it.

        A model with styles takes (B, 2), class and style, the style from 0 to num_styles ("any"); (B,) means any. `added` (B, C)
        is added to the class embedding: in training, what else is known of an image.
        """
        C, styles = self.config.width, self.config.num_styles
        if label.ndim == 2 and not styles:
            raise ValueError(f"label has shape {tuple(label.shape)}: must be (B,), for this model has no styles")
        label, style = label.unbind(1) if label.ndim == 2 else (label, torch.full_like(label, styles))
        start = self.class_emb(label) + self.style_emb(style) if styles else self.class_emb(label)  # (B, C)
        start = start if added is None else start + added
        if self.config.shared_adaln:
            shared = self.shared_ada_lin(start).view(-1, 1, 6, C)
            blocks = [(block.ada_gss + shared).unbind(2) for block in self.blocks]
        else:
            blocks = [block.ada_lin(start).view(-1, 1, 6, C).unbind(2) for block in self.blocks]
        return Conditioning(start, blocks, self.head_nm["ada_lin"](start).view(-1, 1, 2, C).unbind(2))

    def null_label(self, batch: int) -> Tensor:
        """The labels of guidance's other half: the null class, and any style; (B,) or (B, 2) as `condition` takes them."""
        classes, styles = self.config.num_classes, self.config.num_styles
        null = torch.tensor((classes, styles) if styles else classes)
        return null.expand(batch, *null.shape).clone()

    def start_tokens(self, condition: Conditioning) -> Tensor:
        """Input of the first scale without positions: the class embedding, (B, n_0, C)."""
        return condition.start.unsqueeze(1) + self.pos_start

    def positions(self) -> Tensor:
        """Level plus position embedding of every token, (1, L, C)."""
        return self.lvl_embed(self.pyramid.levels(self.pos_1LC.device)) + self.pos_1LC

    def logits(self, x: Tensor, condition: Conditioning) -> Tensor:
        """head(modulate(x)): (B, n, C) -> (B, n, V), in float32."""
        scale, shift = condition.head
        return self.head(modulate(x, shift, scale)).float()

    # -- training: all scales at once, behind a mask -------------------------------------------------------------

    def forward(
        self,
        label: Tensor,
        var_input: Tensor,
        attention: str | AttentionSpec = "exact",
        mask: Tensor | None = None,
        added: Tensor | None = None,
    ) -> Tensor:
        """Teacher-forced logits of all tokens at once, (B, L, V); `label` and `added` as in `condition`.

        var_input (B, L - n_0, Cvae) from `MultiScaleQuantizer.inputs_from_ids`, L tokens of all scales or of the coarsest ones.
        A token sees its own scale and all coarser ones; another `mask`, bool (L, L), shows what a wrong one would do. A back
        end that has no masked pass goes through its states, scale by scale, and takes no `mask`: ValueError.
        """
        first = self.pyramid.counts[0]
        L = var_input.shape[1] + first if var_input.ndim == 3 and var_input.shape[2] == self.z_channels else None
        if L not in [s.stop for s in self.pyramid.slices]:
            expected = f"(batch, {self.pyramid.tokens - first}, {self.z_channels}), or shorter by whole scales"
            raise ValueError(f"var_input has shape {tuple(var_input.shape)}: must be {expected}")
        spec = self.resolve(attention)
        if not has_masked_pass(spec):
            if mask is not None:
                raise ValueError(f"mask of shape {tuple(mask.shape)}: must be None, for attention {spec} has no masked pass")
            return self.forward_by_scale(label, var_input, spec, added=added)
        condition = self.condition(label, added)
        x = torch.cat([self.start_tokens(condition), self.word_embed(var_input)], dim=1) + self.positions()[:, :L]
        mask = self.pyramid.block_causal_mask(x.device)[:L, :L] if mask is None else mask
        for layer, (block, c) in enumerate(zip(self.blocks, condition.blocks)):
            a = self.calibration.of_layer(spec, layer)["coefficients"]
            x = block(x, c, partial(masked, spec, scale=block.attn.logit_scale(), mask=mask, coefficients=a))
        return self.logits(x, condition)

    # -- inference: one scale after another, through states ------------------------------------------------------

    def step(
        self,
        scale: int,
        var_input: Tensor | None,
        condition: Conditioning,
        states: list[AttentionState],
        observer: Observer | None = None,
    ) -> Tensor:
        """Logits (B, n_k, V) of one scale, given that all coarser ones are in `states`.

        var_input (B, n_k, Cvae) is the area-downsampled f_hat, None for the first scale. `observer(layer, state, q, k, v)` is
        told of every layer once it has attended; what it returns counts for nothing.
        """
        x = self.start_tokens(condition) if scale == 0 else self.word_embed(var_input)
        x = x + self.lvl_embed.weight[scale] + self.pos_1LC[:, self.pyramid.slices[scale]]
        for layer, (block, c, state) in enumerate(zip(self.blocks, condition.blocks, states)):
            x = block(x, c, partial(attend_through, layer, state, observer))
        return self.logits(x, condition)

    def forward_by_scale(
        self,
        label: Tensor,
        var_input: Tensor,
        attention: str | AttentionSpec = "exact",
        observer: Observer | None = None,
        reserve: bool | None = None,
        added: Tensor | None = None,
    ) -> Tensor:
        """The same logits, computed as generation does for every back end; `observer` as in `step`, `reserve` in `new_states`."""
        condition, counts = self.condition(label, added), self.pyramid.counts
        states = self.new_states(len(label), attention, reserve)
        inputs = [None, *var_input.split(counts[1 : self.pyramid.scales_in(var_input.shape[1] + counts[0])], dim=1)]
        return torch.cat([self.step(k, given, condition, states, observer) for k, given in enumerate(inputs)], dim=1)
