"""The raster-order baseline: caching changes no logit, pairs counted are the closed form, and a small bench."""

import pytest
import torch

from var_mini.config import TransformerConfig
from var_mini.cost import raster
from var_mini.cost.ladder import official_like
from var_mini.cost.raster import Counter, RasterModel, VarModel, bench_raster

from . import schemas

SHAPE = TransformerConfig(depth=2, width=16, heads=2, head_dim=8, num_classes=3, shared_adaln=True, scale_init=2.0)


@torch.no_grad()
def woken(model):
    """Fresh weights gate most of a block to nearly nothing; larger ones make every token matter."""
    generator = torch.Generator().manual_seed(0)
    for p in (model.blocks if isinstance(model, RasterModel) else model.model).parameters():
        if p.ndim > 1:
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model


@torch.no_grad()
def test_raster_order_with_a_cache_is_raster_order_without():
    model = woken(RasterModel(4, SHAPE, vocab=20))
    kept, ids, counters = [[], []], [], (Counter(), Counter())
    for i, cached in enumerate((False, True)):
        ids.append(model.draw(cached, counters[i], kept[i]))
    assert torch.equal(*ids) and len(ids[0].unique()) > 2
    torch.testing.assert_close(torch.cat(kept[0], 1), torch.cat(kept[1], 1), atol=1e-4, rtol=1e-4)
    assert counters[0].pairs == sum(query for step in range(1, 17) for query in range(1, step + 1))
    assert counters[1].pairs == sum(range(1, 17))


@torch.no_grad()
def test_var_with_a_cache_is_var_without():
    model = woken(VarModel(official_like(5), SHAPE, vocab=20))
    kept, counters = [[], []], (Counter(), Counter())
    first, second = (model.draw("exact", cached, counters[i], kept[i]) for i, cached in enumerate((False, True)))
    assert torch.equal(first, second) and len(first.unique()) > 2
    torch.testing.assert_close(torch.cat(kept[0], 1), torch.cat(kept[1], 1), atol=1e-4, rtol=1e-4)
    ends = [s.stop for s in model.pyramid.slices]
    assert counters[1].pairs == model.pyramid.block_causal_mask().sum()
    assert counters[0].pairs == sum(end * end for end in ends)  # each step computes the whole prefix anew


def test_a_small_bench(monkeypatch):
    monkeypatch.setattr(raster, "ENOUGH_SECONDS", 0.0)
    result = bench_raster(sides=(4, 6, 8))
    schemas.check("raster", result)
    assert len(result["rows"]) == 3 * 6 and {e["method"] for e in result["exponents"]} == set(raster.METHODS)
    for row in result["rows"]:
        assert row["steps"] == (row["side"] ** 2 if row["method"].startswith("raster") else official_like(row["side"]).num_scales)
        assert row["pairs_counted"] == row["pairs"]
    by = {(r["side"], r["method"]): r["seconds"] for r in result["rows"]}
    assert result["speedup_vs_cached_raster"]["8"] == by[8, "raster-cached"] / by[8, "var-cached"]


def test_a_row_that_would_take_too_long_is_left_out_and_says_so(monkeypatch):
    monkeypatch.setattr(raster, "ENOUGH_SECONDS", 0.0)
    result = bench_raster(sides=(4, 12), methods=("raster", "raster-cached", "var-cached"), row_seconds=0.3)
    row = next(r for r in result["rows"] if (r["side"], r["method"]) == (12, "raster"))
    assert row["seconds"] is None and row["note"].startswith("left out")
    schemas.check("raster", result)


def test_bad_input_is_named_and_threads_are_put_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="side = 3: must be a whole number from 4 to 64"):
        bench_raster(sides=(3,))
    with pytest.raises(ValueError, match="method = 'fast': must be one of"):
        bench_raster(sides=(4,), methods=("fast",))
    assert torch.get_num_threads() == before
