"""`bench error`: drawing with every back end, and the bench itself on a shipped model."""

import statistics
from dataclasses import replace

import pytest
import torch

from var_mini import checkpoints, data
from var_mini.analysis.backends import bench_error, draw_with

from ..cost import schemas


def test_drawing_in_batches_is_drawing_at_once(calibrated_folder):
    model = checkpoints.load(calibrated_folder)
    whole, parts = (draw_with(model, "landmark-16", 7, batch_size) for batch_size in (100, 3))
    assert torch.equal(whole["tokens"], parts["tokens"]) and whole["images"].shape == (7, 1, 12, 12)
    assert (whole["rank"], whole["state_bytes"]) == (16, 2 * 2 * 16 * 9 * 4) == (parts["rank"], parts["state_bytes"])
    assert whole["attended"] == parts["attended"] == 7 * 2 * 2 * 3  # images, heads, layers, scales; no guidance
    single = model.trace(6 % 3, 6, attention="landmark-16")
    assert torch.equal(torch.cat([s.token_ids for s in single.steps], 1)[0], whole["tokens"][6])


@pytest.mark.slow
def test_the_bench_on_a_shipped_model(monkeypatch):
    """Few images: what is checked is that the figures fit together, not how good they are."""
    full = data.load("fashion-mnist")
    few = replace(
        full, train_images=full.train_images[:500], test_images=full.test_images[:60], test_labels=full.test_labels[:60]
    )
    monkeypatch.setattr(data, "load", lambda name: few)
    model = checkpoints.load("fashion-28")
    result = bench_error(model, samples=100, backends=("exact", "poly-2", "poly-4", "landmark-64"), calibration_images=20)
    schemas.check("error", result)
    assert set(result["backends"]) == {"exact", "poly-2", "landmark-64"}
    assert "C(16 + 4, 4) = 4,845" in result["left_out"]["poly-4"]
    exact, poly = result["backends"]["exact"], result["backends"]["poly-2"]
    assert exact["max_error"] == 0 and exact["token_agreement"] == 1 and exact["fallback_share"] == 0
    flat = [e for layer in poly["error"] for head in layer for e in head]
    assert len(flat) == 6 * 6 * 5 and poly["max_error"] == max(flat) and poly["median_error"] == statistics.median(flat)
    assert poly["rank"] == 153 and 0 < poly["token_agreement"] < 1
    assert result["backends"]["landmark-64"]["fallback_share"] > 0  # logits up to 11: far outside the regime


def test_bad_input_is_refused(tiny):
    with pytest.raises(ValueError, match="samples = 10: must be a whole number from 100"):
        bench_error(tiny, samples=10)
