"""Lemmas about one head, checked with autograd and brute force; models that can and cannot forecast a change of sign."""

import math

import numpy as np
import pytest
import torch

from var_mini.theory import forecasting as f


@pytest.mark.parametrize("flips", [False, True])
def test_windows_obey_the_recurrence_and_their_signs_are_as_asked(flips):
    x, y = f.windows(300, flips)
    assert x.shape == (300, 6) and y.shape == (300,)
    assert np.allclose(y, 2 * math.cos(2 * math.pi / 24) * x[:, 5] - x[:, 4], atol=1e-12)
    assert ((np.sign(y) == np.sign(x[:, -1])) == (not flips)).all()
    if flips:
        assert ((x > 0).all(1) | (x < 0).all(1)).all()


def test_persistence_is_always_wrong_and_the_linear_residual_model_always_right():
    x, y = f.windows(500, True)
    assert f.score(f.persistence(x), y)["sign_accuracy"] == 0
    found = f.residual_forecast()
    assert found["nmse"] < 1e-10 and found["sign_accuracy"] == 1


def test_no_weights_of_one_head_beat_the_hull_and_with_a_positive_value_every_sign_is_wrong():
    """The lemma against random heads: softmax averages of random logits, all their forecasts."""
    x, y = f.windows(400, True)
    rng = np.random.default_rng(0)
    least = math.inf
    for value in (0.5, 1.0):
        for _ in range(20):
            logits = rng.normal(0, 10, x.shape)
            weights = np.exp(logits - logits.max(1, keepdims=True))
            forecast = value * (weights * x).sum(1) / weights.sum(1)
            scored = f.score(forecast, y)
            least = min(least, scored["nmse"] - f.hull_nmse(value))
            assert scored["sign_accuracy"] == 0
    assert least > -0.3  # other windows than hull_nmse's: their bounds differ by little
    clipped = f.score(0.5 * np.where(np.sign(y) > 0, x.max(1), x.min(1)), y)["nmse"]
    x2, y2 = f.windows(2000, True, seed=2)
    nearest = [min((0.5 * a - b) ** 2 for a in row) for row, b in zip(x2, y2)]  # the best corner of each hull
    assert f.hull_nmse(0.5) == pytest.approx(sum(nearest) / (y2**2).sum()) and clipped > 1


@pytest.mark.parametrize("logits", ["own", "query", "positions"])
def test_ntk_features_are_the_derivatives_at_zero_logits(logits):
    x, _ = f.windows(20, False)
    window = torch.from_numpy(x)
    weights = torch.zeros(1 if logits == "query" else 6, dtype=torch.float64, requires_grad=True)
    given = {"own": weights * window, "query": weights * window[:, -1:] * window, "positions": weights + 0 * window}[logits]
    out = (given.softmax(-1) * window).sum(-1)
    rows = [torch.autograd.grad(value, weights, retain_graph=True)[0] for value in out]
    assert np.allclose(torch.stack(rows).numpy(), f.ntk_features(x, logits), atol=1e-12)


def test_own_logits_give_even_features_and_positions_odd_ones():
    x, _ = f.windows(50, False)
    assert np.allclose(f.ntk_features(-x, "own"), f.ntk_features(x, "own"))
    assert np.allclose(f.ntk_features(-x, "positions"), -f.ntk_features(x, "positions"))
    assert f.least_squares(lambda x: f.ntk_features(x, "positions"))["sign_accuracy"] == 1
    assert f.least_squares(lambda x: f.ntk_features(x, "own"))["nmse"] > 1


def test_two_heads_with_exact_values_and_sharp_positions_forecast_exactly():
    model = f.Heads(2, True)
    with torch.no_grad():
        model.w.zero_()
        model.b.fill_(-50.0)
        model.b[0, 5] = model.b[1, 4] = 50.0
        model.v.copy_(torch.tensor(f.EXACT_VALUES))
        x, y = f.windows(200, True)
        assert np.allclose(model(torch.from_numpy(x).float()).numpy(), y, atol=1e-5)


def test_a_trained_head_with_a_positive_value_gets_every_change_of_sign_wrong_and_the_block_does_not():
    assert f.trained("1 head", steps=60)["sign_accuracy"] == 0
    assert f.trained("4-head block and residual", steps=300)["sign_accuracy"] > 0.8


@pytest.mark.parametrize("name", f.MODELS)
def test_every_model_can_be_trained(name):
    assert math.isfinite(f.trained(name, steps=2)["nmse"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.windows(0, True), "count = 0"),
        (lambda: f.ntk_features(np.ones((2, 6)), "keys"), "logits = 'keys': must be one of own, positions, query"),
        (lambda: f.trained("9 heads"), "model = '9 heads'"),
        (lambda: f.hull_nmse(0), "value = 0: must be a finite number above 0"),
        (lambda: f.windows(1 << 20, True), "the table of windows has .* numbers"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
