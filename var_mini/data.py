"""Data sets: Fashion-MNIST, emoji (see emoji.py), and a folder of anybody's pictures. All end as uint8 arrays in memory.

`load(name)` looks in the registry; `load_folder(path, ...)` reads images whose sub-folders are the classes.
"""

from __future__ import annotations

import gzip
import struct
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

    def with_classes(self, class_names: tuple[str, ...]) -> ImageData:
        """The same images, labelled by the classes of a checkpoint, which need not be in this data set's order.

        Images of a class that the checkpoint does not know are left out and counted in `skipped`.
        """
        if tuple(class_names) == self.class_names or not class_names:
            return self
        known = {name: label for label, name in enumerate(class_names)}
        label_of = torch.tensor([known.get(name, -1) for name in self.class_names])
        train, test = label_of[self.train_labels], label_of[self.test_labels]
        keep, keep_test = train >= 0, test >= 0
        if not keep.any() or not keep_test.any():
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

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
MAX_PIXELS = 64_000_000  # refuse a picture that would unpack to more


def load_image(path: Path | str, size: int, channels: int) -> torch.Tensor:
    """One picture, centre-cropped to a square and resized: uint8 (channels, size, size).

    Transparent parts become white. Raises ValueError where the file is no readable picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels, at most {MAX_PIXELS} allowed")
            picture.draft("RGB", (4 * size, 4 * size))  # lets a JPEG unpack at a fraction of its size
            picture = ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGBA"), (size, size), Image.Resampling.LANCZOS)
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture).convert("L" if channels == 1 else "RGB")
            array = np.asarray(picture, np.uint8).reshape(size, size, channels)
    except Exception as error:  # damaged files make Pillow raise a dozen kinds, struct.error and EOFError among them
        raise ValueError(f"{path} is not a readable picture: {error or type(error).__name__}") from None
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


def picture_files(folder: Path) -> list[Path]:
    """All files below `folder` that are named like pictures, in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def load_folder(folder: Path | str, size: int, channels: int, test_share: float = 0.1, seed: int = 0) -> ImageData:
    """Pictures of any size below `folder`; each sub-folder is a class, without sub-folders there is one class.

    Unreadable files, and pictures that lie beside the sub-folders, are skipped and counted in `skipped`. A fixed share of
    every class is held out as test images (the same one for the same seed). Raises ValueError where nothing readable is found.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"data = {str(folder)!r}: is no folder; give a folder of pictures whose sub-folders are classes")
    classes = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] not in "._" and picture_files(p)]
    beside = [p for p in picture_files(folder) if p.parent == folder]
    images, labels, names = [], [], []
    skipped = len(beside) if classes else 0  # pictures beside the classes belong to none of them
    for place in classes or [folder]:
        found = []
        for path in picture_files(place):
            try:
                found.append(load_image(path, size, channels))
            except ValueError:
                skipped += 1
        if found:
            labels += [len(names)] * len(found)
            names.append(place.name)
            images += found
    if len(images) < 2:
        raise ValueError(f"data = {str(folder)!r}: {len(images)} readable pictures, {skipped} skipped; needs at least 2")
    x, y = torch.stack(images), torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held_out = torch.zeros(len(x), dtype=torch.bool)
    for label in range(len(names)):
        mine = order[y[order] == label]
        held_out[mine[: int(len(mine) * test_share)]] = True
    if not held_out.any():  # tiny classes: still keep one picture to measure on, of the largest class
        held_out[order[y[order] == torch.bincount(y).argmax()][0]] = True
    return ImageData(folder.name, tuple(names), x[~held_out], y[~held_out], x[held_out], y[held_out], skipped)
