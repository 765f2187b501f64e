"""Data sets: Fashion-MNIST, things and emoji (see things.py, emoji.py), and a folder of anybody's pictures.

All end as uint8 arrays in memory. `load(name)` looks in the registry; `load_folder(path, ...)` reads images whose sub-folders are
the classes.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from . import validate
from .config import FASHION_CLASSES


@dataclass
class ImageData:
    """Train and test images, uint8 (N, channels, S, S), and labels, int64 (N,)."""

    name: str
    class_names: tuple[str, ...]
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    skipped: int = 0  # pictures left out: unreadable, without a glyph, or in no class
    skipped_names: tuple[str, ...] = ()  # which ones and why, where they are files
    notes: tuple[str, ...] = ()  # what else is to be told of a folder
    class_groups: tuple[str, ...] = ()  # the group of each class, where classes have groups
    train_names: tuple[str, ...] = ()  # what each training image shows, where that is known
    flips: torch.Tensor | None = None  # bool (N,): training images whose mirror image keeps the meaning; None: none does
    style_names: tuple[str, ...] = ()  # where pictures have a second label, the style: names, and int64 (N,) each
    train_styles: torch.Tensor | None = None
    test_styles: torch.Tensor | None = None

    @property
    def train_conditions(self) -> torch.Tensor:
        """What a transformer is told of each training image: int64 (N,), or (N, 2) with the style."""
        return _conditions(self.train_labels, self.train_styles)

    @property
    def test_conditions(self) -> torch.Tensor:
        """The same of the test images."""
        return _conditions(self.test_labels, self.test_styles)

    @property
    def channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What an independent classifier tells apart: the groups of classes, or the classes where there are no groups."""
        return tuple(dict.fromkeys(self.class_groups)) or self.class_names

    def kind_of(self, labels: torch.Tensor) -> torch.Tensor:
        """Class labels (N,) -> indices into `kinds`."""
        return torch.tensor([self.kinds.index(name) for name in self.class_groups or self.class_names])[labels]

    def report(self) -> str:
        """What was read, held out and skipped, in lines for whoever gave the pictures."""
        train, test, classes = len(self.train_images), len(self.test_images), len(self.class_names)
        names = validate.listed(self.class_names)
        lines = [
            f"{train} training and {test} held-out pictures ({test / (train + test):.0%}) in {classes} classes: {names}",
            *self.notes,
        ]
        if not test:
            lines.append("warning: nothing is held out, so nothing can be measured on pictures that were not learnt")
        elif test < FEW:
            lines.append(f"warning: with fewer than {FEW} held-out pictures, what is measured on them is mostly chance")
        without = classes - len(self.test_labels.unique())
        if test and without:
            lines.append(f"warning: of {without} of the {classes} classes no picture is held out")
        if self.skipped_names:
            lines += [f"{self.skipped} skipped:", validate.listed(self.skipped_names, "\n")]
        return "\n".join(lines)

    def with_classes(self, class_names: tuple[str, ...]) -> ImageData:
        """The same images, labelled by the classes of a checkpoint, which need not be in this data set's order.

        Images of a class that the checkpoint does not know are left out and counted in `skipped`. A folder cannot have a slash
        in its name: there `T-shirt-top` is the class `T-shirt/top`.
        """
        if tuple(class_names) == self.class_names or not class_names:
            return self
        known = {name.replace("/", "-"): label for label, name in enumerate(class_names)}
        known |= {name: label for label, name in enumerate(class_names)}
        label_of = torch.tensor([known.get(name, -1) for name in self.class_names])
        train, test = label_of[self.train_labels], label_of[self.test_labels]
        keep, keep_test = train >= 0, test >= 0
        if not keep.any() or (len(keep_test) and not keep_test.any()):  # of a few pictures none is held out
            raise ValueError(
                f"data set {self.name}: has no images of the model's classes {validate.shown(tuple(class_names))}, "
                f"but of {validate.shown(self.class_names)}"
            )
        group_of = dict(zip(self.class_names, self.class_groups))
        return replace(
            self,
            class_names=tuple(class_names),
            train_images=self.train_images[keep],
            train_labels=train[keep],
            test_images=self.test_images[keep_test],
            test_labels=test[keep_test],
            skipped=self.skipped + int((~keep).sum() + (~keep_test).sum()),
            class_groups=tuple(group_of.get(name, "") for name in class_names) if group_of else (),
            train_names=tuple(name for name, kept in zip(self.train_names, keep.tolist()) if kept),
            flips=None if self.flips is None else self.flips[keep],
            train_styles=None if self.train_styles is None else self.train_styles[keep],
            test_styles=None if self.test_styles is None else self.test_styles[keep_test],
        )


