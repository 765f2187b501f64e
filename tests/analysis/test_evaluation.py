"""The measures of quality against closed forms and brute force."""

import numpy as np
import pytest
import torch

from var_mini.analysis.distances import frechet_distance, memorised_share, memorised_threshold, relative_frechet
from var_mini.analysis.evaluation import judge_drawn, labels_as_in
from var_mini.analysis.neighbours import nearest_images
from var_mini.data import ImageData
from var_mini.training.classifier import Classifier, load_classifier


def test_frechet_of_gaussians_with_diagonal_covariance():
    """With covariances that commute the distance is |mu|^2 + sum (sigma_a - sigma_b)^2."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((5000, 4))
    base = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T))).T  # exactly white
    sigma_a, sigma_b, shift = np.array([1, 2, 0.5, 3.0]), np.array([2, 1, 0.5, 0.0]), np.array([1, 0, -2, 0.5])
    a, b = torch.from_numpy(base * sigma_a), torch.from_numpy(base * sigma_b + shift)
    expected = (shift**2).sum() + ((sigma_a - sigma_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert relative_frechet(a, b) == pytest.approx(expected / (sigma_b**2).sum(), rel=1e-6)
    assert relative_frechet(7 * a, 7 * b) == pytest.approx(relative_frechet(a, b), rel=1e-6)


def test_frechet_of_general_covariances():
    """tr (C_a C_b)^(1/2) from the eigenvalues of the product itself."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)), rng.standard_normal((400, 5)) + 1
    roots = np.sqrt(np.linalg.eigvals(np.cov(a.T) @ np.cov(b.T)).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * roots
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-6)


def test_nearest_images_by_brute_force():
    a, b = torch.randn(6, 1, 4, 4), torch.randn(9, 1, 4, 4)
    distances = torch.tensor([[((x - y) ** 2).mean().sqrt() for y in b] for x in a])
    found, indices = nearest_images(a, b, k=3, block=4)
    expected = distances.sort(1)
    assert torch.allclose(found, expected.values[:, :3], atol=1e-5) and torch.equal(indices, expected.indices[:, :3])


def test_copies_count_as_memorised_and_new_images_do_not():
    generator = torch.Generator().manual_seed(0)
    train, test, new = (torch.randn(100, 1, 4, 4, generator=generator) for _ in range(3))
    threshold = memorised_threshold(test, train)
    assert (nearest_images(test, train)[0] < threshold).sum() == 5
    assert memorised_share(train[:50] + 1e-3, train, threshold) == 1.0
    assert memorised_share(new, train, threshold) < 0.15
    assert memorised_share(torch.cat([train[:50], new[:50] + 9]), train, threshold) == 0.5


def test_labels_are_as_frequent_as_in_the_data():
    labels = torch.tensor([2] * 60 + [0] * 30 + [1] * 10)
    assert labels_as_in(labels, 3, 20).bincount(minlength=4).tolist() == [6, 2, 12, 0]
    assert labels_as_in(labels, 3, 1000).bincount().tolist() == [300, 100, 600]
    assert labels_as_in(torch.tensor([1, 0, 2]), 3, 5).tolist() == [0, 1, 2, 0, 1]  # equally frequent: in turn


def test_drawn_images_are_judged_by_the_labels_they_were_drawn_for(tiny, monkeypatch):
    """A model that paints its label as a tone, and a judge that reads it but takes class 1 for class 0."""

    class Judge:
        def judge(self, images):
            label = ((images[:, 0, 0, 0] + 1) * 5).round().long()
            return torch.where(label == 1, 0, label), torch.stack([label, label**2], 1).double()

    painted = lambda labels, seeds, sampling: torch.tensor(labels).float().view(-1, 1, 1, 1).expand(-1, 1, 12, 12) / 10  # noqa: E731
    monkeypatch.setattr(tiny, "sample_images", painted, raising=False)
    test_labels = torch.tensor([0] * 5 + [1] * 1 + [2] * 4)
    images = torch.zeros(10, 1, 12, 12, dtype=torch.uint8)
    data = ImageData("x", ("a", "b", "c"), images[:4] + 51, torch.tensor([0, 1, 2, 2]), images, test_labels)  # 51 is tone 0.2
    real = torch.stack([test_labels, test_labels**2], 1).double()
    figures, drawn = judge_drawn(tiny, data, Judge(), real, 30)
    assert figures["class_accuracy"] == pytest.approx(0.9)
    assert figures["near_copy_share"] == pytest.approx(0.4)  # those of class 2
    assert ((drawn[:, 0, 0, 0] + 1) * 5).round().long().bincount().tolist() == [15, 3, 12]
    assert figures["frechet_samples"] == pytest.approx(0, abs=0.02)


def test_classifier_features_lead_to_its_logits():
    model = Classifier(1, 10).eval()
    images = torch.randn(5, 1, 28, 28)
    predicted, features = model.judge(images, batch_size=2)
    with torch.no_grad():
        assert torch.equal(predicted, model(images).argmax(1))
    assert features.shape == (5, 128) and features.dtype == torch.float64


def test_a_missing_classifier_says_how_to_make_it():
    with pytest.raises(ValueError, match="python -m var_mini train classifier --data nonesuch"):
        load_classifier("nonesuch")
