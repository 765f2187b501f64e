"""The sweep for a page: every point comes, in bounded time, and a wish to stop is heard inside a point."""

import numpy as np
import pytest
import torch

from var_mini.cost import live
from var_mini.cost.fit import LEAST, WIDEST, fit_repeated, fit_upper
from var_mini.cost.live import Sweep, sweep


def test_every_point_is_measured_once_and_settles():
    asked = Sweep.checked("attention", 8, [12, 8], ["poly-2", "exact"])
    assert asked.sides == (8, 12) and asked.methods == ("exact", "poly-2")
    seen = [(p.done, p.finished, [row["rounds"] for row in p.rows]) for p in sweep(asked, 60)]
    assert [done for done, *_ in seen if done] == sorted(done for done, *_ in seen if done)
    assert {done for done, *_ in seen} == {1, 2, 3, 4}  # a yield after every point
    _, finished, rounds = seen[-1]
    assert finished and rounds == [live.ROUNDS] * 4


def test_rows_are_those_of_the_bench():
    *_, last = sweep(Sweep.checked("attention", 16, [8], ["exact", "poly-2"]), 60)
    exact, poly = last.rows
    tokens = sum(side * side for side in (1, 2, 3, 4, 6, 8))
    assert (exact["tokens"], poly["tokens"], exact["side"]) == (tokens, tokens, 8)
    assert exact["state_bytes"] == 6 * tokens * 2 * 16 * 4 and poly["state_bytes"] == 6 * 153 * 17 * 4
    assert all(row["median_s"] == np.median(row["times_s"]) > 0 and row["spread_s"] >= 0 for row in last.rows)


@pytest.mark.parametrize(("what", "method"), [("transformer", "exact-uncached"), ("raster", "raster"), ("raster", "var-cached")])
def test_the_other_kinds_run_too(what, method):
    state = torch.random.get_rng_state()
    *_, last = sweep(Sweep.checked(what, 8, [8], [method]), 60)
    assert last.finished and [row["method"] for row in last.rows] == [method]
    assert last.rows[0]["tokens"] == (64 if method == "raster" else 130)
    assert torch.equal(torch.random.get_rng_state(), state)  # a server's other work draws on undisturbed


def test_without_time_every_point_is_left_out():
    asked = Sweep.checked("attention", 8, [8, 12], ["exact", "poly-2"])
    *_, last = sweep(asked, 0.0)
    assert last.rows == [] and not last.finished and not last.stopped
    assert [(p["side"], p["method"]) for p in last.left_out] == [(s, m) for s in (8, 12) for m in ("exact", "poly-2")]


def test_a_point_that_will_not_fit_is_left_out_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(live, "growth", lambda what, method: 60 if method == "exact" else 2)
    *_, last = sweep(Sweep.checked("attention", 8, [8, 12], ["exact", "poly-2"]), 60)
    assert [(row["side"], row["method"]) for row in last.rows] == [(8, "exact"), (8, "poly-2"), (12, "poly-2")]
    assert last.finished and last.done == last.total == 4
    (left,) = last.left_out
    assert (left["side"], left["method"]) == (12, "exact") and left["expected_s"] > 60


