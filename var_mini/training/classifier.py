"""A small independent CNN that judges samples: does a drawn image look like the class it was asked for?

It never takes part in training a VAR. Its penultimate features also serve the relative Frechet distance.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from .. import validate
from ..checkpoints import ASSETS, CONFIG, WEIGHTS
from ..data import ImageData, to_unit
from ..files import atomic_write, read_object
from .memory import reuse_memory
from .objective import Objective
from .schedule import Schedule

FEATURES = 128


class Classifier(nn.Module):
    """Images (B, channels, S, S) in [-1, 1] -> class logits; `features` gives the penultimate layer, (B, 128)."""

    def __init__(self, channels: int, num_classes: int, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
            for source in (a, b):
                layers += [nn.Conv2d(source, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.narrow = nn.Linear(16 * width, FEATURES)
        self.head = nn.Linear(FEATURES, num_classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return F.relu(self.narrow(self.body(images)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(F.dropout(self.features(images), 0.3, self.training))

    @torch.inference_mode()
    def judge(self, images: torch.Tensor, batch_size: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
        """Images in [-1, 1] -> (predicted labels (N,), features float64 (N, 128)) on the CPU."""
        self.eval()
        device = self.head.weight.device
        features = torch.cat([self.features(x.to(device)) for x in images.split(batch_size)])
        return self.head(features).argmax(1).cpu(), features.double().cpu()


class ClassifierObjective(Objective[Classifier]):
    """(step, images, labels) -> (loss, metrics); images are shifted by up to two pixels."""

    def forward(self, step: int, images: torch.Tensor, labels: torch.Tensor):
        torch.manual_seed(step)
        dy, dx = torch.randint(-2, 3, (2,)).tolist()
        logits = self.model(torch.roll(images, (dy, dx), (2, 3))).float()
        return F.cross_entropy(logits, labels), {"accuracy": (logits.argmax(1) == labels).float().mean().detach()}


def train_classifier(data: ImageData, out: Path | str, steps: int = 3000, batch_size: int = 128) -> float:
    """Trains a classifier of the classes in `data` and writes it to the folder `out`. Returns its accuracy on the test images."""
    from .loop import Trainer, digest  # needs accelerate, which judging does without

    reuse_memory()
    torch.manual_seed(0)
    model = Classifier(data.channels, len(data.class_names))
    schedule = Schedule(steps=steps, batch_size=batch_size, lr=2e-3, weight_decay=0.02, ema=0.0)
    trainer = Trainer(ClassifierObjective(model), schedule, Path(out) / "training", identity=digest(data.train_images))

    def batch(indices, _):
        return [to_unit(data.train_images[indices]), data.train_labels[indices]]

    def validation(_):
        predicted, _ = model.judge(to_unit(data.test_images))
        return {"test_accuracy": (predicted == data.test_labels).float().mean().item()}

    trainer.run(len(data.train_images), batch, 1000, validation)
    with atomic_write(Path(out) / WEIGHTS) as path:
        save_file({n: t.half() if t.is_floating_point() else t for n, t in model.cpu().state_dict().items()}, path)
    config = {"channels": data.channels, "data": data.name, "class_names": list(data.class_names)}
    with atomic_write(Path(out) / CONFIG) as path:
        path.write_text(json.dumps(config, indent=1) + "\n")
    shutil.copy(trainer.out / "log.csv", Path(out) / "log.csv")
    return validation(model)["test_accuracy"]


def load_classifier(data_name: str, class_names: tuple[str, ...] = ()) -> Classifier:
    """The shipped classifier of a data set; with `class_names` it answers in their order instead of its own.

    Raises ValueError where there is none, or for other classes; the message says how to train it.
    """
    folder = ASSETS / "classifiers" / data_name
    train = f"python -m var_mini train classifier --data {data_name}"
    if not (folder / WEIGHTS).exists():
        raise ValueError(f"no classifier for data set {data_name!r}: {train}")
    try:
        config = read_object(folder / CONFIG)
        state = load_file(folder / WEIGHTS)
        own = config["class_names"]
        if class_names and sorted(own) != sorted(class_names):
            raise ValueError(
                f"it tells {validate.shown(own)} apart, the data set {validate.shown(class_names)}; make another: {train}"
            )
        model = Classifier(config["channels"], len(own))
        state = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
        order = torch.tensor([own.index(name) for name in class_names or own])  # by name: another list may order them otherwise
        for name in ("head.weight", "head.bias"):
            state[name] = state[name][order]
        model.load_state_dict(state)
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError, IndexError, SafetensorError) as error:
        raise ValueError(f"{folder} does not hold a classifier: {error}") from None
    return model.eval()
