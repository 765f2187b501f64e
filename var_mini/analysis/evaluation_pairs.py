"""How good is a model that is asked for a thing in a style: the judgement of an independent CNN, by retrieval.

On pairs that were trained and on pairs that nobody trained on; what the judge makes of real held-out pictures stands beside.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import torch

from ..checkpoints import ASSETS
from ..data import ImageData, to_unit
from ..data.things import RELATIVES
from ..generation import Sampling
from ..model import Model
from ..training.judge import Gallery, Judge, load_judge, retrieval
from ..training.tokenizer import measure_tokenizer
from ..training.transformer import cross_entropy, tokenize_images
from .distances import memorised_share, memorised_threshold, near_copy_share, relative_frechet

GUIDANCE = (0.0, 1.0, 2.0, 3.0, 5.0)
GUIDANCE_SAMPLES = 200


@dataclass(frozen=True)
class Bench:
    """What every judgement needs."""

    model: Model
    data: ImageData
    judge: Judge
    gallery: Gallery
    real: torch.Tensor  # features of the real held-out pictures

    def draw(self, conditions: torch.Tensor, sampling: Sampling | None = None) -> torch.Tensor:
        """Pictures in [-1, 1] of pairs (N, 2) of thing and style; picture i from seed i."""
        things, styles = (part.tolist() for part in conditions.unbind(1))
        return self.model.sample_images(things, list(range(len(things))), sampling, style=styles) * 2 - 1

    def figures(self, images: torch.Tensor, conditions: torch.Tensor) -> dict:
        """Retrieval, style, Frechet distance and near copies of pictures that were asked for as `conditions` say."""
        verdict = self.judge.judge(images)
        return retrieval(self.judge, self.gallery, verdict, conditions) | {
            "class_accuracy": (verdict.thing == conditions[:, 0]).float().mean().item(),
            "frechet_samples": relative_frechet(verdict.features, self.real),
            "near_copy_share": near_copy_share(images, to_unit(self.data.train_images)),
        }


def has_trained_relative(data: ImageData) -> torch.Tensor:
    """Which held-out pairs have their thing trained in a style that draws nearly the same picture (`RELATIVES`), bool (N,)."""
    relative = {data.style_names.index(a): data.style_names.index(b) for a, b in RELATIVES.items() if a in data.style_names}
    trained = set(zip(data.train_labels.tolist(), data.known_styles.tolist()))
    return torch.tensor([(thing, relative.get(style)) in trained for thing, style in data.test_conditions.tolist()])


def evaluate_pairs(model: Model, data: ImageData, samples: int = 500) -> dict:
    """The figures of `evaluate` for a model with styles. `samples` pictures are drawn of trained pairs, chosen by seed 0.

    `concept_top1` and `concept_top5` are of drawn trained pairs, `..._heldout_pairs` of the held-out ones, `real_...` of real
    held-out pictures. Raises ValueError where the judge is missing.
    """
    judge = load_judge(data.name, data.class_names, data.style_names)
    gallery = Gallery.of(judge, data)
    test, train = to_unit(data.test_images), to_unit(data.train_images)
    real = judge.judge(test)
    bench = Bench(model, data, judge, gallery, real.features)
    result = measure_tokenizer(model.tokenizer, data.test_images)
    ids = tokenize_images(model.tokenizer, data.test_images)
    result |= cross_entropy(model.transformer, model.tokenizer.quantize, ids, data.test_conditions, batch_size=64)
    result |= {f"real_{k}": v for k, v in retrieval(judge, gallery, real, data.test_conditions).items()}
    result["classifier_real_accuracy"] = (real.thing == data.test_labels).float().mean().item()
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:samples]
    conditions = data.train_conditions[chosen]
    images = bench.draw(conditions)
    result |= bench.figures(images, conditions)
    result["memorised_share"] = memorised_share(images, train, memorised_threshold(test, train))
    images, related = bench.draw(data.test_conditions), has_trained_relative(data)
    for suffix, which in (("", torch.ones_like(related)), ("_related", related), ("_unrelated", ~related)):
        figures = bench.figures(images[which], data.test_conditions[which])
        for key in ("concept_top1", "concept_top5", "style_accuracy"):
            result[f"{key}_heldout_pairs{suffix}"] = figures[key]
    result["heldout_pairs_related"] = related.float().mean().item()
    result["near_copy_share_real"] = near_copy_share(test, train)
    with torch.inference_mode():
        reconstructed = torch.cat([model.tokenizer.decode(model.tokenizer.tokenize(x).f_hat[-1]) for x in test.split(100)])
    seen = judge.judge(reconstructed)
    result["frechet_reconstructions"] = relative_frechet(seen.features, real.features)
    result |= {f"reconstructed_{k}": v for k, v in retrieval(judge, gallery, seen, data.test_conditions).items()}
    result["frechet_train"] = relative_frechet(judge.judge(train[chosen]).features, real.features)
    few = conditions[: min(samples, GUIDANCE_SAMPLES)]
    own = model.config.sampling
    result["by_guidance"] = [{"guidance": g} | bench.figures(bench.draw(few, replace(own, guidance=g)), few) for g in GUIDANCE]
    result |= {"samples": samples, "classes": len(data.class_names), "styles": len(data.style_names)}
    return result | {"sampling": asdict(own)}


def nameable(name: str) -> dict:
    """The share of drawn pictures that readers named rightly, from the stored reader sheet; empty where none was made."""
    path = ASSETS / "results" / f"nameable-{name}.json"
    if not path.is_file():
        return {}
    answers = json.loads(path.read_text())["readings"]
    return {"nameable": sum(sum(reading["right"]) for reading in answers) / sum(len(reading["right"]) for reading in answers)}
