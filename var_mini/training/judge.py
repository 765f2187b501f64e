"""An independent CNN that judges pictures with two labels: does it show the thing that was asked for, and in which style?

It never takes part in training a VAR, and never sees the held-out pairs. Two networks: one makes an embedding that answers by
*retrieval*, so that a thing is recognised where the nearest real pictures, all of other styles, show it, and a pair that nobody
ever drew can be judged as well; it learns from heavily changed pictures. The other tells styles, which such changes would hide.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
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
from .augment import augment
from .classifier import Classifier
from .memory import reuse_memory
from .objective import Objective
from .schedule import Schedule

EMBEDDING = 128
WIDTH = 48
RANKER = {"width": 32, "batch_size": 96, "seed": 7}  # a second one, narrower and by other batches, see analysis/best_of.py
SHARPNESS = 16.0  # of the cosine softmax over things
STRENGTH = 2.5  # of the augmentation, against what the models are trained with


@dataclass(frozen=True)
class Verdict:
    """What the judge says of N pictures, on the CPU."""

    embedding: torch.Tensor  # float32 (N, 128), unit vectors
    features: torch.Tensor  # float64 (N, 128), the same before normalisation, for the Frechet distance
    thing: torch.Tensor  # int64 (N,), by the head that was trained on the things
    style: torch.Tensor  # int64 (N,)


class Judge(nn.Module):
    """Pictures (B, 3, S, S) in [-1, 1] -> an embedding and logits of things; and, by a network of its own, logits of styles."""

    def __init__(self, things: int, styles: int, width: int = WIDTH):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        before = 12
        for after in (width, 2 * width, 4 * width):
            for source in (before, after):
                layers += [nn.Conv2d(source, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            before = after
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.narrow = nn.Sequential(nn.Linear(16 * width, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING))
        self.things = nn.Parameter(torch.randn(things, EMBEDDING) / EMBEDDING**0.5)
        self.style = Classifier(3, styles, width // 2)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """-> features (B, 128), logits of things."""
        features = self.narrow(F.dropout(self.body(images), 0.2, self.training)).float()
        return features, SHARPNESS * F.normalize(features) @ F.normalize(self.things).T

    @torch.inference_mode()
    def judge(self, images: torch.Tensor, batch_size: int = 250) -> Verdict:
        """Pictures in [-1, 1] -> the verdict."""
        self.eval()
        features, things = (torch.cat(p).cpu() for p in zip(*(self(x.to(self.things.device)) for x in images.split(batch_size))))
        return Verdict(F.normalize(features), features.double(), things.argmax(1), self.style.judge(images, batch_size)[0])


class JudgeObjective(Objective[Judge]):
    """(step, heavily changed images, little changed ones, labels (B, 2) of thing and style) -> (loss, metrics)."""

    def forward(self, step: int, rough: torch.Tensor, plain: torch.Tensor, labels: torch.Tensor):
        torch.manual_seed(step)  # dropout follows from the step
        things, styles = self.model(rough)[1], self.model.style(plain).float()
        thing, style = labels.unbind(1)
        loss = F.cross_entropy(things, thing, label_smoothing=0.1) + F.cross_entropy(styles, style)
        right = {"thing_accuracy": things.argmax(1) == thing, "style_accuracy": styles.argmax(1) == style}
        return loss, {name: found.float().mean().detach() for name, found in right.items()}


def roughened(images: torch.Tensor, generator: torch.Generator, flips: torch.Tensor | None) -> torch.Tensor:
    """Heavily changed views: augmented, half of them blurred as a tokenizer blurs, each with a white patch somewhere."""
    x = augment(images, generator, flips, STRENGTH)
    side = x.shape[-1]
    u = torch.rand(len(x), 4, generator=generator)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.where((u[:, 0] < 0.5)[:, None, None, None], soft, x)
    place = torch.arange(side) / side
    inside = [(place >= c[:, None]) & (place < c[:, None] + 0.3 * u[:, 3:]) for c in (u[:, 1], u[:, 2])]
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 1.0, x)


@dataclass(frozen=True)
class Gallery:
    """Real training pictures that a judged one is compared with."""

    embedding: torch.Tensor  # (M, 128)
    thing: torch.Tensor  # int64 (M,)
    style: torch.Tensor  # int64 (M,)

    @staticmethod
    def of(judge: Judge, data: ImageData) -> Gallery:
        return Gallery(judge.judge(to_unit(data.train_images)).embedding, data.train_labels, data.known_styles)

    def rank_of(self, embedding: torch.Tensor, thing: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """How many things have a picture nearer than the nearest one of the right thing, int64 (N,): 0 = recognised at once.

        embedding (N, 128); thing and style int64 (N,), what was asked for. Pictures of the same style are left out, so that
        neither the very picture nor a likeness of style can help.
        """
        likeness = embedding @ self.embedding.T  # (N, M)
        likeness = likeness.masked_fill(self.style[None] == style[:, None], -2.0)
        best = likeness.new_full((len(embedding), int(self.thing.max()) + 1), -2.0)
        best.scatter_reduce_(1, self.thing.expand_as(likeness), likeness, "amax")
        return (best > best.gather(1, thing[:, None])).sum(1)


def retrieval(judge: Judge, gallery: Gallery, verdict: Verdict, conditions: torch.Tensor) -> dict[str, float]:
    """Shares of pictures whose thing is first, and among the first five, and whose style is right; conditions (N, 2)."""
    thing, style = conditions.unbind(1)
    rank = gallery.rank_of(verdict.embedding, thing, style)
    return {
        "concept_top1": (rank == 0).float().mean().item(),
        "concept_top5": (rank < 5).float().mean().item(),
        "style_accuracy": (verdict.style == style).float().mean().item(),
    }


def train_judge(
    data: ImageData, out: Path | str, steps: int = 1500, batch_size: int = 128, width: int = WIDTH, seed: int = 0
) -> dict[str, float]:
    """Trains a judge of things and styles and writes it to the folder `out`. Returns its `retrieval` on the held-out pairs."""
    if data.train_styles is None:
        raise ValueError(f"data = {data.name!r}: has no styles, so a classifier judges it, not a judge of things and styles")
    from .loop import Trainer, digest  # needs accelerate, which judging does without

    reuse_memory()
    torch.manual_seed(seed)
    model = Judge(len(data.class_names), len(data.style_names), width)
    schedule = Schedule(steps=steps, batch_size=batch_size, lr=3e-3, weight_decay=0.05, ema=0.0, seed=seed)
    identity = digest(data.train_images, data.train_conditions)
    trainer = Trainer(JudgeObjective(model), schedule, Path(out) / "training", identity=identity)
    conditions = data.train_conditions

    def batch(indices, generator):
        flips = None if data.flips is None else data.flips[indices]
        images = data.train_images[indices]
        return [roughened(images, generator, flips), augment(images, generator, flips, 0.5), conditions[indices]]

    def validation(_):
        verdict = model.judge(to_unit(data.test_images))
        return {f"test_{k}": v for k, v in retrieval(model, Gallery.of(model, data), verdict, data.test_conditions).items()}

    trainer.run(len(data.train_images), batch, 500, validation)
    with atomic_write(Path(out) / WEIGHTS) as path:
        save_file({n: t.half() if t.is_floating_point() else t for n, t in model.cpu().state_dict().items()}, path)
    with atomic_write(Path(out) / CONFIG) as path:
        config = {"data": data.name, "width": width, "things": list(data.class_names), "styles": list(data.style_names)}
        path.write_text(json.dumps(config, indent=1) + "\n")
    shutil.copy(trainer.out / "log.csv", Path(out) / "log.csv")
    return validation(model)


def load_judge(data_set: str, things: tuple[str, ...], styles: tuple[str, ...], kind: str = "classifier") -> Judge:
    """The shipped judge of a data set with styles, or its `ranker`. Raises ValueError where there is none, or it is of others."""
    folder = ASSETS / "classifiers" / (data_set if kind == "classifier" else f"{data_set}-{kind}")
    train = f"python -m var_mini train {kind} --data {data_set}"
    if not (folder / WEIGHTS).exists():
        raise ValueError(f"no {kind} of things and styles for data set {data_set!r}: {train}")
    try:
        config = read_object(folder / CONFIG)
        if (config["things"], config["styles"]) != (list(things), list(styles)):
            raise ValueError(f"it knows {len(config['things'])} other things or styles; make another: {train}")
        model = Judge(len(things), len(styles), validate.integer("width", config.get("width", WIDTH), 1, 1024))
        state = load_file(folder / WEIGHTS)
        model.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in state.items()})
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} does not hold a judge: {error}") from None
    return model.eval()
