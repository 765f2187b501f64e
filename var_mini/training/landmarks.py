"""Calibration of the low-rank back ends on training images: landmarks by k-means, coefficients by least squares.

Both are small tables per layer and head, stored in the checkpoint's folder beside the weights and made by
`python -m var_mini train landmarks`. Nothing is trained: the weights stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans

from .. import checkpoints, data, validate
from ..attention import AttentionSpec
from ..attention.polynomial import taylor
from ..files import writable_folder
from ..model import Model
from .qkv import QKV, collect_qkv
from .transformer import tokenize_images

LANDMARKS = (16, 32, 64)
DEGREES = (2, 4)
VECTORS = 16_384  # per head for k-means
BINS = 400  # of the histogram of q . k


def kmeans_centres(vectors: torch.Tensor, count: int, seed: int = 0) -> torch.Tensor:
    """k-means centres of each head's unit vectors, brought back to unit length: (H, n, d) -> float32 (H, count, d).

    Means of unit vectors are shorter than one; on the sphere, where q and k are, the landmarks of `fashion-28` need a sixth
    of the fallbacks. Raises ValueError where there are fewer vectors than centres.
    """
    AttentionSpec("landmark", landmarks=count)  # checks the range
    if vectors.shape[1] < count:
        raise ValueError(f"landmarks = {count}: must be at most the number of calibration vectors, here {vectors.shape[1]}")
    centres = [
        KMeans(count).set_params(n_init=1, max_iter=50, random_state=seed).fit(head.numpy()).cluster_centers_
        for head in vectors.double().cpu()
    ]
    return F.normalize(torch.stack([torch.from_numpy(c).float() for c in centres]), dim=-1)


def fit_coefficients(cosines: torch.Tensor, counts: torch.Tensor, scale: float, degree: int) -> torch.Tensor:
    """Coefficients a_0 ... a_g of the polynomial nearest to exp(t), t = scale * cosine, in the mean square over a histogram.

    Where that polynomial comes near zero on [-scale, scale] it is blended with Taylor's, which is positive for even degrees,
    until it is at least a quarter of exp(-scale) there. float64 (degree + 1,).
    """
    powers = torch.arange(degree + 1, dtype=torch.float64)
    t = cosines.double() * scale
    root = counts.double().sqrt()[:, None]
    fitted = torch.linalg.lstsq(root * t[:, None] ** powers, root * t.exp()[:, None], driver="gelsd").solution[:, 0]
    grid = torch.linspace(-scale, scale, 2001, dtype=torch.float64)[:, None] ** powers
    least, safe = 0.25 * torch.tensor(-scale, dtype=torch.float64).exp(), taylor(degree)
    for share in torch.linspace(0, 1, 101, dtype=torch.float64):
        blended = (1 - share) * fitted + share * safe
        if (grid @ blended).min() >= least:
            return blended
    return safe


def _histogram(qkv: QKV, model: Model, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How often q . k falls into each bin, over all pairs that the mask allows: centres (BINS,), counts (H, BINS)."""
    mask = model.config.pyramid.block_causal_mask(qkv.q.device)
    edges = torch.linspace(-1, 1, BINS + 1)
    counts = []
    for head in range(model.transformer.config.heads):
        cosines = (qkv.q[layer, :, head] @ qkv.k[layer, :, head].transpose(-1, -2))[:, mask]
        counts.append(torch.histc(cosines.float().cpu(), BINS, -1, 1))
    return (edges[1:] + edges[:-1]) / 2, torch.stack(counts)


def calibrate(
    model: Model, images: torch.Tensor, labels: torch.Tensor, landmarks: tuple[int, ...] = LANDMARKS, seed: int = 0
) -> None:
    """Sets landmarks and coefficients of `model` from uint8 training images and their labels.

    Every second image goes in with the null class, since guidance draws with both. Raises ValueError where a number of
    landmarks is out of range or above the number of calibration vectors, before anything is set.
    """
    for count in landmarks:
        AttentionSpec("landmark", landmarks=validate.integer("landmarks", count, 1, 1 << 20))
    t = model.transformer.config
    if not t.attn_l2_norm:
        raise ValueError("attn_l2_norm = False: calibration needs unit queries and keys")
    even, null = torch.arange(len(labels)) % 2 == 0, model.transformer.null_label(len(labels))
    if labels.ndim < null.ndim:  # pictures without styles, for a model that has some: any
        null = null[:, 0]
    labels = torch.where(even if labels.ndim == 1 else even[:, None], labels, null)
    qkv = collect_qkv(model, tokenize_images(model.tokenizer, images), labels)
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.cat([qkv.q, qkv.k], 1).cpu().permute(0, 2, 1, 3, 4).flatten(2, 3)  # (layers, H, 2 B L, d)
    chosen = torch.randperm(vectors.shape[2], generator=generator)[:VECTORS]
    vectors = vectors[:, :, chosen]
    tables = [torch.stack([kmeans_centres(layer, count, seed) for layer in vectors]) for count in landmarks]
    coefficients = {degree: [] for degree in DEGREES}
    for layer, block in enumerate(model.transformer.blocks):
        cosines, counts = _histogram(qkv, model, layer)
        scales = block.attn.logit_scale().tolist()
        for degree, rows in coefficients.items():
            rows.append(torch.stack([fit_coefficients(cosines, c, s, degree) for c, s in zip(counts, scales)]))
    for table in tables:
        model.transformer.set_landmarks(table)
    for rows in coefficients.values():
        model.transformer.set_coefficients(torch.stack(rows))


def train_landmarks(
    name: str | Path, out: Path | str | None = None, folder: Path | str | None = None, landmarks=LANDMARKS, images: int = 512
) -> Path:
    """Calibrates a checkpoint on images of its own training data and writes the tables into its folder (or `out`).

    Raises ValueError for a published model: it has no folder that its tables could be loaded from.
    """
    if str(name) in checkpoints.OFFICIAL:
        raise ValueError(
            f"model = {str(name)!r}: is a published one, whose landmarks nothing could load; name a checkpoint folder"
        )
    config = checkpoints.load_config(name)
    validate.integer("images", images, 1, 100_000)
    t = config.tokenizer
    if folder is None and config.data not in data.REGISTRY:
        raise ValueError(
            f"data = None: {str(name)!r} was trained on {validate.shown(config.data)}, no data set of this project; give its "
            "folder of pictures with --data"
        )
    where = writable_folder("out", out if out is not None else checkpoints.find(name))
    source = data.load(config.data) if folder is None else data.load_folder(folder, t.image_size, t.image_channels)
    if folder is not None:
        print(source.report(), file=sys.stderr)
    source = source.with_classes(config.class_names)
    model = checkpoints.load(name, calibrated=False)  # whatever is there is replaced
    chosen = torch.randperm(len(source.train_images), generator=torch.Generator().manual_seed(0))[:images]
    calibrate(model, source.train_images[chosen], source.train_conditions[chosen], tuple(landmarks))
    checkpoints.save_calibration(model, where)
    return where
