"""The shipped samples: they fit the models, and they are the held-out pictures that they say they are."""

from dataclasses import replace

import pytest
import torch

from var_mini import checkpoints
from var_mini.data import REGISTRY, load, samples


@pytest.mark.parametrize("name", checkpoints.available())
def test_shipped_samples_fit_the_model(name):
    config = checkpoints.load_config(name)
    found = samples.load_samples(config)
    t = config.tokenizer
    assert len(found) == samples.COUNT and {sample.name for sample in found} <= set(config.class_names)
    assert all(sample.image.shape == (t.image_channels, t.image_size, t.image_size) for sample in found)
    assert all(0 <= sample.image.min() < sample.image.max() <= 1 for sample in found)


def test_there_are_none_for_an_unknown_data_set_or_another_size(tiny):
    assert samples.load_samples(tiny.config) == []
    assert samples.load_samples(replace(tiny.config, data="../traces")) == []
    assert samples.load_samples(replace(tiny.config, data="fashion-mnist")) == []  # 28 x 28, the model has 12 x 12


def test_samples_are_test_pictures_of_their_class(tmp_path):
    config = checkpoints.load_config("fashion-28")
    try:
        data = load("fashion-mnist")
    except ValueError as error:
        pytest.skip(str(error))
    for sample in samples.load_samples(config):
        same = (data.test_images == (sample.image * 255).round().byte()).flatten(1).all(1)
        assert data.class_names[int(data.test_labels[same.nonzero()[0, 0]])] == sample.name
    written = samples.write_samples("fashion-mnist", tmp_path)
    assert [path.read_bytes() for path in written] == [
        p.read_bytes() for p in sorted((samples.FOLDER / "fashion-mnist").glob("*.png"))
    ]


def test_every_data_set_that_can_be_trained_on_has_samples():
    assert all(len(list((samples.FOLDER / name).glob("*.png"))) == samples.COUNT for name in REGISTRY)
    assert sum(path.stat().st_size for path in samples.FOLDER.rglob("*.png")) < 200_000
    assert torch.is_tensor(samples.load_samples(checkpoints.load_config("fashion-28"))[0].image)


def test_data_that_cannot_be_read_is_told_in_one_line(monkeypatch, capsys):
    def missing(name):
        raise ValueError(f"data set {name}: is not here")

    monkeypatch.setattr(samples, "load", missing)
    assert samples.main(["things"]) == 2
    assert capsys.readouterr().err == "samples: data set things: is not here\n"
