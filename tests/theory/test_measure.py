"""The limit on memory, slopes of made-up times, and the command line."""

import json

import pytest

from var_mini.theory import __main__ as command
from var_mini.theory import fixed_points
from var_mini.theory.measure import growth, refuse_beyond


def test_a_tensor_beyond_the_limit_is_refused_with_its_size_and_one_within_it_is_not():
    refuse_beyond("x", (1 << 27,), 8)
    with pytest.raises(ValueError, match=r"x has 4,096 x 4,096 x 4,096 numbers, 549\.8 GB: must be at most 1\.1 GB"):
        refuse_beyond("x", (4096, 4096, 4096))


def test_growth_recovers_the_exponent_of_made_up_times(monkeypatch):
    clock = iter([t for n in (2, 4, 8) for t in (0.0, n**3.0)])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    found = growth([2, 4, 8], [lambda: None] * 3, repeats=1)
    assert found["exponent"] == pytest.approx(3) == found["last"] and found["seconds"] == [8, 64, 512]


def test_the_command_prints_one_json_object_with_the_machine(monkeypatch, capsys):
    monkeypatch.setattr(fixed_points, "experiment", lambda: {"counts": []})
    assert command.main(["fixed_points", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["experiment"] == "fixed_points" and {"processor", "threads", "torch", "date"} <= set(printed["machine"])


def test_the_command_refuses_unknown_names_and_names_a_fault_in_one_line(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["perpetual_motion"])
    assert stopped.value.code == 2

    def fails():
        raise ValueError("n = 9: must be less")

    monkeypatch.setattr(fixed_points, "experiment", fails)
    assert command.main(["fixed_points"]) == 2 and capsys.readouterr().err.strip().endswith("error: n = 9: must be less")
