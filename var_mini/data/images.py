"""What every data set comes to: pictures as uint8 arrays in memory, with their labels and names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .. import validate

FEW = 50  # held-out pictures below which a figure measured on them is mostly chance


@dataclass
class ImageData:
    """Train and test images, uint8 (N, channels, S, S), and labels, int64 (N,)."""

    name: str
    class_names: tuple[str, ...]
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    skipped: int = 0  # pictures left out: unreadable, or in no class
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
    def known_styles(self) -> torch.Tensor:
        """The style of each training image, int64 (N,). Raises ValueError where pictures have none."""
        if self.train_styles is None:
            raise ValueError(f"data = {self.name!r}: has no styles")
        return self.train_styles

    @property
    def channels(self) -> int:
        return self.train_images.shape[1]

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
        in its name: there `T-shirt-top` is the class `T-shirt/top`. Raises ValueError where no training image is left; of test
        images there may be none.
        """
        if tuple(class_names) == self.class_names or not class_names:
            return self
        known = {name.replace("/", "-"): label for label, name in enumerate(class_names)}
        known |= {name: label for label, name in enumerate(class_names)}
        label_of = torch.tensor([known.get(name, -1) for name in self.class_names])
        train, test = label_of[self.train_labels], label_of[self.test_labels]
        keep, keep_test = train >= 0, test >= 0
        if not keep.any():
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
