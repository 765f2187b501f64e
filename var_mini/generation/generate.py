"""generate(): draws images scale by scale and yields a record of each scale (VAR, arXiv 2404.02905, figure 4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from .. import validate
from ..attention import AttentionSpec, AttentionState
from ..config import Sampling
from ..tokenizer import VQVAE
from ..transformer import VAR
from .sampling import MAX_SEED, draw, filter_logits, guide, noise_generators
from .trace import TOP_CANDIDATES, ScaleStep

MAX_BATCH = 1 << 16


class Clock:
    """Seconds of a clock; with `wait`, after the work queued on a GPU is done."""

    def __init__(self, device: torch.device, wait: bool = True):
        self.device = device if wait and device.type in ("cuda", "mps") else None

    def __call__(self) -> float:
        if self.device is not None:
            torch.accelerator.synchronize(self.device)
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
            self.captured.append(_to_host(weights.float()))
        return out


def normalise(label, seed, num_classes: int) -> tuple[list[int], list[int]]:
    """Labels and seeds, each a number, a list, or a tensor or array of them, as two lists of one length; one alone is repeated.

    Raises ValueError unless every label is a class, every seed is in range, and the lengths fit.
    """
    given = (_plain(label), _plain(seed))
    labels, seeds = ([_plain(v) for v in value] if isinstance(value, (list, tuple, range)) else [value] for value in given)
    batch = min(len(labels), len(seeds)) and max(len(labels), len(seeds))
    validate.integer("batch", batch, 1, MAX_BATCH)
    labels = [validate.integer("label", value, 0, num_classes - 1) for value in labels]
    seeds = [validate.integer("seed", value, 0, MAX_SEED) for value in seeds]
    labels, seeds = (given * batch if len(given) == 1 else given for given in (labels, seeds))
    if len(labels) != len(seeds):
        raise ValueError(f"label has {len(labels)} and seed has {len(seeds)} entries: must be equal, or one of them 1")
    return labels, seeds


def normalise_styles(style, batch: int, num_styles: int) -> list[int] | None:
    """Styles as a list of one per image, None standing for "any"; None for a model without styles.

    Raises ValueError unless each is one of the model's styles, and where a model without styles is given one.
    """
    style = _plain(style)
    styles = list(style) if isinstance(style, (list, tuple, range)) else [style] * batch  # one alone is for all
    if not num_styles:
        if any(value is not None for value in styles):
            raise ValueError(f"style = {validate.shown(style)}: must be None, for this model has no styles")
        return None
    if len(styles) != batch:
        raise ValueError(f"style has {len(styles)} entries: must be one, or {batch} as label and seed have")
    return [num_styles if value is None else validate.integer("style", value, 0, num_styles) for value in styles]


def with_styles(labels: list[int], styles: list[int] | None) -> torch.Tensor:
    """What the transformer is told of each image: int64 (B,), or (B, 2) with the style."""
    return torch.tensor(labels if styles is None else list(zip(labels, styles)))


def _plain(value):
    """A number or a list in place of a tensor of torch or an array of numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


def generate(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str | AttentionSpec = "exact",
    capture: str = "none",
    details: bool = True,
    partial_images: bool = True,
    keep_logits: bool = False,
    timed: bool = True,
    forced: list[tuple[torch.Tensor, torch.Tensor]] | None = None,
    style: int | list[int | None] | None = None,
) -> Iterator[ScaleStep]:
    """Draws a batch of images, one forward pass and one ScaleStep per scale.

    label, seed   one value, or a list or tensor with one per image; image i depends on its own label and seed alone
    attention     name of the back end, such as "exact", "poly-2", "landmark-64", "pool-2" or "auto"
    capture       "none", "blocks" (attention mass per scale, layer and head) or "full" (all weights)
    details       whether to record entropy, probabilities and candidates of every token
    partial_images  whether to decode f_hat after every scale, or after the last one only
    keep_logits   whether to keep each scale's guided logits (B, n, V)
    timed         whether to wait for a GPU before every reading of the clock; without it its times mean nothing
    style         of a model with styles: one, or a list with one per image; None is "any"
    forced        per scale (ids int64 (n_k,), where bool (n_k,)): tokens that are given instead of drawn; see editing.py
    Raises ValueError on any argument out of its range, before anything is drawn.
    """
    config = transformer.config
    labels, seeds = normalise(label, seed, config.num_classes)
    styles = normalise_styles(style, len(labels), config.num_styles)
    validate.one_of("capture", capture, ("none", "blocks", "full"))
    spec, _ = transformer.resolve(attention)
    generators = noise_generators(seeds)
    sampling = sampling or Sampling()
    if forced is not None:
        _check_forced(forced, transformer)
    record = _Record(capture, details, partial_images, keep_logits, timed)
    return _draw_scales(tokenizer, transformer, with_styles(labels, styles), generators, sampling, spec, record, forced)


def scale_logits(tokenizer, transformer, k: int, f_hat, condition, states, guided: bool, watch=None) -> torch.Tensor:
    """Logits of scale k given f_hat (B, Cvae, side, side): (B, n_k, V), or (2 B, n_k, V) with the unguided half behind."""
    var_input = None
    if k > 0:
        var_input = tokenizer.quantize.transformer_input(f_hat, k)
        var_input = torch.cat([var_input, var_input]) if guided else var_input
    return transformer.step(k, var_input, condition, states, watch)


