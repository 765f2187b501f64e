"""Folders as people have them: hidden files, junk, splits, names that collide, classes too small to hold anything out."""

import os
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini.data import load_folder
from var_mini.data.folder import list_pictures


@pytest.fixture
def draw(tmp_path):
    """Writes pictures by their paths below the folder and returns it; each has a grey of its own."""

    def write(*paths: str):
        for number, path in enumerate(paths):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 9), 1 + number % 255).save(tmp_path / path, "PNG")
        return tmp_path

    return write


def many(folder: str, count: int) -> list[str]:
    return [f"{folder}/{i}.png" for i in range(count)]


def test_three_classes_of_one_picture_all_train_and_nothing_is_held_out(draw):
    d = load_folder(draw("a/0.png", "b/0.png", "c/0.png"), 8, 1)
    assert d.class_names == ("a", "b", "c") and d.train_labels.tolist() == [0, 1, 2]
    assert d.test_images.shape == (0, 1, 8, 8) and d.test_labels.shape == (0,)
    assert "3 training and 0 held-out pictures (0%)" in d.report() and "warning: nothing is held out" in d.report()


@pytest.mark.parametrize("sizes", [(1, 1, 2), (1, 30), (2, 2), (9, 10, 11), (1, 1)])
def test_every_class_trains_and_no_picture_is_on_both_sides(draw, sizes):
    folder = draw(*(path for i, size in enumerate(sizes) for path in many(f"class{i}", size)))
    d = load_folder(folder, 8, 1)
    assert d.train_labels.unique().tolist() == list(range(len(sizes)))
    assert len(d.train_images) + len(d.test_images) == sum(sizes)
    assert torch.bincount(d.test_labels, minlength=len(sizes)).sum() == max(sum(n // 10 for n in sizes), int(max(sizes) > 1))


def test_the_held_out_share_is_told_and_a_small_one_is_a_warning(draw):
    few = load_folder(draw(*many("a", 20), *many("b", 5)), 8, 1).report()
    assert "23 training and 2 held-out pictures (8%) in 2 classes: a, b" in few
    assert "warning: with fewer than 50 held-out pictures" in few and "of 1 of the 2 classes no picture" in few
    enough = load_folder(draw(*many("a", 500), *many("b", 40)), 8, 1).report()
    assert "486 training and 54 held-out pictures (10%)" in enough and "warning" not in enough


@pytest.mark.parametrize(("train", "rest"), [("train", ["val"]), ("Train", ["test", "validation"]), ("training", ["testing"])])
def test_train_and_val_are_splits_and_not_classes(draw, train, rest):
    folder = draw(*many(f"{train}/cat", 3), *many(f"{train}/dog", 4), *(p for place in rest for p in many(f"{place}/cat", 2)))
    d = load_folder(folder, 8, 1)
    assert d.class_names == ("cat", "dog") and torch.bincount(d.train_labels).tolist() == [3, 4]
    assert torch.bincount(d.test_labels, minlength=2).tolist() == [2 * len(rest), 0]
    assert f"splits: {train} to learn from" in d.report()


def test_of_splits_what_has_no_class_is_skipped_by_name(draw):
    d = load_folder(draw(*many("train/cat", 3), *many("val/cow", 2), "val/x.png", "x.png"), 8, 1)
    assert d.class_names == ("cat",) and d.skipped == 4 and not len(d.test_images)
    assert "val/cow/0.png is of a class without training pictures" in d.report()
    assert "val/x.png lies beside the classes" in d.report() and "\nx.png lies beside the classes" in d.report()


def test_train_alone_is_a_split_of_which_a_share_is_held_out(draw):
    d = load_folder(draw(*many("train/cat", 20), *many("train/dog", 20)), 8, 1)
    assert d.class_names == ("cat", "dog") and torch.bincount(d.test_labels).tolist() == [2, 2]


def test_train_beside_other_classes_is_a_class(draw):
    assert load_folder(draw(*many("train", 3), *many("bus", 3)), 8, 1).class_names == ("bus", "train")


def test_hidden_and_system_files_are_left_out_at_any_depth(draw):
    hidden = ["a/.ipynb_checkpoints/0.png", "a/deep/.thumbs/0.png", "a/._0.png", "__MACOSX/a/0.png", "a/_old/0.png"]
    folder = draw("a/0.png", "a/deep/er/0.png", "b/0.png", ".git/a/0.png", *hidden)
    (folder / "a" / "Thumbs.db").write_text("")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("")
    d = load_folder(folder, 8, 1)
    assert d.class_names == ("a", "b") and len(d.train_images) + len(d.test_images) == 3 and d.skipped == 0
    assert "left out, since their names begin with an underscore: __MACOSX, a/_old" in d.report()


def test_a_folder_within_a_hidden_one_is_read(draw):
    assert load_folder(draw(".cache/set/a/0.png", ".cache/set/a/1.png") / ".cache" / "set", 8, 1).class_names == ("a",)


def test_names_that_differ_in_case_or_are_numbers_stay_apart_and_decomposed_ones_come_together(draw):
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    d = load_folder(draw("Cat/0.png", "cat/0.png", "2/0.png", "10/0.png", f"{composed}/0.png", f"{decomposed}/0.png"), 8, 1)
    assert d.class_names == ("10", "2", "Cat", composed, "cat")
    assert torch.bincount(torch.cat([d.train_labels, d.test_labels])).tolist() == [1, 1, 1, 2, 1]


def test_a_name_that_is_no_unicode_can_be_written_down(draw):
    folder = draw("b/0.png", "b/1.png")
    os.rename(os.fsencode(folder / "b"), os.fsencode(folder) + b"/b\xff")
    d = load_folder(folder, 8, 1)
    assert d.class_names == ("b\ufffd",) and d.report().encode()


def test_the_folder_here_has_its_real_name(draw, monkeypatch):
    monkeypatch.chdir(draw(*many("pets/cat", 3)) / "pets" / "cat")
    assert load_folder(".", 8, 1).class_names == ("cat",) and load_folder("..", 8, 1).name == "pets"
    assert list_pictures(".", {".png"}).name == "cat"


def test_of_many_skipped_files_ten_are_named_then_a_count(draw):
    folder = draw(*many("a", 3))
    for number in range(25):
        (folder / "a" / f"broken{number:02}.jpg").write_text("no")
    (folder / "a" / "moved.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "a" / "pipe.png")
    d = load_folder(folder, 8, 1)
    report = d.report().splitlines()
    assert d.skipped == len(d.skipped_names) == 26 and "26 skipped:" in report
    named = report[report.index("26 skipped:") + 1 :]
    assert len(named) == 11 and named[0].startswith("a/broken00.jpg is not a readable picture: ") and named[-1] == "and 16 more"
    assert any(line.startswith("a/moved.png") and "No such file" in line for line in d.skipped_names)


def test_a_class_without_a_readable_picture_is_no_class(draw):
    folder = draw(*many("a", 3))
    (folder / "b").mkdir()
    (folder / "b" / "x.png").write_text("no")
    d = load_folder(folder, 8, 1)
    assert d.class_names == ("a",) and "classes without a readable picture: b" in d.report()


def test_a_name_cannot_steer_the_terminal(draw):
    report = load_folder(draw("a\x1b[2J\n/0.png", "b/0.png", "a\x1b[2J\n/x\r.png"), 8, 1).report()
    assert "\x1b" not in report and r"a\x1b[2J\n" in report


def test_the_same_seed_holds_out_the_same_pictures(draw):
    folder = draw(*many("a", 40))
    first, again, other = (load_folder(folder, 8, 1, seed=seed).test_images[:, 0, 0, 0].tolist() for seed in (0, 0, 1))
    assert first == again != other and len(first) == 4
    assert np.intersect1d(first, load_folder(folder, 8, 1).train_images[:, 0, 0, 0]).size == 0


def test_classes_of_which_nothing_is_held_out_are_trained_on(draw):
    """Five bags are too few to hold one out; the zebras, of which some are, mean nothing to the model."""
    d = load_folder(draw(*many("bag", 5), *many("zebra", 30)), 8, 1)
    assert d.test_labels.unique().tolist() == [1]
    kept = d.with_classes(("coat", "bag"))
    assert kept.train_labels.tolist() == [1] * 5 and len(kept.test_images) == 0 and kept.skipped == 30
    assert {int(image.max()) for image in kept.train_images} == {1, 2, 3, 4, 5}  # the bags' greys
    with pytest.raises(ValueError, match=r"has no images of the model's classes \('coat', 'hat'\)"):
        d.with_classes(("coat", "hat"))
