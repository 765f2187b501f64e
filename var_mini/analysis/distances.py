"""How far drawn images are from real ones: as two sets (Frechet), and each from its nearest (near copies)."""

from __future__ import annotations

import torch

from .neighbours import nearest_images

NEAR_COPY = 0.16  # root mean square pixel distance, where black to white is 2: a PSNR of 22 dB


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


def memorised_threshold(test: torch.Tensor, train: torch.Tensor) -> float:
    """The distance to the nearest training image that 95 % of unseen test images exceed."""
    return nearest_images(test, train)[0].quantile(0.05).item()


def memorised_share(samples: torch.Tensor, train: torch.Tensor, threshold: float) -> float:
    """Share of samples nearer to a training image than `memorised_threshold`; unseen images score 5 %."""
    return (nearest_images(samples, train)[0] < threshold).float().mean().item()


def near_copy_share(images: torch.Tensor, train: torch.Tensor) -> float:
    """Share of images that a person would take for a training image: within NEAR_COPY of one."""
    return (nearest_images(images, train)[0] < NEAR_COPY).float().mean().item()
