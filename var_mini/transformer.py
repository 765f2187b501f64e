"""The VAR transformer: it predicts all tokens of a scale at once from all coarser scales.

Mirrors VAR (arXiv 2404.02905, section 3.1 and appendix): AdaLN blocks conditioned on the class, attention with unit
queries and keys times a learned scale per head. Parameter names are those of the published weights, so that they
load without a translation table. Nothing on these modules is switched by a flag: what differs between training and
inference (mask or state, which back end) is an argument.

Shapes: B images, L tokens, n tokens of one scale, C width, H heads, d head dimension, V codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from . import validate
from .attention import AttentionSpec, AttentionState, choose, has_masked_pass, masked, new_state
from .config import TransformerConfig
from .precision import Linear
from .pyramid import ScalePyramid

NORM_EPS = 1e-6


@dataclass
class Conditioning:
    """All that depends on the class alone, computed once per image instead of once per scale."""

    start: torch.Tensor  # (B, C), the class embedding, input of the first scale
    blocks: list[tuple[torch.Tensor, ...]]  # per block: gamma1, gamma2, scale1, scale2, shift1, shift2, each (B, 1, C)
    head: tuple[torch.Tensor, torch.Tensor]  # scale, shift, each (B, 1, C)


class SelfAttention(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        C, A = config.width, config.attention_width
        self.mat_qkv = Linear(C, 3 * A, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(A))  # keys have no bias
        self.v_bias = nn.Parameter(torch.zeros(A))
        self.proj = Linear(A, C)
        if config.attn_l2_norm:
            start = math.log(config.scale_init)
            self.scale_mul_1H11 = nn.Parameter(torch.full((1, config.heads, 1, 1), start))

    def logit_scale(self) -> torch.Tensor:
        """s of every head, (H,): the logit is s * (q . k), and |logit| <= s where q and k are unit vectors."""
        if self.config.attn_l2_norm:
            return self.scale_mul_1H11.clamp(max=math.log(self.config.scale_cap)).exp().flatten()
        return self.q_bias.new_full((self.config.heads,), self.config.plain_scale)

    def qkv(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x (B, n, C) -> q, k, v, each (B, H, n, d); q and k are unit vectors in the L2 variant."""
        B, n, _ = x.shape
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = self.mat_qkv(x, bias).view(B, n, 3, self.config.heads, self.config.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).float().unbind(0)  # float32 where autocast made bfloat16
        if self.config.attn_l2_norm:
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        return q, k, v

    def merge(self, out: torch.Tensor) -> torch.Tensor:
        """Attention output (B, H, n, d) -> (B, n, C)."""
        return self.proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        hidden = round(config.width * config.mlp_ratio)
        self.fc1 = Linear(config.width, hidden)
        self.fc2 = Linear(hidden, config.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.to(self.fc1.weight.dtype)  # 16-bit weights: what lies between the two products is 16-bit, too
        return self.fc2(F.gelu(self.fc1(h), approximate="tanh")).to(x.dtype)


class Block(nn.Module):
    """x += attention(AdaLN(x)) * gamma1; x += feed_forward(AdaLN(x)) * gamma2."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        C = config.width
        self.attn = SelfAttention(config)
        self.ffn = FeedForward(config)
        self.dropout = config.dropout
        if config.shared_adaln:
            self.ada_gss = nn.Parameter(torch.randn(1, 1, 6, C) / C**0.5)
        else:
            self.ada_lin = nn.Sequential(nn.SiLU(), Linear(C, 6 * C))

    def forward(self, x: torch.Tensor, condition: tuple[torch.Tensor, ...], attend) -> torch.Tensor:
        """x (B, n, C). `attend(q, k, v)` is the attention to use, with a mask or with a state behind it."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = condition
        C = x.shape[-1:]
        h = torch.addcmul(shift1, F.layer_norm(x, C, eps=NORM_EPS), scale1 + 1)
        x = torch.addcmul(x, self._drop(self.attn.merge(attend(*self.attn.qkv(h)))), gamma1)
        h = torch.addcmul(shift2, F.layer_norm(x, C, eps=NORM_EPS), scale2 + 1)
        return torch.addcmul(x, self._drop(self.ffn(h)), gamma2)

    def _drop(self, h: torch.Tensor) -> torch.Tensor:
        return F.dropout(h, self.dropout, self.training) if self.dropout else h


class HeadNorm(nn.Module):
    """Holds the AdaLN projection before the head: class embedding -> (scale, shift)."""

    def __init__(self, width: int):
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), Linear(width, 2 * width))


