"""Attention of a finished run, replayed from its ids, against what the run itself captured."""

import pytest
import torch

from var_mini.analysis.inspection import attention_blocks, attention_row, attention_sum
from var_mini.config import Sampling


@pytest.mark.parametrize("attention", ["exact", "poly-2", "pool-2"])
@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_the_replay_is_the_run(tiny, attention, guidance):
    trace = tiny.trace(1, 5, Sampling(guidance=guidance), attention=attention, capture="full")
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    for scale, step in enumerate(trace.steps):
        token = step.side**2 - 1
        row = attention_row(tiny, ids, 1, scale, token, attention)
        assert torch.allclose(row, step.attention[0, :, :, token], atol=1e-5)
    blocks = attention_blocks(tiny, ids, 1, attention)
    table = tiny.trace(1, 5, Sampling(guidance=guidance), attention=attention, capture="blocks")
    for scale, step in enumerate(table.steps):
        assert torch.allclose(blocks[:, :, scale, : scale + 1], step.attention[0], atol=1e-5)
        assert (blocks[:, :, scale, scale + 1 :] == 0).all()
    assert torch.allclose(blocks.sum(-1), torch.ones(2, 2, 3), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 3}, "scale = 3: must be a whole number from 0 to 2"),
        ({"token": 4}, "token = 4: must be a whole number from 0 to 3"),
        ({"token": True}, "token = True"),
        ({"label": 3}, "label = 3"),
        ({"ids": torch.zeros(13, dtype=torch.long)}, r"ids have shape \(13,\): must be \(14,\)"),
        ({"ids": torch.full((14,), 24)}, "codes from 0 to 23"),
        ({"attention": "nonsense"}, "attention = 'nonsense'"),
    ],
)
def test_bad_input_names_the_value(tiny, change, message):
    good = {"ids": torch.zeros(14, dtype=torch.long), "label": 0, "scale": 1, "token": 0}
    with pytest.raises(ValueError, match=message):
        attention_row(tiny, **good | change)


def test_whole_numbers_count_as_such_however_a_browser_writes_them(tiny):
    ids = torch.zeros(14, dtype=torch.long)
    assert torch.equal(attention_row(tiny, ids, 0.0, 1.0, -0.0), attention_row(tiny, ids, 0, 1, 0))


@pytest.mark.parametrize("attention", ["exact", "poly-2"])
def test_one_head_s_numbers_are_the_row_s_and_add_up(tiny, attention):
    ids = torch.cat([step.token_ids[0] for step in tiny.trace(2, 6).steps])
    row = attention_row(tiny, ids, 2, 2, 5, attention)
    for layer in range(2):
        for head in range(2):
            found = attention_sum(tiny, ids, 2, 2, 5, layer, head, attention)
            assert torch.allclose(found.weights, row[layer, head], atol=1e-6)
            assert found.scale == pytest.approx(tiny.transformer.blocks[layer].attn.logit_scale().flatten()[head].item())
            if attention != "exact":
                assert found.logits is found.values is found.output is None  # there is no softmax to show
                continue
            shares = found.logits.double().exp()
            assert torch.allclose((shares / shares.sum()).float(), found.weights, atol=1e-6)
            assert found.logits.abs().max() <= found.scale * (1 + 1e-5)  # unit queries and keys
            total = sum(share * value for share, value in zip(found.weights.double(), found.values.double()))
            assert torch.allclose(total.float(), found.output, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "head", "message"), [(2, 0, "layer = 2: must be"), (0, 2, "head = 2"), (-1, 0, "layer"), (0, None, "head")]
)
def test_a_head_that_there_is_not_is_named(tiny, layer, head, message):
    with pytest.raises(ValueError, match=message):
        attention_sum(tiny, torch.zeros(14, dtype=torch.long), 0, 1, 0, layer, head)
