"""A folder of anybody's pictures: which belong to which class and which are held out, by names alone, and then their reading.

    pets/cat/a.jpg  pets/dog/old/b.png       sub-folders are classes, with whatever lies below them
    pets/a.jpg                               no sub-folders: one class, named like the folder
    pets/train/cat/a.jpg  pets/val/cat/b.jpg the classes are those of train; val and test are held out

Files and folders whose names begin with a dot are left out at any depth, and folders that begin with an underscore.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .. import validate
from ..classes import composed
from .images import ImageData
from .pictures import load_image, suffixes

TRAIN = {"train", "training"}
HELD_OUT = {"val", "valid", "validation", "eval", "test", "testing"}


@dataclass
class Listing:
    """The picture files of a folder, by class in order of their names."""

    root: Path
    name: str
    train: dict[str, list[Path]] = field(default_factory=dict)
    held_out: dict[str, list[Path]] | None = None  # None where the folder has no splits
    skipped: list[str] = field(default_factory=list)  # pictures in no class, each with the reason
    notes: list[str] = field(default_factory=list)  # what else to tell whoever gave the folder


def list_pictures(folder: Path | str, suffixes: Iterable[str]) -> Listing:
    """The pictures below `folder`: files that end in one of `suffixes`. Raises ValueError where it is no folder."""
    folder = Path(os.path.abspath(folder))  # so that "." has a name; a link keeps its own
    if not folder.is_dir():
        raise ValueError(
            f"data = {validate.shown(str(folder))}: is no folder; give a folder of pictures whose sub-folders are classes"
        )
    walk = _Walk(folder, frozenset(suffixes))
    found = Listing(folder, _name(folder), skipped=walk.skipped)
    places = walk.sub_folders(folder)
    splits = {place.name.lower() for place in places}
    if splits & TRAIN and splits <= TRAIN | HELD_OUT:
        train = [place for place in places if place.name.lower() in TRAIN]
        held_out = [place for place in places if place not in train]
        found.train = walk.classes(train, found.name)
        found.notes.append(f"splits: {_names(train)} to learn from, {_names(held_out) or 'a share of it'} held out")
        if held_out:
            found.held_out = walk.classes(held_out, found.name)
        walk.skip_beside(folder)
    else:
        found.train = walk.classes([folder], found.name)
    if walk.left_out:
        found.notes.append(f"left out, since their names begin with an underscore: {validate.listed(sorted(walk.left_out))}")
    return found


class _Walk:
    """Goes through the folders below one and keeps what it leaves out."""

    def __init__(self, root: Path, suffixes: frozenset[str]):
        self.root, self.suffixes = root, suffixes
        self.skipped: list[str] = []
        self.left_out: set[str] = set()

    def classes(self, places: list[Path], name: str) -> dict[str, list[Path]]:
        """The pictures of each class: of the sub-folders of `places`, or of one class `name` where there are none."""
        found: dict[str, list[Path]] = {}
        for place in places:
            folders = self.sub_folders(place)
            for folder in folders:
                found.setdefault(_name(folder), []).extend(self.pictures(folder))
            if folders:
                self.skip_beside(place)
            else:
                found.setdefault(name, []).extend(self.pictures(place))
        return {name: sorted(found[name]) for name in sorted(found) if found[name]}

    def sub_folders(self, place: Path) -> list[Path]:
        """The folders right below one that have a picture in them."""
        folders = [entry for entry in sorted(place.iterdir()) if entry.is_dir() and self._wanted(entry)]
        return [entry for entry in folders if next(self._files(entry), None)]

    def pictures(self, place: Path) -> list[Path]:
        return sorted(self._files(place))

    def skip_beside(self, place: Path) -> None:
        """Notes the pictures that lie beside the classes and so belong to none of them."""
        for path in sorted(place.iterdir()):
            if path.is_file() and self._is_picture(path.name):
                self.skipped.append(f"{path.relative_to(self.root)} lies beside the classes, in none of them")

    def _files(self, place: Path):
        for parent, folders, files in os.walk(place, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if self._wanted(Path(parent, name)))
            paths = (Path(parent, name) for name in sorted(files) if self._is_picture(name))
            yield from (path for path in paths if path.is_file() or not path.exists())  # no pipes; broken links are named

    def _is_picture(self, name: str) -> bool:
        return not name.startswith(".") and os.path.splitext(name)[1].lower() in self.suffixes

    def _wanted(self, folder: Path) -> bool:
        if folder.name.startswith("_"):
            self.left_out.add(str(folder.relative_to(self.root)))
        return not folder.name.startswith((".", "_"))

    def _unreadable(self, error: OSError) -> None:
        entry = f"{os.path.relpath(error.filename, self.root)} is not a readable folder: {error.strerror}"
        if entry not in self.skipped:
            self.skipped.append(entry)


def _name(folder: Path) -> str:
    """A folder's name as the name of a class: composed Unicode, and no bytes that are not Unicode."""
    return composed(os.fsencode(folder.name).decode("utf-8", "replace")) or "pictures"