class VAR(nn.Module):
    """Predicts token logits scale by scale."""

    def __init__(self, config: TransformerConfig, pyramid: ScalePyramid, vocab_size: int, z_channels: int):
        super().__init__()
        self.config, self.pyramid = config, pyramid
        self.vocab_size, self.z_channels = vocab_size, z_channels
        C = config.width
        self.word_embed = Linear(z_channels, C)
        self.class_emb = nn.Embedding(config.num_classes + 1, C)  # the last row is the null class
        if config.num_styles:
            self.style_emb = nn.Embedding(config.num_styles + 1, C)  # the last row is "any"
        self.pos_start = nn.Parameter(torch.empty(1, pyramid.counts[0], C))
        self.pos_1LC = nn.Parameter(torch.empty(1, pyramid.tokens, C))
        self.lvl_embed = nn.Embedding(pyramid.num_scales, C)
        if config.shared_adaln:
            self.shared_ada_lin = nn.Sequential(nn.SiLU(), Linear(C, 6 * C))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_nm = HeadNorm(C)
        self.head = Linear(C, vocab_size)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Start weights for training: residual branches and head begin small as in VAR, gates at about a half."""
        std = math.sqrt(1 / self.config.width / 3)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        tables = [self.pos_start, self.pos_1LC, self.class_emb.weight, self.lvl_embed.weight]
        for table in tables + ([self.style_emb.weight] if self.config.num_styles else []):
            nn.init.trunc_normal_(table, std=std)
        self.head.weight.mul_(0.02)
        self.head_nm.ada_lin[1].weight.mul_(0.5)
        C = self.config.width
        for block in self.blocks:
            block.attn.proj.weight.div_(math.sqrt(2 * self.config.depth))
            block.ffn.fc2.weight.div_(math.sqrt(2 * self.config.depth))
            if self.config.shared_adaln:
                block.ada_gss[:, :, 2:].mul_(0.5)
                block.ada_gss[:, :, :2].mul_(0.1).add_(0.5)  # gates start open enough to learn quickly
            else:
                block.ada_lin[1].weight[2 * C :].mul_(0.5)
                block.ada_lin[1].weight[: 2 * C].mul_(0.1)
                block.ada_lin[1].bias[: 2 * C].fill_(0.5)

    # -- pieces ------------------------------------------------------------------------------------------------

    def condition(self, label: torch.Tensor) -> Conditioning:
        """label int64 (B,) from 0 to num_classes (the null class) -> what every block needs of it.

        A model with styles takes (B, 2), class and style, the style from 0 to num_styles ("any"); without one it is any.
        """
        if label.ndim == 2 and not self.config.num_styles:
            raise ValueError(f"label has shape {tuple(label.shape)}: must be (B,), for this model has no styles")
        label, style = label.unbind(1) if label.ndim == 2 else (label, torch.full_like(label, self.config.num_styles))
        start = self.class_emb(label)  # (B, C)
        if self.config.num_styles:
            start = start + self.style_emb(style)
        if self.config.shared_adaln:
            shared = self.shared_ada_lin(start).view(-1, 1, 6, self.config.width)
            blocks = [(block.ada_gss + shared).unbind(2) for block in self.blocks]
        else:
            blocks = [block.ada_lin(start).view(-1, 1, 6, self.config.width).unbind(2) for block in self.blocks]
        scale, shift = self.head_nm.ada_lin(start).view(-1, 1, 2, self.config.width).unbind(2)
        return Conditioning(start, blocks, (scale, shift))

    def null_label(self, batch: int) -> torch.Tensor:
        """The labels of guidance's other half: the null class, and any style; (B,) or (B, 2) as `condition` takes them."""
        c = self.config
        null = torch.tensor((c.num_classes, c.num_styles) if c.num_styles else c.num_classes)
        return null.expand(batch, *null.shape).clone()

    def positions(self) -> torch.Tensor:
        """Level plus position embedding of every token, (1, L, C)."""
        return self.lvl_embed(self.pyramid.levels(self.pos_1LC.device)) + self.pos_1LC

    def start_tokens(self, condition: Conditioning) -> torch.Tensor:
        """Input of the first scale without positions: the class embedding, (B, n_0, C)."""
        return condition.start.unsqueeze(1) + self.pos_start

    def logits(self, x: torch.Tensor, condition: Conditioning) -> torch.Tensor:
        """(B, n, C) -> (B, n, V), in float32."""
        scale, shift = condition.head
        h = torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), scale + 1)
        return self.head(h).float()

    # -- attention back ends ---------------------------------------------------------------------------------------

    def set_landmarks(self, landmarks: torch.Tensor) -> None:
        """Keeps calibrated landmarks (depth, H, m, d) for `landmark-m`; several m may be kept side by side."""
        c = self.config
        m = landmarks.shape[2] if landmarks.ndim == 4 else 0
        wanted = (c.depth, c.heads, m, c.head_dim)
        if tuple(landmarks.shape) != wanted:
            raise ValueError(f"landmarks have shape {tuple(landmarks.shape)}: must be ({c.depth}, {c.heads}, m, {c.head_dim})")
        AttentionSpec("landmark", landmarks=m)  # checks m
        self._keep(f"landmarks_{m}", landmarks)

    def set_coefficients(self, coefficients: torch.Tensor) -> None:
        """Keeps calibrated coefficients (depth, H, g + 1) for `poly-g-calibrated`."""
        c = self.config
        degree = coefficients.shape[-1] - 1
        if tuple(coefficients.shape) != (c.depth, c.heads, degree + 1):
            raise ValueError(f"coefficients have shape {tuple(coefficients.shape)}: must be ({c.depth}, {c.heads}, degree + 1)")
        AttentionSpec("poly", degree=degree)  # checks the degree
        self._keep(f"coefficients_{degree}", coefficients)

    def _keep(self, name: str, tensor: torch.Tensor) -> None:
        """As a buffer that moves with the weights but is no part of the state dict."""
        self.register_buffer(name, tensor.detach().to(self.pos_1LC.device, torch.float32), persistent=False)

    def calibrated(self, kind: str) -> dict[int, torch.Tensor]:
        """What `set_landmarks` or `set_coefficients` kept, by m or by degree; `kind` is "landmarks" or "coefficients"."""
        found = {name: tensor for name, tensor in self.named_buffers(recurse=False) if name.startswith(f"{kind}_")}
        return {int(name.rpartition("_")[2]): found[name] for name in found}

    def resolve(self, attention: str | AttentionSpec) -> tuple[AttentionSpec, str]:
        """The definite back end behind a name, and for `auto` the reason for the choice in words.

        Raises ValueError where the name is unknown, a parameter is out of range, or this model lacks what the method needs.
        """
        spec, reason = AttentionSpec.parse(attention), "asked for"
        landmarks = self.calibrated("landmarks")
        if spec.method == "auto":
            bound = max(block.attn.logit_scale().max().item() for block in self.blocks)
            bound = bound if self.config.attn_l2_norm else math.inf
            spec, reason = choose(self.pyramid.tokens, self.config.head_dim, bound, sorted(landmarks))
        spec.rank(self.config.head_dim)
        missing = (spec.method == "landmark" and spec.landmarks not in landmarks) or (
            spec.calibrated and spec.degree not in self.calibrated("coefficients")
        )
        if missing:
            has = f"has {validate.listed(sorted(landmarks))} landmarks" if landmarks else "has not been calibrated"
            raise ValueError(
                f"attention = {str(spec)!r}: this model {has}; `python -m var_mini train landmarks --model FOLDER` makes them"
            )
        return spec, reason

    # -- training ----------------------------------------------------------------------------------------------

    def forward(
        self,
        label: torch.Tensor,
        var_input: torch.Tensor,
        attention: str | AttentionSpec = "exact",
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Teacher-forced logits of all tokens at once, (B, L, V).

        label int64 (B,), or (B, 2) with styles; var_input (B, L - n_0, Cvae) from `MultiScaleQuantizer.teacher_forcing_input`.
        L counts the tokens of all scales, or of the coarsest ones. Inside a scale every token sees every other one and all
        coarser scales: the block-causal mask. A back end that has no masked pass goes through its states, scale by scale.
        Another `mask`, bool (L, L), shows what a wrong one would do.
        """
        first = self.pyramid.counts[0]
        L = var_input.shape[1] + first if var_input.ndim == 3 and var_input.shape[2] == self.z_channels else None
        if L not in [s.stop for s in self.pyramid.slices]:
            expected = f"(batch, {self.pyramid.tokens - first}, {self.z_channels}), or shorter by whole scales"
            raise ValueError(f"var_input has shape {tuple(var_input.shape)}: must be {expected}")
        spec, _ = self.resolve(attention)
        if not has_masked_pass(spec):
            return self.forward_by_scale(label, var_input, spec)
        condition = self.condition(label)
        x = torch.cat([self.start_tokens(condition), self.word_embed(var_input)], dim=1) + self.positions()[:, :L]
        mask = self.pyramid.block_causal_mask(x.device)[:L, :L] if mask is None else mask
        coefficients = self.calibrated("coefficients").get(spec.degree)
        for layer, (block, c) in enumerate(zip(self.blocks, condition.blocks)):
            scale = block.attn.logit_scale()
            a = coefficients[layer] if spec.calibrated else None

            def attend(q, k, v, scale=scale, a=a):
                # on a CPU the fused kernel is several times slower backwards in bfloat16 than in float32
                with torch.autocast("cpu", enabled=False):
                    return masked(spec, q, k, v, scale, mask, a)

            x = block(x, c, attend)
        return self.logits(x, condition)

    def forward_by_scale(
        self, label: torch.Tensor, var_input: torch.Tensor, attention: str | AttentionSpec = "exact", watch=None
    ) -> torch.Tensor:
        """The same logits as `forward`, computed as generation does: through running states, one scale after another.

        Differentiable for every back end; `watch` as in `step`.
        """
        condition = self.condition(label)
        states = self.new_states(len(label), attention)
        scales = self.pyramid.scales_in(var_input.shape[1] + self.pyramid.counts[0])
        inputs = [None, *var_input.split(self.pyramid.counts[1:scales], dim=1)]
        return torch.cat([self.step(k, given, condition, states, watch) for k, given in enumerate(inputs)], dim=1)

    # -- inference ---------------------------------------------------------------------------------------------

    def new_states(
        self, batch: int, attention: str | AttentionSpec = "exact", reserve: bool | None = None
    ) -> list[AttentionState]:
        """One empty attention state per block, for `batch` sequences; `reserve` as in `attention.new_state`."""
        validate.integer("batch", batch, 1, 1 << 20)
        spec, _ = self.resolve(attention)
        landmarks = self.calibrated("landmarks").get(spec.landmarks)
        coefficients = self.calibrated("coefficients").get(spec.degree)
        return [
            new_state(
                spec,
                batch,
                block.attn.logit_scale(),
                self.config.head_dim,
                self.pyramid.tokens,
                None if landmarks is None else landmarks[layer],
                None if coefficients is None else coefficients[layer],
                reserve,
            )
            for layer, block in enumerate(self.blocks)
        ]

    def step(
        self, scale: int, var_input: torch.Tensor | None, condition: Conditioning, states: list[AttentionState], watch=None
    ) -> torch.Tensor:
        """Logits (B, n_k, V) of one scale, given that all coarser ones are in `states`.

        var_input (B, n_k, Cvae) is the area-downsampled f_hat, None for the first scale. `watch(layer, state, q, k, v)`
        replaces `extend` and `attend` where somebody wants to time or capture them; it returns the attention output.
        """
        x = self.start_tokens(condition) if scale == 0 else self.word_embed(var_input)
        where = self.pyramid.slices[scale]
        x = x + self.lvl_embed.weight[scale] + self.pos_1LC[:, where]
        for layer, (block, c, state) in enumerate(zip(self.blocks, condition.blocks, states)):

            def attend(q, k, v, layer=layer, state=state):
                if watch is not None:
                    return watch(layer, state, q, k, v)
                state.extend(k, v)
                return state.attend(q)

            x = block(x, c, attend)
        return self.logits(x, condition)
