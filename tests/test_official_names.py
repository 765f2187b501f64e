"""Names and shapes of the published weights, written from the description of the official code and not from ours."""

import math
from types import SimpleNamespace

import pytest
import torch

from var_mini import checkpoints
from var_mini.config import ModelConfig, TokenizerConfig, TransformerConfig
from var_mini.model import Model

BUFFERS = {"lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV"}
SIDES_256, SIDES_512 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16), (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)
FILES = ("vae_ch160v4096z32.pth", "var_d16.pth")


class Names(dict):
    """{name: shape} with one method per kind of layer of the official code."""

    def tensor(self, name, *shape):
        assert name not in self
        self[name] = shape

    def layer(self, name, *shape):
        self.tensor(f"{name}.weight", *shape)
        self.tensor(f"{name}.bias", shape[0])

    def res_block(self, name, a, b):
        self.layer(f"{name}.norm1", a)
        self.layer(f"{name}.conv1", b, a, 3, 3)
        self.layer(f"{name}.norm2", b)
        self.layer(f"{name}.conv2", b, b, 3, 3)
        if a != b:
            self.layer(f"{name}.nin_shortcut", b, a, 1, 1)

    def attention(self, name, c):
        self.layer(f"{name}.norm", c)
        self.layer(f"{name}.qkv", 3 * c, c, 1, 1)
        self.layer(f"{name}.proj_out", c, c, 1, 1)

    def middle(self, name, c):
        self.res_block(f"{name}.block_1", c, c)
        self.attention(f"{name}.attn_1", c)
        self.res_block(f"{name}.block_2", c, c)


def tokenizer_names(ch=160, mult=(1, 1, 2, 2, 4), res_blocks=2, z=32, V=4096, scales=10, phi=4, colours=3) -> dict:
    """The state dict of the official VQVAE, its buffer included."""
    names, top = Names(), len(mult) - 1
    names.layer("encoder.conv_in", ch, colours, 3, 3)
    width = ch
    for i, m in enumerate(mult):
        for j in range(res_blocks):
            names.res_block(f"encoder.down.{i}.block.{j}", width, ch * m)
            width = ch * m
            if i == top:
                names.attention(f"encoder.down.{i}.attn.{j}", width)
        if i < top:
            names.layer(f"encoder.down.{i}.downsample.conv", width, width, 3, 3)
    names.middle("encoder.mid", width)
    names.layer("encoder.norm_out", width)
    names.layer("encoder.conv_out", z, width, 3, 3)
    names.layer("decoder.conv_in", width, z, 3, 3)
    names.middle("decoder.mid", width)
    for i in range(top, -1, -1):  # from the lowest resolution up; index 0 is the finest
        for j in range(res_blocks + 1):
            names.res_block(f"decoder.up.{i}.block.{j}", width, ch * mult[i])
            width = ch * mult[i]
            if i == top:
                names.attention(f"decoder.up.{i}.attn.{j}", width)
        if i > 0:
            names.layer(f"decoder.up.{i}.upsample.conv", width, width, 3, 3)
    names.layer("decoder.norm_out", width)
    names.layer("decoder.conv_out", colours, width, 3, 3)
    names.layer("quant_conv", z, z, 3, 3)
    names.layer("post_quant_conv", z, z, 3, 3)
    names.tensor("quantize.embedding.weight", V, z)
    for i in range(phi):
        names.layer(f"quantize.quant_resi.qresi_ls.{i}", z, z, 3, 3)
    names.tensor("quantize.ema_vocab_hit_SV", scales, V)
    return dict(names)


def transformer_names(
    depth=16, width=None, heads=None, classes=1000, sides=SIDES_256, z=32, V=4096, shared=False, l2=True
) -> dict:
    """The state dict of the official VAR, its buffers included. Width 64 * depth and as many heads as blocks by default."""
    names, C, H, L = Names(), width or 64 * depth, heads or depth, sum(s * s for s in sides)
    names.tensor("pos_start", 1, sides[0] ** 2, C)
    names.tensor("pos_1LC", 1, L, C)
    names.tensor("lvl_1L", 1, L)
    names.tensor("attn_bias_for_masking", 1, 1, L, L)
    names.layer("word_embed", C, z)
    names.tensor("class_emb.weight", classes + 1, C)
    names.tensor("lvl_embed.weight", len(sides), C)
    if shared:
        names.layer("shared_ada_lin.1", 6 * C, C)
    for i in range(depth):
        block = f"blocks.{i}"
        if l2:
            names.tensor(f"{block}.attn.scale_mul_1H11", 1, H, 1, 1)
        for bias in ("q_bias", "v_bias", "zero_k_bias"):
            names.tensor(f"{block}.attn.{bias}", C)
        names.tensor(f"{block}.attn.mat_qkv.weight", 3 * C, C)
        names.layer(f"{block}.attn.proj", C, C)
        names.layer(f"{block}.ffn.fc1", 4 * C, C)
        names.layer(f"{block}.ffn.fc2", C, 4 * C)
        if shared:
            names.tensor(f"{block}.ada_gss", 1, 1, 6, C)
        else:
            names.layer(f"{block}.ada_lin.1", 6 * C, C)
    names.layer("head_nm.ada_lin.1", 2 * C, C)
    names.layer("head", V, C)
    return dict(names)


