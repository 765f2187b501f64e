"""Figures of the benches: drawn from results, with the results' own numbers in them."""

import json

import pytest

from var_mini.__main__ import main
from var_mini.checkpoints import ASSETS
from var_mini.view import curves

STORED = {"scaling": "scaling", "peers": "peers", "raster": "raster", "error": "error-fashion-28-bounded", "laws": "laws"}


def stored(what):
    return json.loads((ASSETS / "results" / f"{STORED[what]}.json").read_text())


def texts(figure):
    return [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")) if t.get_text()]


@pytest.mark.parametrize("what", STORED)
def test_a_figure_shows_the_numbers_and_the_machine_of_its_result(what, tmp_path):
    result = stored(what)
    curves.plot(what, result, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"
    shown = " ".join(texts(curves.FIGURES[what](result)))
    assert result["machine"]["processor"] in shown and result["machine"]["date"] in shown
    if what in ("scaling", "raster"):
        fit = result["exponents"][0]
        assert f"n^{fit['exponent']:.2f}" in shown
    if what == "laws":
        assert f"E = {result['fit']['floor']:.2f}, alpha = {result['fit']['alpha']:.2f}" in shown
        assert f"{result['tokens']:,} tokens" in shown
    if what == "error":
        assert f"{result['backends']['poly-2']['frechet_samples']:.4f}" in shown


@pytest.mark.parametrize("what", ["scaling", "raster", "laws"])
def test_the_points_of_a_curve_are_those_of_the_result(what):
    result = stored(what)
    key = {"scaling": "median_s", "raster": "seconds", "laws": "cross_entropy"}[what]
    drawn = {
        float(y) for line in curves.FIGURES[what](result).findobj(lambda a: hasattr(a, "get_ydata")) for y in line.get_ydata()
    }
    assert {row[key] for row in result["rows"] if row[key] is not None} <= drawn


def test_bad_input_is_refused_before_any_work(tmp_path, capsys):
    for arguments, message in (
        (
            ["bench", "generate", "--plot", "x.png"],
            "plot of bench = 'generate': must be one of error, laws, peers, raster, scaling",
        ),
        (["bench", "raster", "--plot", str(tmp_path / "x.txt")], "must end in .png, .svg"),
        (["bench", "raster", "--plot", str(tmp_path)], "is a folder, must be a file"),
        (
            ["figure", "raster", "--json", str(tmp_path / "no.json"), "--out", str(tmp_path / "x.png")],
            "is no stored result of `bench raster --json`",
        ),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "bad.json").write_text('{"rows": 3}')
    assert main(["figure", "scaling", "--json", str(tmp_path / "bad.json"), "--out", str(tmp_path / "x.png")]) == 2
    assert "is no stored result" in capsys.readouterr().err
