"""Pictures of runs: sizes, colours, files."""

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini.view.images import code_colours, enlarge, save_image, strip, to_uint8, token_map


def test_grey_and_colour_images():
    grey = to_uint8(torch.tensor([[[0.0, 0.5], [1.0, 2.0]]]))
    assert grey.shape == (2, 2, 3) and grey[..., 0].tolist() == [[0, 128], [255, 255]]
    assert to_uint8(torch.zeros(3, 4, 5)).shape == (4, 5, 3)


@pytest.mark.parametrize(("side", "size"), [(1, 7), (3, 9), (3, 10), (7, 112)])
def test_enlarging_keeps_every_cell_flat(side, size):
    array = np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)
    big = enlarge(array, size)
    for y in range(size):
        for x in range(size):
            assert (big[y, x] == array[y * side // size, x * side // size]).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3, 16])
def test_every_code_has_a_colour_and_near_codes_near_ones(dimensions):
    codes = torch.linspace(-1, 1, 64).unsqueeze(1) * torch.ones(1, dimensions) + 0.01 * torch.randn(64, dimensions)
    colours = code_colours(codes).astype(int)
    assert colours.shape == (64, 3)
    order = codes.mean(1).argsort()
    neighbours = np.abs(np.diff(colours[order][:, 0])).mean()
    assert neighbours < np.abs(np.diff(colours[torch.randperm(64)][:, 0])).mean()


def test_token_map_places_ids_row_by_row():
    colours = np.arange(30, dtype=np.uint8).reshape(10, 3)
    assert token_map(torch.tensor([4, 3, 2, 1]), colours)[1, 0].tolist() == colours[2].tolist()


def test_strip_shows_every_scale(tiny):
    trace = tiny.trace(0, 0)
    picture = strip(trace, tiny.tokenizer.quantize.embedding.weight, cell=24, gap=4)
    assert picture.shape == (2 * 24 + 4, 3 * 24 + 2 * 4, 3)
    last = picture[-24:, -24:]
    assert np.array_equal(last, enlarge(to_uint8(trace.image[0]), 24))


def test_png_round_trip(tmp_path):
    image = torch.rand(1, 5, 5)
    save_image(image, tmp_path / "new" / "x.png", factor=2)
    read = np.asarray(Image.open(tmp_path / "new" / "x.png"))
    assert np.array_equal(read[::2, ::2], to_uint8(image))
