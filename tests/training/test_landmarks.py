"""Calibration: k-means centres, fitted coefficients, and their file."""

import math
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.analysis.fidelity import output_errors
from var_mini.training import landmarks
from var_mini.training.landmarks import calibrate, fit_coefficients, kmeans_centres
from var_mini.training.qkv import collect_qkv


def test_centres_find_separate_clusters():
    """20 directions with little noise around each: every centre is one of them."""
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(2, 20, 8, generator=generator), dim=-1)
    noise = 0.01 * torch.randn(2, 20, 50, 8, generator=generator)
    vectors = F.normalize(directions[:, :, None] + noise, dim=-1).flatten(1, 2)
    centres = kmeans_centres(vectors, 20, seed=0)
    nearest = torch.cdist(centres, directions).amin(-1)
    assert centres.shape == (2, 20, 8) and (nearest < 0.05).float().mean() > 0.9  # k-means may share a cluster or two
    torch.testing.assert_close(centres.norm(dim=-1), torch.ones(2, 20))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (15, "landmarks = 15: must be a whole number from 16 to 256"),
        (300, "landmarks = 300: must be a whole number from 16 to 256"),
        (64, "landmarks = 64: must be at most the number of calibration vectors, here 40"),
    ],
)
def test_numbers_of_landmarks_that_do_not_fit_are_refused(count, message):
    with pytest.raises(ValueError, match=message):
        kmeans_centres(torch.randn(1, 40, 8), count)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("degree", [2, 4])
def test_fitted_coefficients_are_positive_and_no_worse_than_taylor_in_the_middle(scale, degree):
    cosines = torch.linspace(-0.995, 0.995, 200)
    counts = (1 - cosines**2).double()
    a = fit_coefficients(cosines, counts, scale, degree).numpy()
    t = np.linspace(-scale, scale, 999)
    assert np.polynomial.polynomial.polyval(t, a).min() >= 0.25 * math.exp(-scale) * 0.99
    taylor = [1 / math.factorial(j) for j in range(degree + 1)]

    def error(coefficients):
        x = cosines.double().numpy() * scale
        return (counts.numpy() * (np.polynomial.polynomial.polyval(x, coefficients) - np.exp(x)) ** 2).sum()

    assert error(a) <= error(taylor)


def test_a_fit_that_needs_no_blending_is_the_least_squares_solution():
    cosines, counts = torch.linspace(-0.9, 0.9, 50), torch.ones(50)
    a = fit_coefficients(cosines, counts, 1.0, 2).numpy()
    x = cosines.double().numpy()
    np.testing.assert_allclose(a, np.polynomial.polynomial.polyfit(x, np.exp(x), 2), rtol=1e-6)


def test_collected_vectors_are_those_of_the_masked_pass(tiny):
    """The first layer's q by hand: projection of the normalised input, per head, to unit length."""
    ids = torch.randint(24, (2, 14), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1])
    qkv = collect_qkv(tiny, ids, labels)
    assert qkv.q.shape == qkv.k.shape == qkv.v.shape == (2, 2, 2, 14, 8)
    t = tiny.transformer
    with torch.no_grad():
        condition = t.condition(labels)
        x = t.start_tokens(condition) + t.positions()[:, :1]
        _, _, scale, _, shift, _ = condition.blocks[0]
        h = F.layer_norm(x, (32,), eps=1e-6) * (1 + scale) + shift
        q = h @ t.blocks[0].attn.mat_qkv.weight[:16].T + t.blocks[0].attn.q_bias
    torch.testing.assert_close(qkv.q[0, :, :, 0], F.normalize(q.view(2, 2, 8), dim=-1), atol=1e-5, rtol=0)


def test_calibration_of_a_checkpoint(calibrated_folder, tiny):
    model = checkpoints.load(calibrated_folder)
    assert set(model.transformer.calibration.landmarks) == {16, 32, 64}
    assert set(model.transformer.calibration.coefficients) == {2, 4}
    assert not checkpoints.load(calibrated_folder, calibrated=False).transformer.calibration.landmarks
    assert set(model.transformer.state_dict()) == set(tiny.transformer.state_dict())  # no part of the weights
    ids = torch.randint(24, (4, 14), generator=torch.Generator().manual_seed(0))
    qkv = collect_qkv(model, ids, torch.tensor([0, 1, 2, 0]))
    median = {n: torch.tensor(output_errors(model, qkv, n)[0]).median() for n in ("exact", "poly-2", "poly-4", "landmark-64")}
    assert median["exact"] == 0 and 0 < median["poly-4"] < median["poly-2"] and median["landmark-64"] < 0.2