def without_buffers(names: dict) -> dict:
    return {name: value for name, value in names.items() if name.split(".")[-1] not in BUFFERS}


def size(names: dict) -> int:
    return sum(math.prod(shape) for shape in without_buffers(names).values())


def shapes(module) -> dict:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def random_state(names: dict) -> dict:
    """A state dict of random values, the buffers as the official code saves them: levels int64, the mask with -inf."""
    generator = torch.Generator().manual_seed(len(names))
    state = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in names.items()}
    if "lvl_1L" in state:
        state["lvl_1L"] = torch.zeros(names["lvl_1L"], dtype=torch.int64)
        state["attn_bias_for_masking"] = torch.full(names["attn_bias_for_masking"], -torch.inf)
    return state


def small(shared=False, l2=True) -> SimpleNamespace:
    """The published layout at a size that fits a test: our configuration of it, and both state dicts by file name."""
    tokenizer = TokenizerConfig(patch_nums=(1, 2), vocab_size=24, z_channels=4, channels=32)
    transformer = TransformerConfig(2, 64, 1, 64, num_classes=5, shared_adaln=shared, attn_l2_norm=l2)
    names = (
        tokenizer_names(ch=32, z=4, V=24, scales=2),
        transformer_names(2, 64, 1, classes=5, sides=(1, 2), z=4, V=24, shared=shared, l2=l2),
    )
    states = {file: random_state(each) for file, each in zip(FILES, names, strict=True)}
    return SimpleNamespace(config=ModelConfig("var_d16", tokenizer, transformer), states=states)


def test_the_generator_agrees_with_the_published_numbers():
    tokenizer, d16 = tokenizer_names(), transformer_names()
    assert len(without_buffers(tokenizer)) + 1 == len(tokenizer) == 324 and size(tokenizer) == 108_948_355
    assert size(d16) == 310_283_520
    assert d16["blocks.15.ada_lin.1.weight"] == (6144, 1024) and d16["blocks.0.ffn.fc2.weight"] == (1024, 4096)
    assert d16["pos_1LC"] == (1, 680, 1024) and d16["head_nm.ada_lin.1.bias"] == (2048,)


@pytest.mark.parametrize(
    ("name", "options"),
    [("var_d16", {}), ("var_d20", {"depth": 20}), ("var_d36", {"depth": 36, "sides": SIDES_512, "shared": True})],
)
def test_our_models_have_the_published_names_and_shapes(name, options):
    with torch.device("meta"):
        model = Model.build(checkpoints.official_config(name))
    assert shapes(model.tokenizer) == without_buffers(tokenizer_names())
    assert shapes(model.transformer) == without_buffers(transformer_names(**options))
    assert sum(p.numel() for p in model.tokenizer.parameters()) == 108_948_355
    if name == "var_d16":
        assert sum(p.numel() for p in model.transformer.parameters()) == 310_283_520


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("options", [{}, {"shared": True}, {"l2": False}], ids=["adaln", "shared adaln", "no l2"])
def test_published_files_are_loaded(monkeypatch, tmp_path, options, legacy):
    published = small(**options)
    monkeypatch.setattr(checkpoints, "official_config", lambda name: published.config)
    for file, state in published.states.items():
        torch.save(state, tmp_path / file, _use_new_zipfile_serialization=not legacy)
    model = checkpoints.load_official("var_d16", tmp_path)
    for module, state in zip((model.tokenizer, model.transformer), published.states.values(), strict=True):
        wanted, loaded = without_buffers(state), module.state_dict()
        assert loaded.keys() == wanted.keys()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
    steps = list(model.generate(4, 0))
    assert len(steps) == 2 and steps[-1].image.shape == (1, 3, 32, 32) and steps[-1].image.isfinite().all()
