"""Comparing and sending values: first differences in words, and JSON that takes anything and trusts nothing."""

import contextlib
import functools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from var_mini.checks.values import Foreign, difference, same
from var_mini.checks.wire import decode, encode

TENSOR = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
CASES = [
    (TENSOR, TENSOR.float(), None),
    (TENSOR, TENSOR + 1e-7, None),
    (TENSOR, torch.tensor([[1.0, 2.0], [3.5, 9.0]]), "entry [1, 0] of the result is 3.5, expected 3; 2 of 4 entries are wrong"),
    (TENSOR, torch.tensor([[1.0, 2.0], [3.5, 9.0]]), "by up to 5"),
    (TENSOR, torch.tensor([[1.0, math.nan], [3.0, 4.0]]), "entry [0, 1] of the result is nan, expected 2"),
    (TENSOR, TENSOR[0], "has shape (2,): must be (2, 2)"),
    (TENSOR, TENSOR.long(), "holds whole numbers (int64): must hold floating point"),
    (TENSOR, TENSOR.to("meta"), "on the device meta"),
    (TENSOR, TENSOR.numpy(), "is a numpy array of shape (2, 2): must be a torch tensor"),
    (TENSOR, None, "is None: is a `return` missing?"),
    (TENSOR > 2, TENSOR > 1, "entry [0, 1] of the result is 1, expected 0"),
    (torch.tensor([-math.inf, 1.0]), torch.tensor([-math.inf, 1.0]), None),
    (torch.tensor([-math.inf, 1.0]), torch.tensor([0.0, 1.0]), "entry [0] of the result is 0, expected -inf; 1 of 2 entries"),
    (3, 3, None),
    (3, 3.0, None),
    (3, torch.tensor(3), None),
    (3, np.int64(4), "the result is 4, expected 3"),
    (3, "3", "is the str '3': must be a number"),
    (0.5, math.nan, "is NaN, expected 0.5"),
    (True, 1, "expected True"),
    ("auto", "exact", "expected 'auto'"),
    ([1, 2], (1, 2), None),
    ([1, 2], torch.tensor([1, 2]), None),
    ([1, 2], [1, None], "entry[1] is None: must be a number"),  # no `return` is missing there
    ([1, 2], [1], "has 1 entries: must have 2"),
    ([(0, 1), (1, 5)], [(0, 1), (1, 4)], "entry[1][1] is 4, expected 5"),
    ((TENSOR, TENSOR), (TENSOR, TENSOR + 1), "entry [0, 0] of entry[1] is 2, expected 1"),
]  # fmt: skip


@pytest.mark.parametrize("expected, got, message", CASES)
def test_the_first_difference_is_named(expected, got, message):
    found = difference(expected, got, 1e-4, 1e-5)
    assert found is None if message is None else message in found


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_plain_values_come_back(value):
    assert same(decode(json.loads(json.dumps(encode(value)))), value)


@pytest.mark.parametrize(
    "value",
    [
        TENSOR, TENSOR.float(), TENSOR.half(), TENSOR.bfloat16(), TENSOR.int(), TENSOR > 2, TENSOR[:0], torch.tensor(1.5),
        torch.tensor([math.nan, math.inf, -math.inf]), (1, (TENSOR, None), [2.5]), TENSOR.T,
    ],
)  # fmt: skip
def test_tensors_come_back(value):
    assert same(decode(json.loads(json.dumps(encode(value)))), value)


def test_what_is_foreign_comes_back_as_a_description():
    for value in (object(), int, 1j, TENSOR.to("meta"), torch.zeros(1).expand(10**12), {1: 2}, {1, 2}, (i for i in range(2))):
        assert isinstance(decode(encode(value)), Foreign)
    array = decode(encode(np.arange(3.0)))
    assert isinstance(array, np.ndarray) and array.tolist() == [0.0, 1.0, 2.0]


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=5))
@settings(max_examples=100, deadline=None)
def test_foreign_messages_are_refused(message):
    with contextlib.suppress(ValueError):  # any other error is a fault
        decode(message)


@pytest.mark.parametrize(
    "message",
    [
        {}, [], None, 7, "x", {"plain": [1]}, {"float": "zz"}, {"tensor": "float32"}, {"list": 3}, {"dict": []},
        {"tensor": "float32", "shape": [2], "data": "AAAA"}, {"tensor": "object", "shape": [1], "data": "AAAAAA=="},
        {"tensor": "float32", "shape": [-1], "data": "!"}, {"array": {"tensor": 1}}, {"pickle": "x"}, {"float": "0x1p99999"},
        {"plain": 1 << 2000}, {"tensor": "float32", "shape": [True], "data": "AAAAAA=="}, {"dict": {"a": {"float": 1}}},
        functools.reduce(lambda inner, _: {"list": [inner]}, range(3000), {"plain": 1}),
    ],
)  # fmt: skip
def test_wrong_messages_are_refused(message):
    with pytest.raises(ValueError):
        decode(message)


def test_what_a_value_says_of_itself_is_not_believed():
    class Number(float):
        def hex(self):
            return "0x1p99999"

    class Whole(int):
        def __index__(self):
            return 7

        def bit_length(self):
            return 1 << 60

        def __repr__(self):
            raise RuntimeError

    class Entries(list):
        def __iter__(self):
            return iter([1] * 3)

    for value, plain in ((Number(0.5), 0.5), (Whole(3), 3), (Entries([2]), [2])):
        assert same(decode(json.loads(json.dumps(encode(value)))), plain)
    assert difference("x", Whole(3), 0, 0).startswith("the result is the Whole 3")


def test_huge_values_come_back_as_a_description():
    deep = functools.reduce(lambda inner, _: [inner], range(3000), 1)
    for value in (10**5000, -(10**5000), {10**5000: 1}, [10**5000]):
        assert "10000000" not in json.dumps(encode(value))
        assert difference(3, decode(encode(value)), 0, 0)
    assert decode(json.loads(json.dumps(encode(10**5000)))) == Foreign("a whole number of 16610 bits")
    assert difference([1], decode(json.loads(json.dumps(encode(deep)))), 0, 0)


def test_a_byte_that_is_no_truth_value_becomes_one():
    assert same(decode({"tensor": "bool", "shape": [3], "data": "AAEC"}), torch.tensor([False, True, True]))
