"""Machine facts and medians."""

from var_mini.cost.machine import gemm_peak, machine_facts, processor_name
from var_mini.cost.timing import median_seconds


def test_facts_are_there():
    facts = machine_facts()
    assert facts["device"] == "cpu" and facts["threads"] >= 1 and facts["processor"] == processor_name() != ""
    assert len(facts["date"]) == 10


def test_peak_is_a_plausible_rate():
    assert 1e8 < gemm_peak(size=256) < 1e15


def test_median_counts_only_the_runs_after_warm_up(monkeypatch):
    ticks = iter([0.0, 5.0, 10.0, 11.0, 20.0, 23.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    calls = []
    assert median_seconds(lambda: calls.append(1), repeats=3, warm_up=2) == 3.0
    assert len(calls) == 5
