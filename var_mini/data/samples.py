"""A few held-out pictures of each data set, small enough to ship, so that there is something to take apart without the data.

    python -m var_mini.data.samples fashion-mnist things

writes assets/samples/NAME/*.png: the first test picture of each class, or of as many classes as are wanted.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..checkpoints import ASSETS
from ..config import ModelConfig
from ..files import atomic_write
from .registry import REGISTRY, load

FOLDER = ASSETS / "samples"
COUNT = 10


@dataclass(frozen=True)
class Sample:
    name: str
    image: torch.Tensor  # float (channels, S, S) in [0, 1]


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)


def load_samples(config: ModelConfig, folder: Path = FOLDER) -> list[Sample]:
    """The shipped pictures of a model's data set, in the model's size and channels; none where none are shipped."""
    t, found = config.tokenizer, []
    classes = {_slug(name): name for name in config.class_names}
    place = folder / config.data
    if config.data not in REGISTRY or not place.is_dir():  # `data` may be a path of whoever trained the model
        return []
    for path in sorted(place.glob("*.png")):
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.size == (t.image_size, t.image_size):
                pixels = np.asarray(picture.convert("L" if t.image_channels == 1 else "RGB"), np.float32) / 255
                image = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()
                found.append(Sample(classes.get(path.stem[3:], path.stem[3:]), image))
    return found


def write_samples(name: str, folder: Path = FOLDER, count: int = COUNT) -> list[Path]:
    """Writes the first test picture of `count` classes, evenly spread over all classes that have one."""
    data = load(name)
    present = [label for label in range(len(data.class_names)) if bool((data.test_labels == label).any())]
    chosen = [present[i * len(present) // min(count, len(present))] for i in range(min(count, len(present)))]
    written = []
    for number, label in enumerate(chosen):
        index = int((data.test_labels == label).nonzero()[0, 0])
        written.append(folder / name / f"{number:02d}-{_slug(data.class_names[label])}.png")
        pixels = data.test_images[index].permute(1, 2, 0).numpy()
        with atomic_write(written[-1]) as temporary:  # grey as three equal channels
            Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))).save(temporary, "PNG")
    return written


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m var_mini.data.samples", description="Writes the sample pictures of data sets.")
    parser.add_argument("data", nargs="+", choices=sorted(REGISTRY))
    options = parser.parse_args(arguments)
    try:
        for name in options.data:
            for path in write_samples(name):
                print(path)
    except (ValueError, OSError) as error:
        print(f"samples: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