def _names(places: list[Path]) -> str:
    return " and ".join(place.name for place in places)


def load_folder(folder: Path | str, size: int, channels: int, test_share: float = 0.1, seed: int = 0) -> ImageData:
    """Pictures of any size below `folder`, whose sub-folders are classes or splits (as above).

    Files that are no readable pictures, and pictures in no class, are skipped and named. Without splits a fixed share of every
    class, rounded down, is held out as test images, the same one for the same seed; where that is none, one picture. Raises
    ValueError where fewer than two pictures can be read.
    """
    found = list_pictures(folder, suffixes())
    skipped = list(found.skipped)

    def read(places: dict[str, list[Path]], classes: Iterable[str]) -> dict[str, list[torch.Tensor]]:
        images: dict[str, list[torch.Tensor]] = {}
        for name, paths in places.items():
            for path in paths:
                called = str(path.relative_to(found.root))
                if name not in classes:
                    skipped.append(f"{called} is of a class without training pictures")
                    continue
                try:
                    image = load_image(path, size, channels, called)
                except ValueError as error:
                    skipped.append(str(error))
                else:
                    images.setdefault(name, []).append(image)
        return images

    train = read(found.train, found.train)
    count = sum(map(len, train.values()))
    if count < 2:
        raise ValueError(
            f"data = {str(folder)!r}: {count} readable pictures, {len(skipped)} skipped; needs at least 2"
            + (f". Skipped: {validate.listed(skipped, '; ')}" if skipped else "")
        )
    names = tuple(train)
    x, y = _stacked(train, names, size, channels)
    if found.held_out is not None:
        test = _stacked(read(found.held_out, train), names, size, channels)
    else:
        held_out = _held_out(y, test_share, seed)
        x, y, test = x[~held_out], y[~held_out], (x[held_out], y[held_out])
    lost = [name for name in found.train if name not in train]
    notes = found.notes + ([f"classes without a readable picture: {validate.listed(lost)}"] if lost else [])
    return ImageData(found.name, names, x, y, test[0], test[1], len(skipped), skipped_names=tuple(skipped), notes=tuple(notes))


def _stacked(images: dict[str, list[torch.Tensor]], names: tuple[str, ...], size: int, channels: int) -> tuple:
    """Images by class -> uint8 (N, channels, size, size) and labels (N,) by the place of the class in `names`."""
    labels = torch.tensor([label for label, name in enumerate(names) for _ in images.get(name, ())], dtype=torch.int64)
    flat = [image for name in names for image in images.get(name, ())]
    return torch.stack(flat) if flat else torch.empty(0, channels, size, size, dtype=torch.uint8), labels


def _held_out(labels: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """Which pictures to hold out, bool (N,): a share of every class, rounded down, drawn by the seed.

    Where no class is large enough for one, the largest gives one, if it has two.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        mine = order[labels[order] == label]
        held_out[mine[: int(len(mine) * share)]] = True
    sizes = torch.bincount(labels)
    if not held_out.any() and sizes.max() > 1:  # tiny classes: still keep one picture to measure on, of the largest class
        held_out[order[labels[order] == sizes.argmax()][0]] = True
    return held_out
