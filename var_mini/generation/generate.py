"""generate(): draws images scale by scale and yields a record of each scale (VAR, arXiv 2404.02905, figure 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .. import validate
from ..attention import AttentionSpec, Observer
from ..attention.kernels import IMPLEMENTATIONS
from ..config import Sampling
from ..tokenizer import VQVAE
from ..transformer import VAR
from .observe import BARE, Record, Recorder
from .sampling import draw, filter_logits, guide, noise_generators
from .settings import MAX_BATCH, conditions, labels_and_seeds, styles_per_image
from .trace import ScaleStep

Forced = list[tuple[torch.Tensor, torch.Tensor]]  # per scale: ids int64 (n_k,), and bool (n_k,) where they are given


def generate(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str | AttentionSpec = "exact",
    record: Record | None = None,
    forced: Forced | None = None,
    style: int | Sequence[int | None] | None = None,
    implementation: str = "auto",
) -> Iterator[ScaleStep]:
    """Draws a batch of images, one forward pass and one ScaleStep per scale.

    label, seed   one value, or a list or tensor with one per image; image i depends on its own label and seed alone
    attention     name of the back end, such as "exact", "poly-2", "landmark-64", "pool-2" or "auto"
    record        what each ScaleStep holds beside the tokens
    forced        tokens that are given instead of drawn; see editing.py
    style         of a model with styles: one, or a list with one per image; None is "any"
    implementation  of low-rank attention, see `attention.new_state`
    Raises ValueError on any argument out of its range, before anything is drawn.
    """
    labels, seeds = labels_and_seeds(label, seed, transformer.config.num_classes)
    given = conditions(labels, styles_per_image(style, len(labels), transformer.config.num_styles))
    spec = transformer.resolve(attention)
    validate.one_of("implementation", implementation, IMPLEMENTATIONS)
    forced = None if forced is None else _checked_forced(forced, tokenizer)
    how = sampling or Sampling(), spec, record or Record(), forced, implementation
    return _draw_scales(tokenizer, transformer, given, seeds, *how)


@torch.no_grad()  # not inference_mode: whoever reads a record may go on computing with it, gradients included
def _draw_scales(
    tokenizer: VQVAE,
    transformer: VAR,
    label: torch.Tensor,
    seeds: list[int],
    sampling: Sampling,
    attention: AttentionSpec,
    record: Record,
    forced: Forced | None = None,
    implementation: str = "auto",
) -> Iterator[ScaleStep]:
    """r_k ~ p(r_k | f_hat_(k-1), class), then f_hat_k = f_hat_(k-1) + phi_k(upsample(code[r_k])), for k = 1 ... K."""
    pyramid, device, B = transformer.pyramid, transformer.pos_1LC.device, len(seeds)
    generators = noise_generators(seeds)
    recorder = Recorder(record, B, pyramid, attention, device)
    guided = sampling.guidance > 0
    both = torch.cat([label, transformer.null_label(B)]) if guided else label
    condition = transformer.condition(both.to(device))
    states = recorder.around(transformer.new_states(len(both), attention, recorder.reserve, implementation))
    f_hat = torch.zeros(B, transformer.z_channels, pyramid.side, pyramid.side, device=device)
    for k in range(pyramid.num_scales):
        recorder.begin()
        raw = scale_logits(tokenizer, transformer, k, f_hat, condition, states, guided, recorder.observer)
        if raw.device.type != "meta" and not raw.isfinite().all():
            raise ValueError(f"logits of scale {k + 1} are not finite (attention {attention}): no image is drawn from them")
        logits, filtered = guided_and_filtered(raw, sampling, pyramid.progress(k))
        ids = filtered.argmax(-1) if sampling.top_k == 1 else draw(filtered, generators)  # (B, n_k)
        if forced is not None:
            given, where = (part.to(device) for part in forced[k])
            ids = torch.where(where, given, ids)
        f_hat = f_hat + tokenizer.quantize.contribution(ids, k)
        recorder.drawn()
        wanted = record.partial_images or k == pyramid.num_scales - 1
        image = (tokenizer.decode(f_hat) + 1) / 2 if wanted else None
        yield recorder.step(k, ids, f_hat, image, logits, filtered)


def scale_logits(
    tokenizer, transformer, k: int, f_hat, condition, states, guided: bool, observer: Observer | None = None
) -> torch.Tensor:
    """Logits of scale k given f_hat (B, Cvae, side, side): (B, n_k, V), or (2 B, n_k, V) with the unguided half behind."""
    var_input = None
    if k > 0:
        var_input = tokenizer.quantize.transformer_input(f_hat, k)
        var_input = torch.cat([var_input, var_input]) if guided else var_input
    return transformer.step(k, var_input, condition, states, observer)


def guided_and_filtered(raw: torch.Tensor, sampling: Sampling, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a scale after guidance, and after temperature, top-k and top-p as well, each (B, n, V).

    Classifier-free guidance grows with the scale: `progress` runs from 0 at the first to 1 at the last one.
    """
    logits = raw
    if sampling.guidance > 0:
        conditional, unconditional = raw.chunk(2)
        logits = guide(conditional, unconditional, sampling.guidance * progress)
    return logits, filter_logits(logits / sampling.temperature, sampling.top_k, sampling.top_p)


def _checked_forced(forced: Forced, tokenizer: VQVAE) -> Forced:
    """The same with int64 ids. Raises ValueError where ids or masks do not fit."""
    ids = tokenizer.quantize.check_ids([ids for ids, _ in forced], "forced")
    shapes = [tuple(where.shape) for _, where in forced]
    if shapes != [(n,) for n in tokenizer.pyramid.counts] or any(where.dtype != torch.bool for _, where in forced):
        raise ValueError(f"forced: where has shapes {validate.shown(shapes)}: must be bool (n,) per scale as ids are")
    return [(given, where) for given, (_, where) in zip(ids, forced)]


def sample_images(
    tokenizer: VQVAE,
    transformer: VAR,
    label: int | list[int],
    seed: int | list[int],
    sampling: Sampling | None = None,
    attention: str | AttentionSpec = "exact",
    batch_size: int = 100,
    style: int | Sequence[int | None] | None = None,
) -> torch.Tensor:
    """Only the final images, float (N, channels, S, S) in [0, 1], drawn in batches without any further record."""
    labels, seeds = labels_and_seeds(label, seed, transformer.config.num_classes)
    validate.integer("batch_size", batch_size, 1, MAX_BATCH)
    given = conditions(labels, styles_per_image(style, len(labels), transformer.config.num_styles))
    how, images = (sampling or Sampling(), transformer.resolve(attention), BARE), []
    for i in range(0, len(labels), batch_size):
        *_, last = _draw_scales(tokenizer, transformer, given[i : i + batch_size], seeds[i : i + batch_size], *how)
        images.append(last.image)
    return torch.cat(images)
