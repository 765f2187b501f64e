"""What holds for every exercise: its solution passes, every mistake it knows is caught by name, and it survives any code."""

import numpy as np
import pytest
import torch

from tests.checks.students import KINDS, NAMES, solutions, told, verdict
from var_mini.checks import find
from var_mini.checks.judging import expected_of
from var_mini.checks.values import as_expected, same


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_of_the_lesson_passes(name):
    """On other inputs than those of the notebook, whose seed is 0: the grader takes others, too."""
    assert verdict(name, solutions()[name], seed=1).message == f"{name}: right on all {find(name).cases} random inputs."


@pytest.mark.parametrize("name", NAMES)
def test_at_least_two_known_mistakes_and_each_is_caught_by_name(name):
    exercise = find(name)
    assert len(exercise.mistakes) >= 2
    for mistake in exercise.mistakes:
        message = told(name, lambda *args, wrong=mistake.solution: as_expected(wrong(*args)))
        assert mistake.what in message and mistake.why in message


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_random_and_the_same_for_a_seed(name):
    exercise = find(name)
    a, b, c = ([list(case.values()) for case in exercise.inputs(seed)] for seed in (3, 3, 4))
    assert same(a, b)
    assert 1 <= exercise.difficulty <= 5 and 1 <= exercise.minutes <= 60
    if any(isinstance(value, (torch.Tensor, float)) for case in c for value in case):
        assert not same(a, c)


class Hostile:
    def __repr__(self):
        raise RuntimeError("no text")

    def __eq__(self, other):
        raise RuntimeError("no comparison")


def _generator():
    yield 1


def _forever(*args):
    return _forever(*args)


def _lacking():
    raise NotImplementedError("no such kernel")


def _exit():
    raise SystemExit(0)


STRANGE = {
    "none": None, "text": "42", "nan": float("nan"), "bool": True, "complex": 1j, "empty": [], "nested": [[[]]],
    "dict": {1: 2}, "scalar": torch.tensor(0.5), "meta": torch.empty(2, 2, device="meta"), "array": np.zeros((2, 2)),
    "sparse": torch.eye(2).to_sparse(), "huge": torch.zeros(1).expand(10**12), "type": int, "object": Hostile(),
    "grad": torch.zeros(2, requires_grad=True), "whole": torch.zeros(2, 2, dtype=torch.int32), "generator": _generator(),
}  # fmt: skip


def test_every_type_of_result_has_its_exercise():
    found = {type(expected_of(find(name), find(name).inputs(0)[0])).__name__ for name in KINDS}
    assert {"Tensor", "float", "int", "list", "tuple"} <= found


@pytest.mark.parametrize("name", KINDS)
def test_a_strange_result_gets_a_message(name):
    for kind, value in STRANGE.items():
        message = told(name, lambda *args, value=value: value)
        assert message.startswith(f"{name}: ") and "Traceback" not in message and len(message) < 1000, (kind, message)


@pytest.mark.parametrize("name", KINDS)
def test_code_that_misbehaves_gets_a_message(name):
    def loud(*args):
        print("x" * 10_000)
        raise KeyError("lost")

    def spoiling(*args):
        result = solutions()[name](*args)
        for value in args:
            if isinstance(value, torch.Tensor):
                value.zero_()
            elif isinstance(value, list):
                value.clear()
        return result

    assert "raised KeyError: 'lost'" in told(name, loud) and "in line" in told(name, loud)
    assert "raised TypeError" in told(name, lambda: 1)
    assert "raised SystemExit" in told(name, lambda *args: _exit())
    assert "raised RecursionError" in told(name, _forever)
    values = [value for case in find(name).inputs(0) for value in case.values()]
    if any(isinstance(value, (torch.Tensor, list)) for value in values):
        assert "in place" in told(name, spoiling)


@pytest.mark.parametrize("name", KINDS)
def test_a_stub_is_unsolved_and_a_forgotten_return_is_told(name):
    def stub(*args):
        raise NotImplementedError

    assert verdict(name, stub).unsolved
    assert "your function calls stub, which is not written yet" in told(name, lambda *args: stub(*args))
    assert "raised NotImplementedError: no such kernel" in told(name, lambda *args: _lacking())
    assert "is None: is a `return` missing?" in told(name, lambda *args: None)
