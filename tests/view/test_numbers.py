"""Numbers as people read them."""

import pytest

from var_mini.view.numbers import number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123456, "0.00123"), (1e-7, "1e-7"), (2240, "2,240"), (9451, "9,451"), (12.345, "12.3"), (1.5, "1.5"),
     (100, "100"), (3e12, "3e12"), (2.5e-6, "2.5e-6"), (-0.25, "-0.25"), (0.0001, "0.0001")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text