def guided_and_filtered(raw: torch.Tensor, sampling: Sampling, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a scale after guidance, and after temperature, top-k and top-p as well, each (B, n, V)."""
    logits = raw
    if sampling.guidance > 0:
        logits = guide(*raw.chunk(2), sampling.guidance * progress)
    return logits, filter_logits(logits / sampling.temperature, sampling.top_k, sampling.top_p)


def _check_forced(forced: list, transformer: VAR) -> None:
    counts, codes = transformer.pyramid.counts, transformer.vocab_size
    shapes = [(tuple(ids.shape), tuple(where.shape)) for ids, where in forced]
    if shapes != [((n,), (n,)) for n in counts]:
        raise ValueError(f"forced has shapes {validate.shown(shapes)}: must be two of (n,) per scale, n = {counts}")
    if any(bool(((ids < 0) | (ids >= codes)).any()) or where.dtype != torch.bool for ids, where in forced):
        raise ValueError(f"forced: ids must be codes from 0 to {codes - 1}, and where must be bool")


@torch.no_grad()  # not inference_mode: whoever reads a record may go on computing with it, gradients included
def _draw_scales(
    tokenizer: VQVAE,
    transformer: VAR,
    label: torch.Tensor,
    generators: list[torch.Generator],
    sampling: Sampling,
    attention: AttentionSpec,
    record: _Record,
    forced: list[tuple[torch.Tensor, torch.Tensor]] | None,
) -> Iterator[ScaleStep]:
    pyramid, quantizer = transformer.pyramid, tokenizer.quantize
    device = transformer.pos_1LC.device
    clock = Clock(device, record.timed)
    B, K = len(label), pyramid.num_scales
    guided = sampling.guidance > 0
    if guided:
        label = torch.cat([label, transformer.null_label(B)])
    condition = transformer.condition(label.to(device))
    # capturing weights needs the keys, which a low-rank state would not keep by itself
    states = transformer.new_states(len(label), attention, True if record.capture != "none" else None)
    f_hat = torch.zeros(B, transformer.z_channels, pyramid.side, pyramid.side, device=device)
    for k in range(K):
        watch = _Watch(clock, record.capture, B, pyramid.counts[: k + 1])
        begin = clock()
        raw = scale_logits(tokenizer, transformer, k, f_hat, condition, states, guided, watch)
        if raw.device.type != "meta" and not raw.isfinite().all():
            raise ValueError(f"logits of scale {k + 1} are not finite (attention {attention}): no image is drawn from them")
        logits, filtered = guided_and_filtered(raw, sampling, pyramid.progress(k))
        ids = filtered.argmax(-1) if sampling.top_k == 1 else draw(filtered, generators)  # (B, n_k)
        if forced is not None:
            given, where = (part.to(device) for part in forced[k])
            ids = torch.where(where, given, ids)
        f_hat = f_hat + quantizer.contribution(ids, k)
        drawn = clock()
        image = None
        if record.partial_images or k == K - 1:
            image = (tokenizer.decode(f_hat) + 1) / 2
        decoded = clock()
        step = ScaleStep(
            index=k,
            side=pyramid.patch_nums[k],
            token_ids=_to_host(ids),
            f_hat=_to_host(f_hat),
            image=None if image is None else _to_host(image),
            seconds_attention=watch.seconds,
            seconds_transformer=drawn - begin - watch.seconds,
            seconds_decoder=decoded - drawn,
            backend=str(attention),
            state_bytes=sum(state.state_bytes for state in states),
            reserve_bytes=sum(state.reserve_bytes for state in states),
            rank=states[0].rank,
            fallbacks=sum(state.fallbacks for state in states),
            smallest_denominator=_smallest(states) if record.details else None,
        )
        if record.keep_logits:
            step.logits = _to_host(logits)
        if record.details:
            _describe(step, filtered, ids)
        if watch.captured:
            step.attention = torch.stack(watch.captured, 1)  # (B, layers, H, ...)
            step.attention_kind = record.capture
        yield step


def _to_host(x: torch.Tensor) -> torch.Tensor:
    """On the CPU; but a meta tensor, which has a shape and a device only, stays what it is."""
    return x if x.device.type == "meta" else x.cpu()


def _smallest(states: list[AttentionState]) -> float | None:
    known = [d for d in (state.smallest_denominator for state in states) if d is not None]
    return min(known, default=None)


def _describe(step: ScaleStep, filtered: torch.Tensor, ids: torch.Tensor) -> None:
    """Entropy, probability of the drawn code and the most likely codes, of the distribution really sampled from."""
    log_p = filtered.log_softmax(-1)
    p = log_p.exp()
    step.entropy = _to_host(-(p * log_p.nan_to_num(neginf=0.0)).sum(-1))
    step.probability = _to_host(p.gather(-1, ids.unsqueeze(-1)).squeeze(-1))
    top = p.topk(min(TOP_CANDIDATES, p.shape[-1]), dim=-1)
    step.top_ids, step.top_probability = _to_host(top.indices), _to_host(top.values)


def sample_images(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str | AttentionSpec = "exact",
    batch_size: int = 100,
    style: int | list[int | None] | None = None,
) -> torch.Tensor:
    """Only the final images, float (N, channels, S, S) in [0, 1], drawn in batches without any further record."""
    labels, seeds = normalise(label, seed, transformer.config.num_classes)
    validate.integer("batch_size", batch_size, 1, MAX_BATCH)
    styles = normalise_styles(style, len(labels), transformer.config.num_styles)
    bare = {"details": False, "partial_images": False, "timed": False}
    images = []
    for i in range(0, len(labels), batch_size):
        part = slice(i, i + batch_size)
        given = None if styles is None else styles[part]
        *_, last = generate(tokenizer, transformer, labels[part], seeds[part], sampling, attention, style=given, **bare)
        images.append(last.image)
    return torch.cat(images)
