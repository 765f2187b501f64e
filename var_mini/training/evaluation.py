"""How good is a model: reconstruction, codebook use, cross-entropy, and the judgement of an independent classifier.

All of it on test images the model never saw, and on images drawn at the model's own sampling defaults.
"""

from __future__ import annotations

from dataclasses import asdict

import torch

from .. import data as datasets
from .. import validate
from ..generation import Sampling
from ..model import Model
from .classifier import Classifier, load_classifier
from .tokenizer import measure_tokenizer
from .transformer import cross_entropy, tokenize_images


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Frechet distance of two sets of feature vectors (N, d), each taken as a Gaussian:
    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). Computed in float64.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(distance.item(), 0.0)


def relative_frechet(features: torch.Tensor, real: torch.Tensor) -> float:
    """Frechet distance divided by the trace of the covariance of the real features, so the network's scale cancels."""
    return frechet_distance(features, real) / torch.cov(real.double().T).trace().item()


def nearest_distance(images: torch.Tensor, reference: torch.Tensor, block: int = 500) -> torch.Tensor:
    """Root-mean-square pixel distance of each image to its nearest reference image: (N, ...), (M, ...) -> (N,)."""
    reference = reference.flatten(1)
    squares = reference.square().sum(1)
    parts = []
    for x in images.flatten(1).split(block):
        parts.append((x.square().sum(1) + (squares[:, None] - reference @ (2 * x.T)).amin(0)).clamp(min=0))
    return (torch.cat(parts) / reference.shape[1]).sqrt()


def memorised_threshold(test: torch.Tensor, train: torch.Tensor) -> float:
    """The distance to the nearest training image that 95 % of unseen test images exceed."""
    return nearest_distance(test, train).quantile(0.05).item()


def memorised_share(samples: torch.Tensor, train: torch.Tensor, threshold: float) -> float:
    """Share of samples nearer to a training image than `memorised_threshold`; unseen images score 5 %."""
    return (nearest_distance(samples, train) < threshold).float().mean().item()


def judge_samples(
    model: Model, classifier: Classifier, real: torch.Tensor, count: int, sampling: Sampling | None, attention: str = "exact"
) -> tuple[torch.Tensor, float, float]:
    """Draws `count` images (label i mod classes, seed i) and judges them against the real features.

    Returns (images in [0, 1], class accuracy, relative Frechet distance).
    """
    labels = [i % model.config.transformer.num_classes for i in range(count)]
    images = model.sample_images(labels, list(range(count)), sampling, attention=attention)
    predicted, features = classifier.judge(images * 2 - 1)
    return images, (predicted == torch.tensor(labels)).float().mean().item(), relative_frechet(features, real)


def evaluate(model: Model, samples: int = 2000) -> dict:
    """All figures of `python -m var_mini evaluate`; see figures in the README for what each means.

    Raises ValueError where the model's data set or its classifier is missing.
    """
    validate.integer("samples", samples, 100, 100_000)
    data = datasets.load(model.config.data)
    classifier = load_classifier(data.name)
    result = measure_tokenizer(model.tokenizer, data.test_images)
    ids = tokenize_images(model.tokenizer, data.test_images)
    result |= cross_entropy(model.transformer, model.tokenizer.quantize, ids, data.test_labels)
    test, train = datasets.to_unit(data.test_images), datasets.to_unit(data.train_images)
    predicted, real = classifier.judge(test)
    result["classifier_real_accuracy"] = (predicted == data.test_labels).float().mean().item()
    images, result["class_accuracy"], result["frechet_samples"] = judge_samples(model, classifier, real, samples, None)
    with torch.inference_mode():
        few = test[:samples]
        reconstructed = torch.cat([model.tokenizer.decode(model.tokenizer.tokenize(x).f_hat[-1]) for x in few.split(250)])
    result["frechet_reconstructions"] = relative_frechet(classifier.judge(reconstructed)[1], real)
    result["frechet_train"] = relative_frechet(classifier.judge(train[:samples])[1], real)
    result["memorised_share"] = memorised_share(images * 2 - 1, train, memorised_threshold(test, train))
    result["samples"] = samples
    result["sampling"] = asdict(model.config.sampling)
    return result
