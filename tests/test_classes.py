"""Which class a text means: names first, then names but for their case, then numbers."""

import unicodedata

import pytest

from var_mini.classes import find_class

NAMES = ["10", "2", "Cat", "cat", "Dog", "caf\u00e9"]


@pytest.mark.parametrize(
    ("text", "label"),
    [("Cat", 2), ("cat", 3), ("dog", 4), ("DOG", 4), ("2", 1), ("10", 0), ("#2", 2), ("#0", 0), ("CAF\u00c9", 5)],
)
def test_a_name_comes_before_its_case_and_both_before_a_number(text, label):
    assert find_class(text, NAMES, len(NAMES)) == label


def test_decomposed_and_composed_unicode_are_one_name():
    decomposed = unicodedata.normalize("NFD", "caf\u00e9")
    assert decomposed != "caf\u00e9"
    assert find_class(decomposed, NAMES, 6) == find_class("caf\u00e9", ["x", decomposed], 2) + 4 == 5


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("CAT", NAMES, r"class = 'CAT': may be Cat \(#2\), cat \(#3\); write the name exactly, or --class=#NUMBER"),
        ("3", NAMES, "class = '3': must be one of 10, 2, Cat, cat, Dog, caf\u00e9, or a number, #0 to #5"),  # 2 is a name
        ("#6", NAMES, "class = 6: must be a whole number from 0 to 5"),
        ("-1", ["a", "b"], "class = -1: must be a whole number from 0 to 1"),
        ("9" * 5000, ["a", "b"], "class = '999.*: must be one of a, b"),
        ("dog", [], r"class = 'dog': must be a number, #0 to #2; the classes of this model have no names"),
        ("x", ["x", "x"], r"may be x \(#0\), x \(#1\)"),
        ("", ["a", "b"], "class = ''"),
    ],
)
def test_what_is_no_class_lists_the_candidates(text, names, message):
    with pytest.raises(ValueError, match=message):
        find_class(text, names, len(names) or 3)


def test_of_many_names_ten_are_listed_the_nearest_first():
    names = [f"kind-{i}" for i in range(90)] + ["animal-mammal", "animal-bird"]
    with pytest.raises(ValueError, match=r"must be one of animal-mammal, animal-bird, .*and 82 more, or a number, #0 to #91"):
        find_class("animal", names, len(names))
    assert find_class("7", names, len(names)) == 7  # no name is a number
