"""Checks as a notebook calls them: what is raised and printed, and which function later cells get."""

import pytest
import torch
from matplotlib.figure import Figure

from tests.checks.students import KINDS, NAMES, verdict
from var_mini import checks
from var_mini.checks.picture import draw
from var_mini.checks.session import CheckFailed


def nearest(z, codebook):
    return torch.cdist(z, codebook).argmin(1)


def farthest(z, codebook):
    return torch.cdist(z, codebook).argmax(1)


def stub(z, codebook):
    raise NotImplementedError


def test_a_right_function_passes_and_is_used_from_then_on(capsys):
    checks.nearest_code(nearest)
    assert capsys.readouterr().out == "nearest_code: right on all 5 random inputs.\n"
    assert checks.use("nearest_code") is nearest


def test_a_wrong_function_fails_and_ours_is_used():
    checks.nearest_code(nearest)
    with pytest.raises(CheckFailed, match="takes the farthest code") as caught:
        checks.nearest_code(farthest)
    assert caught.value._render_traceback_()[0].count("\n") <= 2  # a message, no stack
    z, codebook = torch.randn(6, 3), torch.randn(9, 3)
    ours = checks.use("nearest_code")
    assert ours is not nearest and torch.equal(ours(z, codebook), nearest(z, codebook))


def test_a_stub_raises_what_a_stub_raises():
    with pytest.raises(NotImplementedError, match="nearest_code is not written yet") as caught:
        checks.nearest_code(stub)
    assert caught.value._render_traceback_() == [f"NotImplementedError: {caught.value}"]


def test_a_result_instead_of_a_function_is_told():
    with pytest.raises(CheckFailed, match="give the check your function itself"):
        checks.nearest_code(nearest(torch.randn(2, 3), torch.randn(4, 3)))


def test_what_a_function_prints_is_shown_once(capsys):
    def loud(z, codebook):
        print("here")
        return nearest(z, codebook)

    checks.nearest_code(loud)
    assert capsys.readouterr().out.count("here") == 1


def test_an_interruption_is_told():
    def endless(z, codebook):
        raise KeyboardInterrupt

    assert "interrupted before it returned" in verdict("nearest_code", endless).message


def test_an_unknown_exercise_names_the_nearest_one():
    with pytest.raises(AttributeError, match="did you mean nearest_code"):
        checks.nearest_codes  # noqa: B018 (the look-up is the test)
    with pytest.raises(ValueError, match="there is no exercise"):
        checks.use("x")
    assert not hasattr(checks, "__wrapped__")


def test_ours_keeps_the_precision_of_what_it_is_given():
    h, weight, bias = torch.randn(1, 2, 4, 4), torch.randn(2, 2, 3, 3), torch.randn(2)
    assert checks.use("mix_phi")(h, weight, bias, 0.5).dtype == torch.float32
    assert checks.use("modulate")(torch.randn(1, 2, 4), torch.randn(1, 4), torch.randn(1, 4)).dtype == torch.float32


@pytest.mark.parametrize("name", KINDS)
def test_there_is_a_picture_whatever_came_out(name):
    for result in (None, torch.zeros(2, 2), "text", [1, 2], 0.5):
        picture = draw(checks.find(name), verdict(name, lambda *args, result=result: result))
        assert picture.startswith(b"\x89PNG") and len(picture) < 60_000, result


@pytest.mark.parametrize("name", NAMES)
def test_what_later_cells_use_passes_the_check_and_its_picture_is_the_exercises_own(name):
    """A `draw` that fails on right results would fall back to the plain picture without a word."""
    exercise = checks.find(name)
    found = verdict(name, lambda *args: checks.use(name)(*args))
    assert found.passed, found.message
    if exercise.draw is not None:
        record, figure = found.records[-1], Figure()
        exercise.draw(figure, record.args, record.got, record.expected)
        assert figure.axes
