"""Numbers of masks and memory against brute force: cells counted one by one, bytes of states that really exist."""

from __future__ import annotations

import json

import pytest
import torch

from tests.conftest import TINY_TOKENIZER
from var_mini.config import ModelConfig, TokenizerConfig, TransformerConfig
from var_mini.model import Model
from var_mini.pyramid import ScalePyramid
from var_mini.view.memory import memory

SIDES = (1, 2, 3, 5, 7)
SHAPE = TransformerConfig(depth=2, width=32, heads=3, head_dim=8, num_classes=3)


def test_pairs_are_the_cells_of_the_mask_one_by_one():
    pyramid = ScalePyramid(SIDES)
    level = [k for k, side in enumerate(SIDES) for _ in range(side * side)]
    rows = [0] * len(SIDES)
    for i in range(len(level)):
        for j in range(len(level)):
            rows[level[i]] += level[j] <= level[i]
    numbers = memory(pyramid, SHAPE, "exact")
    assert numbers["tokens"] == len(level) and numbers["pairs"] == sum(rows)
    assert [s["queries"] * s["keys"] for s in numbers["scales"]] == rows


@pytest.mark.parametrize("name", ["exact", "poly-2", "poly-4", "pool-2", "pool-4", "landmark-16", "local-9", "budget-16"])
def test_bytes_are_those_of_the_states_themselves(name):
    pyramid = ScalePyramid(SIDES)
    model = Model.build(_config(SHAPE)).transformer
    model.set_landmarks(torch.nn.functional.normalize(torch.randn(2, 3, 16, 8), dim=-1))
    states, caches = model.new_states(1, name), model.new_states(1, "exact")
    numbers = memory(pyramid, SHAPE, name)
    for scale in numbers["scales"]:
        k = torch.nn.functional.normalize(torch.randn(1, 3, scale["queries"], 8), dim=-1)
        for state in (*states, *caches):
            state.extend(k, k)
            state.attend(k)  # where a budget is kept
        assert scale["state_bytes"] == sum(state.state_bytes for state in states)
        assert scale["cache_bytes"] == sum(state.state_bytes for state in caches)
        assert scale["state_rows"] == states[0].rank


def _config(shape: TransformerConfig):

    tokenizer = TokenizerConfig.from_dict({**TINY_TOKENIZER.__dict__, "patch_nums": SIDES})
    return ModelConfig("five scales", tokenizer, shape)


def test_where_the_state_becomes_the_smaller_one():
    wide = TransformerConfig(depth=16, width=1024, heads=16, head_dim=64)
    # 2,145 x 65 numbers against 128 a token: only above 1,089 tokens
    published = [ScalePyramid((1, 2, 3, 4, 5, 6, 8, 10, 13, 16)), ScalePyramid((1, 2, 3, 4, 6, 9, 13, 18, 24, 32))]
    assert [memory(p, wide, "poly-2")["smaller_from"] for p in published] == [None, 8]
    assert memory(published[0], wide, "exact")["smaller_from"] is None
    assert memory(ScalePyramid(SIDES), SHAPE, "poly-2")["smaller_from"] == 3  # 45 x 9 numbers against 16 a token


def test_numbers_are_json_and_bad_names_are_refused():
    assert json.loads(json.dumps(memory(ScalePyramid(SIDES), SHAPE, "pool-2")))["constant"] is False
    with pytest.raises(ValueError, match="attention = 'auto'"):
        memory(ScalePyramid(SIDES), SHAPE, "auto")
    with pytest.raises(ValueError, match="features"):
        memory(ScalePyramid(SIDES), TransformerConfig(), "poly-4")
