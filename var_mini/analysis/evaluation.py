"""How good is a model: reconstruction, codebook use, cross-entropy, and the judgement of an independent classifier.

All of it on test images the model never saw, and on images drawn at the model's own sampling defaults.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

from .. import data as datasets
from .. import validate
from ..data import ImageData
from ..generation import Sampling
from ..model import Model
from ..training.classifier import Classifier, load_classifier
from ..training.tokenizer import measure_tokenizer
from ..training.transformer import cross_entropy, tokenize_images
from .distances import memorised_share, memorised_threshold, near_copy_share, relative_frechet
from .evaluation_pairs import GUIDANCE, GUIDANCE_SAMPLES, evaluate_pairs


def labels_as_in(labels: torch.Tensor, classes: int, count: int) -> torch.Tensor:
    """`count` labels of which each is as frequent as among `labels` (N,); in turn where all are equally frequent."""
    if len(labels.bincount(minlength=classes).unique()) == 1:
        return torch.arange(count) % classes
    return labels.sort().values[torch.arange(count) * len(labels) // count]


def judge_drawn(
    model: Model, data: ImageData, classifier: Classifier, real: torch.Tensor, count: int, sampling: Sampling | None = None
) -> tuple[dict, torch.Tensor]:
    """Draws `count` images (seed i) and measures them: (figures, the images in [-1, 1]). `real` are features of real images.

    Their classes are as frequent as among the test images.
    """
    labels = labels_as_in(data.test_labels, len(data.class_names), count)
    images = model.sample_images(labels.tolist(), list(range(count)), sampling) * 2 - 1
    predicted, features = classifier.judge(images)
    figures = {
        "class_accuracy": _share(predicted == labels),
        "frechet_samples": relative_frechet(features, real),
        "near_copy_share": near_copy_share(images, datasets.to_unit(data.train_images)),
        "samples": count,
    }
    return figures, images


def evaluate(model: Model, samples: int = 2000) -> dict:
    """All figures of `python -m var_mini evaluate`; docs/quality.md says what each means.

    Raises ValueError where the model's data set or its classifier is missing.
    """
    validate.integer("samples", samples, 100, 100_000)
    data = datasets.load(model.config.data).with_classes(model.config.class_names)
    if data.train_styles is not None:
        return evaluate_pairs(model, data, min(samples, len(data.train_images)))
    classifier = load_classifier(data.name, data.class_names)
    result = measure_tokenizer(model.tokenizer, data.test_images)
    ids = tokenize_images(model.tokenizer, data.test_images)
    result |= cross_entropy(model.transformer, model.tokenizer.quantize, ids, data.test_labels)
    test, train = datasets.to_unit(data.test_images), datasets.to_unit(data.train_images)
    predicted, real = classifier.judge(test)
    result["classifier_real_accuracy"] = _share(predicted == data.test_labels)
    figures, images = judge_drawn(model, data, classifier, real, samples)
    result |= figures
    with torch.inference_mode():
        few = test[:samples]
        reconstructed = torch.cat([model.tokenizer.decode(model.tokenizer.tokenize(x).f_hat[-1]) for x in few.split(250)])
    result["frechet_reconstructions"] = relative_frechet(classifier.judge(reconstructed)[1], real)
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:samples]
    result["frechet_train"] = relative_frechet(classifier.judge(train[chosen])[1], real)
    result["memorised_share"] = memorised_share(images, train, memorised_threshold(test, train))
    result["near_copy_share_heldout"] = near_copy_share(test, train)
    result["by_guidance"] = by_guidance(model, data, classifier, real, min(samples, GUIDANCE_SAMPLES))
    result["classes"] = len(data.class_names)
    result["sampling"] = asdict(model.config.sampling)
    return result


def evaluate_own(model: Model, data: ImageData, samples: int = 2000) -> dict:
    """The figures that need no independent judge, of a model and the pictures it was trained on, such as one's own folder.

    `data` must hold out test images. Raises ValueError where it holds out none, or shares no class with the model.
    """
    validate.integer("samples", samples, 100, 100_000)
    data = data.with_classes(model.config.class_names)
    if not len(data.test_images):
        raise ValueError(f"data = {data.name!r}: holds out no test picture to measure on; give more pictures, or a val/ folder")
    result = measure_tokenizer(model.tokenizer, data.test_images)
    ids = tokenize_images(model.tokenizer, data.test_images)
    result |= cross_entropy(model.transformer, model.tokenizer.quantize, ids, data.test_conditions, batch_size=64)
    test, train = datasets.to_unit(data.test_images), datasets.to_unit(data.train_images)
    labels = labels_as_in(data.test_labels, len(data.class_names), samples)
    images = model.sample_images(labels.tolist(), list(range(samples))) * 2 - 1
    result["memorised_share"] = memorised_share(images, train, memorised_threshold(test, train))
    result["near_copy_share"] = near_copy_share(images, train)
    result["near_copy_share_heldout"] = near_copy_share(test, train)
    return result | {"samples": samples, "classes": len(data.class_names), "sampling": asdict(model.config.sampling)}


def by_guidance(model: Model, data: ImageData, classifier: Classifier, real: torch.Tensor, count: int) -> list[dict]:
    """The figures of `judge_drawn` at each guidance setting; the other settings are the model's own."""
    own = model.config.sampling
    return [{"guidance": g} | judge_drawn(model, data, classifier, real, count, replace(own, guidance=g))[0] for g in GUIDANCE]


def _share(found: torch.Tensor) -> float:
    return found.float().mean().item()