def _conditions(labels: torch.Tensor, styles: torch.Tensor | None) -> torch.Tensor:
    return labels if styles is None else torch.stack([labels, styles], 1)


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


# -- Fashion-MNIST (Zalando Research, MIT licence) -----------------------------------------------------------------

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
FASHION_URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
FASHION_FILES = {  # checksums as published in the data set's README
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}


def read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file of unsigned bytes. Raises ValueError where the file is not one."""
    try:
        raw = gzip.decompress(Path(path).read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is not a readable gzip file: {error}") from None
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    ndim = raw[3]
    shape = struct.unpack(f">{ndim}I", raw[4 : 4 + 4 * ndim]) if len(raw) >= 4 + 4 * ndim else ()
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * len(shape))
    if not shape or body.size != int(np.prod(shape)):
        raise ValueError(f"{path} is truncated: holds {body.size} values, its header says shape {shape}")
    return body.reshape(shape)


def _fashion_file(name: str) -> Path:
    local = FASHION_FOLDER / name
    if local.exists():
        return local
    import pooch  # only needed where the Debian package is absent

    try:
        return Path(pooch.retrieve(FASHION_URL + name, known_hash=FASHION_FILES[name], fname=f"fashion-{name}"))
    except Exception as error:  # no network, wrong checksum: pooch has no common base class for them
        raise ValueError(
            f"data set fashion-mnist: {name} is neither in {FASHION_FOLDER} (Debian: apt install dataset-fashion-mnist) "
            f"nor could it be downloaded: {error}"
        ) from None


def load_fashion_mnist() -> ImageData:
    """60,000 + 10,000 grey 28x28 images of ten kinds of clothing."""
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_fashion_file(f"{part}-images-idx3-ubyte.gz"))
        labels = read_idx(_fashion_file(f"{part}-labels-idx1-ubyte.gz"))
        parts += [torch.from_numpy(images.copy())[:, None], torch.from_numpy(labels.astype(np.int64))]
    return ImageData("fashion-mnist", FASHION_CLASSES, *parts)


def _load_emoji(size: int) -> ImageData:
    from .emoji import load_emoji  # needs Pillow and fontTools, which drawing from a checkpoint does not

    return load_emoji(size)


def _load_things(size: int) -> ImageData:
    from .things import load_things

    return load_things(size)


REGISTRY = {
    "fashion-mnist": load_fashion_mnist,
    "things": partial(_load_things, 64),
    "things-32": partial(_load_things, 32),
    "things-16": partial(_load_things, 16),
    "emoji": partial(_load_emoji, 64),
    "emoji-32": partial(_load_emoji, 32),
    "emoji-16": partial(_load_emoji, 16),
}


def load(name: str) -> ImageData:
    """A data set of the registry by name. Raises ValueError where it is unknown or cannot be had."""
    return REGISTRY[validate.one_of("data", name, REGISTRY)]()


# -- a folder of pictures ------------------------------------------------------------------------------------------

FEW = 50  # held-out pictures below which a figure measured on them is mostly chance


def load_folder(folder: Path | str, size: int, channels: int, test_share: float = 0.1, seed: int = 0) -> ImageData:
    """Pictures of any size below `folder`, whose sub-folders are classes or splits (see folder.py).

    Files that are no readable pictures, and pictures in no class, are skipped and named. Without splits a fixed share of every
    class is held out as test images, the same one for the same seed, and none of a class of one picture. Raises ValueError
    where fewer than two pictures can be read.
    """
    from . import folder as folders
    from .pictures import load_image, suffixes

    found = folders.list_pictures(folder, suffixes())
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
    return ImageData(found.name, names, x, y, *test, len(skipped), skipped_names=tuple(skipped), notes=tuple(notes))


def _stacked(images: dict[str, list[torch.Tensor]], names: tuple[str, ...], size: int, channels: int) -> tuple:
    """Images by class -> uint8 (N, channels, size, size) and labels (N,) by the place of the class in `names`."""
    labels = torch.tensor([label for label, name in enumerate(names) for _ in images.get(name, ())], dtype=torch.int64)
    flat = [image for name in names for image in images.get(name, ())]
    return torch.stack(flat) if flat else torch.empty(0, channels, size, size, dtype=torch.uint8), labels


def _held_out(labels: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """Which pictures to hold out, bool (N,): a share of every class, drawn by the seed; one at least where a class has two."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        mine = order[labels[order] == label]
        held_out[mine[: int(len(mine) * share)]] = True
    sizes = torch.bincount(labels)
    if not held_out.any() and sizes.max() > 1:  # tiny classes: still keep one picture to measure on, of the largest class
        held_out[order[labels[order] == sizes.argmax()][0]] = True
    return held_out
