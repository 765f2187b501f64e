"""Fashion-MNIST as published; a folder of anybody's pictures, broken ones included."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini import data
from var_mini.data import fashion
from var_mini.data.pictures import load_image


def write_idx(path, array, header=None):
    head = header or b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def test_fashion_mnist_is_the_published_set():
    if not data.FASHION_FOLDER.exists():
        pytest.skip("needs Debian's dataset-fashion-mnist")
    d = data.load("fashion-mnist")
    assert d.train_images.shape == (60_000, 1, 28, 28) and d.test_images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(d.train_labels).tolist() == [6000] * 10 and torch.bincount(d.test_labels).tolist() == [1000] * 10
    assert d.class_names[7] == "Sneaker" and d.train_images.dtype == torch.uint8
    assert d.train_labels[:5].tolist() == [9, 0, 0, 3, 0]


def test_unit_range():
    assert data.to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "x.gz", array)
    assert np.array_equal(fashion.read_idx(tmp_path / "x.gz"), array)


@pytest.mark.parametrize("kind", ["text", "other type", "truncated", "no header"])
def test_a_broken_idx_file_is_named(tmp_path, kind):
    path, array = tmp_path / "x.gz", np.zeros(10, np.uint8)
    if kind == "text":
        path.write_bytes(b"hello")
    elif kind == "other type":
        write_idx(path, array, b"\0\0\x0d\x01" + struct.pack(">I", 10))
    elif kind == "truncated":
        write_idx(path, array, b"\0\0\x08\x01" + struct.pack(">I", 11))
    else:
        write_idx(path, array[:0], b"\0\0\x08\x03")
    with pytest.raises(ValueError, match=r"x\.gz"):
        fashion.read_idx(path)


def test_a_missing_data_set_without_network_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion, "FASHION_FOLDER", tmp_path)
    monkeypatch.setattr(fashion, "FASHION_URL", "http://127.0.0.1:9/")  # nobody listens there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="dataset-fashion-mnist"):
        data.load("fashion-mnist")


def test_unknown_data_set_is_named():
    with pytest.raises(ValueError, match=r"data = 'mnist': must be one of fashion-mnist, things"):
        data.load("mnist")


@pytest.fixture
def pictures(tmp_path):
    """Two classes of pictures in many forms and sizes, and four files that cannot be read."""
    rng = np.random.default_rng(0)
    for name, count in (("cats", 12), ("dogs", 8)):
        (tmp_path / name).mkdir()
        for i in range(count):
            array = rng.integers(0, 255, (20 + i, 40 - i, 3), np.uint8)
            Image.fromarray(array).save(tmp_path / name / f"{i}.{['png', 'jpg', 'webp', 'bmp'][i % 4]}")
    (tmp_path / "cats" / "broken.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "cats" / "empty.jpg").write_bytes(b"")
    (tmp_path / "dogs" / "text.gif").write_text("no picture")
    whole = (tmp_path / "dogs" / "0.png").read_bytes()
    (tmp_path / "dogs" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dogs" / "notes.txt").write_text("not meant as a picture")
    return tmp_path


def test_a_folder_of_pictures(pictures):
    d = data.load_folder(pictures, 16, 3)
    assert d.class_names == ("cats", "dogs") and d.skipped == 4
    assert d.train_images.shape[1:] == (3, 16, 16)
    assert len(d.train_images) + len(d.test_images) == 20
    assert torch.bincount(d.train_labels).tolist() == [11, 8] and torch.bincount(d.test_labels).tolist() == [1]
    again = data.load_folder(pictures, 16, 3)
    assert torch.equal(again.train_images, d.train_images)


def test_pictures_beside_the_classes_are_counted_and_system_folders_ignored(pictures):
    Image.new("L", (9, 9)).save(pictures / "loose.png")
    (pictures / "__MACOSX").mkdir()
    Image.new("L", (9, 9)).save(pictures / "__MACOSX" / "x.png")
    (pictures / "empty").mkdir()
    d = data.load_folder(pictures, 16, 3)
    assert d.class_names == ("cats", "dogs") and d.skipped == 5


def test_one_class_without_sub_folders(pictures):
    assert data.load_folder(pictures / "dogs", 8, 1).class_names == ("dogs",)


def test_crop_is_central_and_transparency_becomes_white(tmp_path):
    picture = Image.new("RGBA", (30, 10), (255, 0, 0, 255))
    picture.paste((0, 255, 0, 255), (10, 0, 20, 10))
    picture.paste((0, 0, 0, 0), (10, 0, 20, 5))
    picture.save(tmp_path / "x.png")
    image = load_image(tmp_path / "x.png", 10, 3)
    assert image[:, 8, 5].tolist() == [0, 255, 0] and image[:, 1, 5].tolist() == [255, 255, 255]


def test_pictures_of_unusual_kinds(tmp_path):
    for mode in ("1", "L", "LA", "P", "I;16", "CMYK"):
        path = tmp_path / f"{mode.replace(';', '')}.tiff"
        Image.new(mode if mode != "P" else "L", (9, 9), 0).convert(mode if mode == "P" else None).save(path)
        assert load_image(path, 8, 3).shape == (3, 8, 8)


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(ValueError, match="0 readable pictures, 0 skipped"):
        data.load_folder(tmp_path, 8, 1)
    with pytest.raises(ValueError, match="is no folder"):
        data.load_folder(tmp_path / "none", 8, 1)


def test_a_picture_of_absurd_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("var_mini.data.pictures.MAX_PIXELS", 50)
    Image.new("L", (10, 10)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="10 x 10 pixels"):
        load_image(tmp_path / "x.png", 8, 1)
