"""nearest(trace, k): brute force, names, and clear errors; near copies counted by hand."""

import pytest
import torch

from var_mini import data as datasets
from var_mini.__main__ import main
from var_mini.analysis.distances import NEAR_COPY, near_copy_share
from var_mini.analysis.neighbours import nearest
from var_mini.data import ImageData
from var_mini.generation import Trace
from var_mini.view import figures


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 1, 12, 12), generator=g, dtype=torch.uint8)
    labels = torch.arange(20) % 3
    return ImageData("small", ("a", "b", "c"), images, labels, images[:2], labels[:2])


def test_the_nearest_by_brute_force(tiny, data):
    trace = tiny.trace([0, 1], [3, 4])
    found = nearest(trace, 4, data)
    train = data.train_images.double() / 127.5 - 1
    for b, image in enumerate(trace.image.double() * 2 - 1):
        distances = torch.stack([(image - other).square().mean().sqrt() for other in train])
        order = distances.argsort()[:4]
        assert torch.equal(found.indices[b], order) and torch.equal(found.images[b], data.train_images[order])
        assert found.distances[b].double().tolist() == pytest.approx(distances[order].tolist(), abs=1e-4)
        assert found.names[b] == [data.class_names[i % 3] for i in order.tolist()]
    figure = figures.nearest_grid(trace.image, found, ["x", "y"])
    assert len(figure.axes) == 2 * 5


def test_the_figure_is_drawn_for_a_checkpoint_of_ones_own(tiny_folder, data, tmp_path, monkeypatch):
    """Whose name is none that could be loaded again."""
    monkeypatch.setitem(datasets.REGISTRY, "", lambda: data)  # the tiny model names no data set
    command = ["figure", "nearest", "--model", str(tiny_folder), "--classes", "0,2", "--out", str(tmp_path / "x.png")]
    assert main(command) == 0 and (tmp_path / "x.png").stat().st_size > 1000


def test_bad_input_names_the_value(tiny, data):
    trace = tiny.trace(0, 0)
    for k in (0, 21, 2.5):
        with pytest.raises(ValueError, match=r"k = .*: must be a whole number from 1 to 20"):
            nearest(trace, k, data)
    with pytest.raises(ValueError, match="model = 'no-such-model': must be one of"):
        nearest(Trace({"model": "no-such-model"}, trace.steps), 1)
    data.train_images = data.train_images[..., :8]
    with pytest.raises(ValueError, match=r"images of shape \(1, 12, 12\): must be \(1, 12, 8\), as in data set small"):
        nearest(trace, 1, data)


def test_near_copies_are_counted_at_the_stated_distance(data):
    train = data.train_images.float() / 127.5 - 1
    step = torch.full_like(train[:4], NEAR_COPY)
    images = torch.cat([train[:4], train[:4] + 0.9 * step, train[:4] + 1.1 * step, torch.full_like(train[:4], 5)])
    assert near_copy_share(images, train) == pytest.approx(8 / 16)
