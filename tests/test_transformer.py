"""One pass with the training mask equals the step-by-step KV cache; shapes of the published models."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TRANSFORMER
from var_mini.analysis.parity import fill_by_rule
from var_mini.config import PATCH_NUMS_512, TransformerConfig
from var_mini.pyramid import ScalePyramid
from var_mini.transformer import VAR

VARIANTS = {
    "adaln": {},
    "shared adaln": {"shared_adaln": True},
    "plain attention": {"attn_l2_norm": False},
    "narrow attention, capped": {"head_dim": 4, "scale_cap": 2.0, "scale_init": 1.5},
}


def make(pyramid=(1, 2, 3), **change) -> VAR:
    model = VAR(replace(TINY_TRANSFORMER, **change), ScalePyramid(pyramid), vocab_size=24, z_channels=4)
    fill_by_rule(model)
    return model.eval()


def step_by_step(model, label, var_input):
    pyramid = model.pyramid
    condition, states = model.condition(label), model.new_states(len(label))
    parts, first = [], pyramid.counts[0]
    for k, where in enumerate(pyramid.slices):
        given = var_input[:, where.start - first : where.stop - first] if k else None
        parts.append(model.step(k, given, condition, states))
    return parts


@pytest.mark.parametrize("patch_nums", [(1, 2, 3), (1, 2, 3, 5, 7), (2, 3), (3,)], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_masked_pass_equals_the_cache_at_every_scale(variant, patch_nums):
    model = make(patch_nums, **VARIANTS[variant])
    label = torch.tensor([0, 2, 3])
    var_input = torch.randn(3, model.pyramid.tokens - model.pyramid.counts[0], 4)
    masked = model.pyramid.split(model(label, var_input))
    for ours, cached in zip(masked, step_by_step(model, label, var_input), strict=True):
        torch.testing.assert_close(ours, cached, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_logits_against_a_float64_loop(variant):
    """The whole forward pass once more, in numpy, from the formulas."""
    model = make(**VARIANTS[variant])
    label, var_input = torch.tensor([1]), torch.randn(1, 13, 4)
    w = {name: t.double().numpy() for name, t in model.state_dict().items()}
    c, C = model.config, model.config.width
    level = model.pyramid.levels().numpy()

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    emb = w["class_emb.weight"][1]
    words = var_input[0].double().numpy() @ w["word_embed.weight"].T + w["word_embed.bias"]
    x = np.concatenate([emb + w["pos_start"][0], words]) + w["lvl_embed.weight"][level] + w["pos_1LC"][0]
    for i in range(c.depth):
        p = f"blocks.{i}."
        if c.shared_adaln:
            six = (w["shared_ada_lin.1.weight"] @ silu(emb) + w["shared_ada_lin.1.bias"]).reshape(6, C) + w[p + "ada_gss"][0, 0]
        else:
            six = (w[p + "ada_lin.1.weight"] @ silu(emb) + w[p + "ada_lin.1.bias"]).reshape(6, C)
        gamma1, gamma2, scale1, scale2, shift1, shift2 = six
        h = norm(x) * (1 + scale1) + shift1
        bias = np.concatenate([w[p + "attn.q_bias"], 0 * w[p + "attn.q_bias"], w[p + "attn.v_bias"]])
        qkv = (h @ w[p + "attn.mat_qkv.weight"].T + bias).reshape(len(x), 3, c.heads, c.head_dim)
        heads = []
        for head in range(c.heads):
            q, k, v = qkv[:, 0, head], qkv[:, 1, head], qkv[:, 2, head]
            scale = 0.25 / np.sqrt(c.head_dim)
            if c.attn_l2_norm:
                q, k = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (q, k))
                scale = min(np.exp(w[p + "attn.scale_mul_1H11"][0, head, 0, 0]), c.scale_cap)
            weights = np.exp(scale * q @ k.T) * (level[:, None] >= level[None, :])
            heads.append(weights / weights.sum(1, keepdims=True) @ v)
        out = np.concatenate(heads, 1) @ w[p + "attn.proj.weight"].T + w[p + "attn.proj.bias"]
        x = x + out * gamma1
        h = gelu((norm(x) * (1 + scale2) + shift2) @ w[p + "ffn.fc1.weight"].T + w[p + "ffn.fc1.bias"])
        x = x + (h @ w[p + "ffn.fc2.weight"].T + w[p + "ffn.fc2.bias"]) * gamma2
    scale, shift = (w["head_nm.ada_lin.1.weight"] @ silu(emb) + w["head_nm.ada_lin.1.bias"]).reshape(2, C)
    logits = (norm(x) * (1 + scale) + shift) @ w["head.weight"].T + w["head.bias"]
    np.testing.assert_allclose(model(label, var_input)[0].numpy(), logits, atol=2e-5)


@pytest.mark.parametrize("attention", ["exact", "poly-2", "landmark-16"])
@torch.inference_mode()
def test_the_coarsest_scales_alone_give_the_same_logits(attention):
    model = make(**VARIANTS["narrow attention, capped"])
    model.set_landmarks(torch.nn.functional.normalize(torch.randn(model.config.depth, model.config.heads, 16, 4), dim=-1))
    label, var_input = torch.tensor([0, 2]), torch.randn(2, 13, 4)
    whole = model(label, var_input, attention)
    for tokens in (1, 5):
        part = model(label, var_input[:, : tokens - 1], attention)
        torch.testing.assert_close(part, whole[:, :tokens], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"var_input has shape \(2, 7, 4\): must be \(batch, 13, 4\), or shorter by whole"):
        model(label, var_input[:, :7], attention)


@pytest.mark.parametrize("attention", ["landmark-16", "pool-2", "local-9", "budget-4"])
@torch.inference_mode()
def test_a_mask_is_refused_where_there_is_no_masked_pass(attention):
    model = make(**VARIANTS["narrow attention, capped"])
    model.set_landmarks(torch.nn.functional.normalize(torch.randn(model.config.depth, model.config.heads, 16, 4), dim=-1))
    label, var_input = torch.tensor([0]), torch.randn(1, 13, 4)
    with pytest.raises(ValueError, match=rf"mask of shape \(14, 14\): must be None, for attention {attention} has no"):
        model(label, var_input, attention, torch.ones(14, 14, dtype=torch.bool))


@pytest.mark.parametrize("attention", ["exact", "poly-2", "landmark-16", "pool-2", "local-9", "budget-4"])
@torch.inference_mode()
def test_an_observer_is_told_of_every_layer_and_what_it_answers_changes_nothing(attention):
    model = make(**VARIANTS["narrow attention, capped"])
    model.set_landmarks(torch.nn.functional.normalize(torch.randn(model.config.depth, model.config.heads, 16, 4), dim=-1))
    label, var_input, told = torch.tensor([0, 2]), torch.randn(2, 13, 4), []

    def observer(layer, state, q, k, v):
        told.append((layer, q.shape[2], state.attend(q).shape[2]))  # the state has taken the keys in already
        return torch.full_like(q, torch.nan)

    plain = model.forward_by_scale(label, var_input, attention)
    assert torch.equal(model.forward_by_scale(label, var_input, attention, observer), plain)
    assert told == [(layer, n, n) for n in (1, 4, 9) for layer in range(model.config.depth)]


@torch.inference_mode()
def test_a_token_sees_its_own_scale_and_coarser_ones_only():
    model = make()
    label, var_input = torch.tensor([0]), torch.randn(1, 13, 4)
    before = model(label, var_input)
    changed = var_input.clone()
    changed[:, 4:] += 1  # input of the last scale
    after = model(label, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    changed = var_input.clone()
    changed[:, -1] += 1  # one token of the last scale: all tokens beside it notice
    assert (model(label, changed)[0, 5:] - before[0, 5:]).abs().amax(1).min() > 0


@pytest.mark.parametrize(
    ("config", "pyramid", "count"),
    [(TransformerConfig(), ScalePyramid((1, 2, 3, 4, 5, 6, 8, 10, 13, 16)), 310_283_520)],
)
def test_published_size(config, pyramid, count):
    with torch.device("meta"):
        model = VAR(config, pyramid, 4096, 32)
    assert sum(p.numel() for p in model.parameters()) == count


def test_shared_adaln_has_the_published_names():
    with torch.device("meta"):
        config = TransformerConfig(depth=2, width=128, heads=2, shared_adaln=True)
        names = set(VAR(config, ScalePyramid(PATCH_NUMS_512), 4096, 32).state_dict())
    assert {"shared_ada_lin.1.weight", "blocks.1.ada_gss", "head_nm.ada_lin.1.bias"} <= names
    assert not any("ada_lin" in n for n in names if n.startswith("blocks."))


def test_scale_is_capped_and_still_learns_below_the_cap():
    attention = make(scale_cap=2.0, scale_init=1.5).blocks[0].attn
    with torch.no_grad():
        attention.scale_mul_1H11.copy_(torch.tensor([np.log(1.5), 9.0]).view(1, 2, 1, 1))
    scale = attention.logit_scale()
    torch.testing.assert_close(scale, torch.tensor([1.5, 2.0]))
    scale.sum().backward()
    gradient = attention.scale_mul_1H11.grad.flatten()
    assert gradient[0] > 0 and gradient[1] == 0


def test_wrong_input_is_named():
    model = make()
    with pytest.raises(ValueError, match=r"must be \(batch, 13, 4\)"):
        model(torch.tensor([0]), torch.zeros(1, 12, 4))
    with pytest.raises(ValueError, match="attention = 'exakt': must be one of"):
        model(torch.tensor([0]), torch.zeros(1, 13, 4), "exakt")
    with pytest.raises(ValueError, match="batch = 0"):
        model.new_states(0)


@pytest.mark.parametrize(
    "change", [{"depth": 0}, {"head_dim": 1.5}, {"scale_init": 200.0}, {"class_drop": 2}, {"mlp_ratio": 0}], ids=str
)
def test_a_wrong_configuration_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(TINY_TRANSFORMER, **change)
