"""generate(): draws images scale by scale and yields a record of each scale (VAR, arXiv 2404.02905, figure 4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from .. import validate
from ..attention import STATES
from ..config import Sampling
from ..tokenizer import VQVAE
from ..transformer import VAR
from .sampling import MAX_SEED, draw, filter_logits, guide, noise_generators
from .trace import TOP_CANDIDATES, ScaleStep

MAX_BATCH = 1 << 16


class Clock:
    """Seconds of a clock; with `wait`, after the work queued on a GPU is done."""

    def __init__(self, device: torch.device, wait: bool = True):
        self.device = device if wait and device.type == "cuda" else None

    def __call__(self) -> float:
        if self.device is not None:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class _Record:
    """What `generate` was asked to record, by the names of its arguments."""

    capture: str
    details: bool
    partial_images: bool
    keep_logits: bool
    timed: bool


@dataclass
class _Watch:
    """Stands between a block and its attention state: times it, and captures weights when asked to."""

    clock: Clock
    capture: str
    images: int
    counts: tuple[int, ...]
    seconds: float = 0.0
    captured: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, layer: int, state, q, k, v) -> torch.Tensor:
        begin = self.clock()
        state.extend(k, v)
        out = state.attend(q)
        self.seconds += self.clock() - begin
        if self.capture != "none":
            weights = state.weights(q)[: self.images]  # the conditional half, where guidance doubled the batch
            if self.capture == "blocks":  # mass on each scale so far, mean over the queries
                parts = weights.split(self.counts, dim=-1)
                weights = torch.stack([p.sum(-1).mean(-1) for p in parts], -1)
            self.captured.append(weights.float().cpu())
        return out


def normalise(label, seed, num_classes: int) -> tuple[list[int], list[int]]:
    """Labels and seeds as two lists of one length; a single value is repeated.

    Raises ValueError unless every label is a class, every seed is in range, and the lengths fit.
    """
    labels, seeds = (list(value) if isinstance(value, (list, tuple, range)) else [value] for value in (label, seed))
    batch = min(len(labels), len(seeds)) and max(len(labels), len(seeds))
    validate.integer("batch", batch, 1, MAX_BATCH)
    labels = [validate.integer("label", value, 0, num_classes - 1) for value in labels]
    seeds = [validate.integer("seed", value, 0, MAX_SEED) for value in seeds]
    labels, seeds = (given * batch if len(given) == 1 else given for given in (labels, seeds))
    if len(labels) != len(seeds):
        raise ValueError(f"label has {len(labels)} and seed has {len(seeds)} entries: must be equal, or one of them 1")
    return labels, seeds


def generate(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str = "exact",
    capture: str = "none",
    details: bool = True,
    partial_images: bool = True,
    keep_logits: bool = False,
    timed: bool = True,
) -> Iterator[ScaleStep]:
    """Draws a batch of images, one forward pass and one ScaleStep per scale.

    label, seed   one value, or a list with one per image; image i depends on its own label and seed alone
    attention     name of the back end
    capture       "none", "blocks" (attention mass per scale, layer and head) or "full" (all weights)
    details       whether to record entropy, probabilities and candidates of every token
    partial_images  whether to decode f_hat after every scale, or after the last one only
    keep_logits   whether to keep each scale's guided logits (B, n, V)
    timed         whether to wait for a GPU before every reading of the clock; without it its times mean nothing
    Raises ValueError on any argument out of its range, before anything is drawn.
    """
    labels, seeds = normalise(label, seed, transformer.config.num_classes)
    validate.one_of("capture", capture, ("none", "blocks", "full"))
    validate.one_of("attention", attention, STATES)
    generators = noise_generators(seeds)
    sampling = sampling or Sampling()
    record = _Record(capture, details, partial_images, keep_logits, timed)
    return _draw_scales(tokenizer, transformer, labels, generators, sampling, attention, record)


@torch.no_grad()  # not inference_mode: whoever reads a record may go on computing with it, gradients included
def _draw_scales(
    tokenizer: VQVAE,
    transformer: VAR,
    labels: list[int],
    generators: list[torch.Generator],
    sampling: Sampling,
    attention: str,
    record: _Record,
) -> Iterator[ScaleStep]:
    pyramid, quantizer = transformer.pyramid, tokenizer.quantize
    device = transformer.pos_1LC.device
    clock = Clock(device, record.timed)
    B, K = len(labels), pyramid.num_scales
    guided = sampling.guidance > 0
    label = torch.tensor(labels + [transformer.config.num_classes] * (B if guided else 0), device=device)
    condition = transformer.condition(label)
    states = transformer.new_states(len(label), attention)
    f_hat = torch.zeros(B, transformer.z_channels, pyramid.side, pyramid.side, device=device)
    for k in range(K):
        watch = _Watch(clock, record.capture, B, pyramid.counts[: k + 1])
        begin = clock()
        var_input = None
        if k > 0:
            var_input = quantizer.transformer_input(f_hat, k)
            var_input = torch.cat([var_input, var_input]) if guided else var_input
        logits = transformer.step(k, var_input, condition, states, watch)
        if guided:
            logits = guide(logits[:B], logits[B:], sampling.guidance * pyramid.progress(k))
        filtered = filter_logits(logits / sampling.temperature, sampling.top_k, sampling.top_p)
        ids = filtered.argmax(-1) if sampling.top_k == 1 else draw(filtered, generators)  # (B, n_k)
        f_hat = f_hat + quantizer.contribution(ids, k)
        drawn = clock()
        image = None
        if record.partial_images or k == K - 1:
            image = (tokenizer.decode(f_hat) + 1) / 2
        decoded = clock()
        step = ScaleStep(
            index=k,
            side=pyramid.patch_nums[k],
            token_ids=ids.cpu(),
            f_hat=f_hat.cpu(),
            image=None if image is None else image.cpu(),
            seconds_attention=watch.seconds,
            seconds_transformer=drawn - begin - watch.seconds,
            seconds_decoder=decoded - drawn,
            state_bytes=sum(state.state_bytes for state in states),
        )
        if record.keep_logits:
            step.logits = logits.cpu()
        if record.details:
            _describe(step, filtered, ids)
        if watch.captured:
            step.attention = torch.stack(watch.captured, 1)  # (B, layers, H, ...)
            step.attention_kind = record.capture
        yield step


def _describe(step: ScaleStep, filtered: torch.Tensor, ids: torch.Tensor) -> None:
    """Entropy, probability of the drawn code and the most likely codes, of the distribution really sampled from."""
    log_p = filtered.log_softmax(-1)
    p = log_p.exp()
    step.entropy = -(p * log_p.nan_to_num(neginf=0.0)).sum(-1).cpu()
    step.probability = p.gather(-1, ids.unsqueeze(-1)).squeeze(-1).cpu()
    top = p.topk(min(TOP_CANDIDATES, p.shape[-1]), dim=-1)
    step.top_ids, step.top_probability = top.indices.cpu(), top.values.cpu()


def sample_images(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str = "exact",
    batch_size: int = 100,
) -> torch.Tensor:
    """Only the final images, float (N, channels, S, S) in [0, 1], drawn in batches without any further record."""
    labels, seeds = normalise(label, seed, transformer.config.num_classes)
    validate.integer("batch_size", batch_size, 1, MAX_BATCH)
    bare = {"details": False, "partial_images": False, "timed": False}
    images = []
    for i in range(0, len(labels), batch_size):
        part = slice(i, i + batch_size)
        *_, last = generate(tokenizer, transformer, labels[part], seeds[part], sampling, attention, **bare)
        images.append(last.image)
    return torch.cat(images)
