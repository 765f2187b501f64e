"""Fashion-MNIST (Zalando Research, MIT licence), from Debian's package or its public place."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from ..config import FASHION_CLASSES
from .images import ImageData

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
    except (OSError, EOFError, zlib.error) as error:
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


def fashion_is_here() -> bool:
    """Whether loading it downloads nothing."""
    import pooch

    kept = pooch.os_cache("pooch")
    return all((FASHION_FOLDER / name).exists() or (kept / f"fashion-{name}").exists() for name in FASHION_FILES)


def load_fashion_mnist() -> ImageData:
    """60,000 + 10,000 grey 28x28 images of ten kinds of clothing."""
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_fashion_file(f"{part}-images-idx3-ubyte.gz"))
        labels = read_idx(_fashion_file(f"{part}-labels-idx1-ubyte.gz"))
        parts += [torch.from_numpy(images.copy())[:, None], torch.from_numpy(labels.astype(np.int64))]
    return ImageData("fashion-mnist", FASHION_CLASSES, *parts)