def test_output_errors_against_a_float64_formula(tiny):
    ids = torch.randint(24, (3, 14), generator=torch.Generator().manual_seed(0))
    qkv = collect_qkv(tiny, ids, torch.tensor([0, 1, 2]))
    errors, _ = output_errors(tiny, qkv, "poly-2")
    for layer, head, scale in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        where = tiny.config.pyramid.slices[scale]
        q, k, v = (x[layer, :, head].double().numpy() for x in (qkv.q, qkv.k, qkv.v))
        s = tiny.transformer.blocks[layer].attn.logit_scale()[head].item()
        t = s * q[:, where] @ k[:, : where.stop].transpose(0, 2, 1)
        outs = [w / w.sum(-1, keepdims=True) @ v[:, : where.stop] for w in (np.exp(t), 1 + t + t * t / 2)]
        wanted = np.linalg.norm(outs[1] - outs[0]) / np.linalg.norm(outs[0])
        assert errors[layer][head][scale] == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_bad_calibration_is_refused(tiny):
    images, labels = torch.zeros(2, 1, 12, 12, dtype=torch.uint8), torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match="landmarks = 64: must be at most the number of calibration vectors, here 56"):
        calibrate(tiny, images, labels, (64,))
    with pytest.raises(ValueError, match="landmarks = 8: must be a whole number from 16 to 256"):
        calibrate(tiny, images, labels, (16, 8))
    assert not tiny.transformer.calibration.landmarks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({"landmarks.16": t["landmarks.16"] * 1.5}), "landmarks.16 has a landmark that is no unit vector"),
        (lambda t: t.update({"landmarks.16": t["landmarks.16"] * math.nan}), "landmarks.16 is not a finite"),
        (lambda t: t.update({"landmarks.17": t.pop("landmarks.16")}), "no known kind: 'landmarks.17'"),
        (lambda t: t.update({"landmarks.16": t["landmarks.16"][:1].clone()}), "does not fit: landmarks have shape"),
        (lambda t: t.update({"other.2": torch.zeros(3)}), "no known kind: 'other.2'"),
        (lambda t: t.update({"coefficients.3": torch.ones(2, 2, 4)}), "does not fit: degree = 3: must be even"),
        (lambda t: t.update({"landmarks.": torch.zeros(())}), "no known kind"),
        (lambda t: t.update({"landmarks.16": torch.zeros(0, 2, 16, 8)}), r"does not fit: landmarks.16 is empty, of shape \(0, 2"),
    ],
)
def test_a_damaged_calibration_file_is_named(calibrated_folder, tmp_path, change, message):
    for name in (checkpoints.CONFIG, checkpoints.WEIGHTS, checkpoints.CALIBRATION):
        (tmp_path / name).write_bytes((calibrated_folder / name).read_bytes())
    tables = load_file(tmp_path / checkpoints.CALIBRATION)
    change(tables)
    save_file(tables, tmp_path / checkpoints.CALIBRATION)
    with pytest.raises(ValueError, match=message):
        checkpoints.load(tmp_path)
    (tmp_path / checkpoints.CALIBRATION).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        checkpoints.load(tmp_path)


def test_classes_of_a_folder_are_those_of_the_model_by_their_names(tiny_folder, tmp_path, monkeypatch, capsys):
    """Cows, class 2 of the model, are the first sub-folder; of another thing the model knows nothing."""
    given = {}
    monkeypatch.setattr(landmarks, "calibrate", lambda model, images, labels, counts: given.update(labels=labels.tolist()))
    monkeypatch.setattr(checkpoints, "save_calibration", lambda model, where: None)
    for name in ("cow", "dog"):
        (tmp_path / "some" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (12, 12), 40 * number).save(tmp_path / "some" / name / f"{number}.png")
    shutil.copytree(tmp_path / "some" / "dog", tmp_path / "none" / "dog")
    command = ["train", "landmarks", "--model", str(tiny_folder), "--out", str(tmp_path), "--data"]
    assert main([*command, str(tmp_path / "some")]) == 0 and set(given["labels"]) == {2}
    assert main([*command, str(tmp_path / "none")]) == 2
    assert "has no images of the model's classes ('ant', 'bee', 'cow')" in capsys.readouterr().err


def test_the_command_refuses_bad_input(tmp_path, capsys):
    for arguments, message in (
        (["--landmarks", "x"], "landmarks = 'x': must be whole numbers"),
        (["--landmarks", "8"], "landmarks = 8: must be a whole number from 16 to 256"),
        (["--model", "nothing"], "model = 'nothing'"),
        (["--model", "var_d16"], "model = 'var_d16': is a published one, whose landmarks nothing could load"),
        (["--model", "var_d16", "--out", str(tmp_path / "x")], "model = 'var_d16': is a published one"),
    ):
        model = [] if "--model" in arguments else ["--model", "fashion-28"]
        assert main(["train", "landmarks", *model, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