@pytest.mark.parametrize("what", ["attention", "transformer", "raster"])
def test_a_wish_to_stop_is_heard_inside_a_point(what):
    """The longest point there is, stopped at the third look: nothing of it is finished, and it is not looked at again."""
    looks = []

    def stopped():
        looks.append(1)
        return len(looks) >= 4

    method = "raster" if what == "raster" else "exact-uncached"
    *_, last = sweep(Sweep.checked(what, 8, [48], [method]), 60, stopped)
    assert last.stopped and not last.finished and last.rows == []
    assert len(looks) == 5  # before the side, three inside the point, and once to say why


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("memory", 8, [8], ["exact"]), "what = 'memory': must be one of attention, raster, transformer"),
        ((None, 8, [8], ["exact"]), "what = None"),
        (("attention", 12, [8], ["exact"]), "head_dim = 12: must be one of 8, 16"),
        (("raster", 16, [8], ["var"]), "head_dim = 16: must be one of 8"),
        (("attention", float("nan"), [8], ["exact"]), "head_dim = nan"),
        (("attention", 8, [9], ["exact"]), "side = 9: must be one of 8, 12, 16, 24, 32, 48"),
        (("attention", 8, [10**9], ["exact"]), "side = 1000000000"),
        (("attention", 8, [], ["exact"]), "sides = []: must be a list of 1 to 6 values"),
        (("attention", 8, [8] * 10_000, ["exact"]), "must be a list of 1 to 6 values"),
        (("attention", 8, "8", ["exact"]), "sides = '8'"),
        (("attention", 8, [[8]], ["exact"]), "side = [8]"),
        (("attention", 8, [8], []), "methods = []"),
        (("attention", 8, [8], ["raster"]), "method = 'raster': must be one of"),
        (("attention", 8, [8], [["exact"]]), "method = ['exact']"),
        (("raster", 8, [8], ["exact"]), "method = 'exact'"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError) as caught:
        Sweep.checked(*values)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_upper_half_but_at_least_three_sides_are_fitted():
    sides, seconds = [4, 8, 16, 32, 64, 128], [5.0, 5.0, 5.0, 2.0, 17.0, 120.0]
    fit = fit_upper(sides, seconds)
    assert fit["sides"] == [32, 64, 128]
    slope = np.polyfit(np.log(sides[3:]), np.log(seconds[3:]), 1)[0]
    assert fit["exponent"] == pytest.approx(slope) and fit["low"] < slope < fit["high"]
    assert fit_upper(sides[:4][::-1], seconds[:4][::-1])["sides"] == [8, 16, 32]
    with pytest.raises(ValueError, match="at least 3"):
        fit_upper([8, 16], [1.0, 2.0])


def test_a_slope_is_told_only_of_enough_sides_that_agree_when_measured_again():
    """A power law under noise of one percent is determined; under noise of a factor of two, from three sides, or once, not."""
    noise, sides = np.random.default_rng(0), [8, 12, 16, 24, 32]

    def measured(power: float, spread: float, rounds: int = 5) -> list:
        return [[1e-6 * side**power * np.exp(spread * noise.standard_normal()) for _ in range(rounds)] for side in sides]

    for power in (2.0, 3.5):
        times = measured(power, 0.01)
        fit = fit_repeated(sides[::-1], times[::-1])  # in any order
        assert fit["determined"] and fit["exponent"] == pytest.approx(power, abs=0.05) and fit["sides"] == sides[-LEAST:]
        assert fit["low"] < fit["exponent"] < fit["high"] < fit["low"] + WIDEST
        each = [np.polyfit(np.log(sides[-LEAST:]), np.log(once), 1)[0] for once in zip(*times[-LEAST:])]
        assert fit["low"] <= min(each) + 1e-9 and fit["high"] >= max(each) - 1e-9
    assert not fit_repeated(sides, measured(2.0, 0.7))["determined"]
    assert fit_repeated(sides[:3], measured(2.0, 0.0)[:3]) == {"sides": sides[:3], "determined": False}
    assert fit_repeated(sides, measured(2.0, 0.0, rounds=1)) == {"sides": [], "determined": False}


def test_points_that_lie_on_a_line_by_chance_do_not_make_a_slope():
    """Medians on a perfect line, made of rounds that grow like n and like n^4."""
    sides = [8, 12, 16, 24]
    rounds = [[side**1.0, side**2.5, side**4.0] for side in sides]
    fit = fit_repeated(sides, rounds)
    assert fit["exponent"] == pytest.approx(2.5) and not fit["determined"]
    assert (fit["low"], fit["high"]) == (pytest.approx(1.0), pytest.approx(4.0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_sweep_on_a_gpu():
    *_, last = sweep(
        Sweep.checked("attention", 16, [8, 16], ["exact", "exact-uncached", "poly-2", "landmark-32"]), 60, bool, "cuda"
    )
    assert last.finished and len(last.rows) == 8
