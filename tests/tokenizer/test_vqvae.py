"""Shapes, independence of images in a batch, and refusal of wrong images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY_TOKENIZER
from var_mini.config import TokenizerConfig
from var_mini.tokenizer import VQVAE


def test_published_tokenizer_has_its_published_size():
    with torch.device("meta"):
        model = VQVAE(TokenizerConfig())
    assert sum(p.numel() for p in model.parameters()) == 108_948_355
    assert len(model.state_dict()) + 1 == 324  # the published file also carries a usage counter


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize(("stem", "mult"), [(1, (1, 2)), (2, (1, 2)), (4, (2,)), (1, (1, 1, 2))])
def test_shapes_for_every_way_of_downsampling(stem, mult, attention):
    config = replace(TINY_TOKENIZER, stem=stem, channel_mult=mult, attention=attention, image_channels=3)
    model = VQVAE(config)
    assert config.downsampling == stem * 2 ** (len(mult) - 1)
    image = torch.rand(2, 3, config.image_size, config.image_size) * 2 - 1
    result = model.tokenize(image)
    assert [ids.shape for ids in result.token_ids] == [(2, 1), (2, 4), (2, 9)]
    assert model.decode(result.f_hat[-1]).shape == image.shape


def test_images_of_a_batch_do_not_touch_each_other(tiny, tiny_images):
    together = tiny.tokenizer.tokenize(tiny_images)
    alone = tiny.tokenizer.tokenize(tiny_images[1:2])
    for a, b in zip(together.token_ids, alone.token_ids, strict=True):
        assert torch.equal(a[1:2], b)


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(1, 1, 12, 11),
        torch.zeros(1, 3, 12, 12),
        torch.zeros(1, 12, 12),
        torch.zeros(0, 1, 12, 12),
        torch.zeros(1, 1, 12, 12, dtype=torch.uint8),
        np.zeros((1, 1, 12, 12), np.float32),
        None,
        torch.full((1, 1, 12, 12), torch.nan),
        torch.full((1, 1, 12, 12), torch.inf),
    ],
    ids=["width", "channels", "ndim", "empty", "uint8", "numpy", "none", "nan", "inf"],
)
def test_a_wrong_image_is_refused(tiny, bad):
    with pytest.raises(ValueError, match="image has"):
        tiny.tokenizer.encode(bad)


@pytest.mark.parametrize(
    "change",
    [
        {"norm_groups": 3},
        {"vocab_size": 1},
        {"channel_mult": ()},
        {"phi_ratio": float("nan")},
        {"z_channels": "16"},
        {"beta": -1},
    ],
    ids=str,
)
def test_a_wrong_configuration_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(TINY_TOKENIZER, **change)
