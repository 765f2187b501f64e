"""generate: draws an image, scale by scale."""

from __future__ import annotations

from pathlib import Path

from .. import validate
from ..classes import find_class
from ..config import MAX_GUIDANCE, MAX_TOP_K, TEMPERATURES
from ..files import PICTURE_ENDINGS, writable_file
from ..generation.sampling import MAX_SEED
from ..view.images import MAX_ENLARGEMENT
from .common import add_dtype


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("generate", help="draw an image, scale by scale")
    p.add_argument(
        "--model", default="fashion-28", help="a shipped model (default %(default)s), a checkpoint folder, or var_d16 ... var_d36"
    )
    p.add_argument(
        "--class", dest="label", default="#0", help="name of a class, or its number as --class=#3 (default %(default)s)"
    )
    p.add_argument("--style", help="of a model with styles: its name or number (default: any)")
    p.add_argument("--seed", type=int, default=0, help=f"0 to {MAX_SEED}")
    p.add_argument(
        "--best-of", type=int, default=1, help="draw so many seeds from --seed on, 1 to 64, and keep what a classifier likes best"
    )
    p.add_argument("--guidance", type=float, help=f"classifier-free guidance, 0 to {MAX_GUIDANCE:g} (0 = none)")
    p.add_argument("--temperature", type=float, help="{:g} to {:g}".format(*TEMPERATURES))
    p.add_argument("--top-k", type=int, help=f"0 to {MAX_TOP_K} (0, or a number above the number of codes: all codes)")
    p.add_argument("--top-p", type=float, help="0 to 1 (1 = all codes, 0 = the most likely one)")
    p.add_argument("--attention", default="exact", help="attention back end: exact, poly-2, landmark-64, pool-2, auto, ...")
    p.add_argument("--out", type=Path, help="PNG, JPEG or WebP file for the final image")
    p.add_argument("--strip", type=Path, help="PNG, JPEG or WebP file for token maps and images of all scales")
    p.add_argument("--trace", type=Path, help="file for the whole record of the run")
    p.add_argument("--enlarge", type=int, default=1, help=f"whole-number enlargement of --out, 1 to {MAX_ENLARGEMENT}")
    p.add_argument("--adapter", type=Path, help="file of `train transformer --lora-rank` to put on the model")
    p.add_argument("--weights", type=Path, help="folder with published .pth files (default: $VAR_WEIGHTS, else the Hub)")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps, ...; auto takes CUDA where it is present")
    add_dtype(p)
    p.set_defaults(run=run)


def run(options) -> None:
    from .. import checkpoints
    from ..cost.machine import machine_facts
    from ..generation import Sampling, Trace
    from ..precision import device_of
    from ..view.images import save_image, strip

    device = device_of(options.device)
    validate.integer("enlarge", options.enlarge, 1, MAX_ENLARGEMENT)
    for name, endings in (("out", PICTURE_ENDINGS), ("strip", PICTURE_ENDINGS), ("trace", ())):  # refused now, not after the work
        if getattr(options, name):
            writable_file(name, getattr(options, name), endings)
    dtype = options.dtype or "float32"
    first = dtype if options.adapter is None else "float32"  # an adapter is added to the weights before they are rounded
    if options.weights is not None:
        model = checkpoints.load_official(options.model, options.weights, device, first)
    else:
        model = checkpoints.load(options.model, device, dtype=first)
    if options.adapter is not None:
        from ..training import lora

        lora.load(model.transformer, options.adapter)
        lora.merge(model.transformer)
        model.to(device, dtype)
    label = find_class(options.label, model.config.class_names, model.config.transformer.num_classes)
    style = model.config.find_style(options.style) if options.style is not None else None
    defaults = model.config.sampling
    given = {name: getattr(options, name) for name in ("guidance", "temperature", "top_k", "top_p")}
    sampling = Sampling(**{name: getattr(defaults, name) if value is None else value for name, value in given.items()})
    spec = model.transformer.resolve(options.attention)
    seed = _best_seed(model, label, style, sampling, options) if options.best_of != 1 else options.seed
    settings = model.trace_settings(label, seed, sampling, options.attention, style)
    asked = f", style {validate.printable(model.config.style_name(style))}" if model.config.transformer.num_styles else ""
    print(f"class {validate.printable(model.config.class_name(label))} (#{label}){asked}, seed {settings['seed']}")
    if spec.method != "exact" or options.attention == "auto":
        print(f"attention {spec}: {model.transformer.choose()[1] if options.attention == 'auto' else 'asked for'}")
    trace = Trace(settings)
    for step in model.generate(label, seed, sampling, attention=options.attention, style=style):
        trace.steps.append(step)
        print(
            f"scale {step.index + 1}/{model.config.pyramid.num_scales}  {step.side:>2}x{step.side:<2} {step.side**2:>4} tokens  "
            f"{step.seconds * 1e3:6.1f} ms (attention {step.seconds_attention * 1e3:.1f}, rest of transformer "
            f"{step.seconds_transformer * 1e3:.1f}, decoder {step.seconds_decoder * 1e3:.1f})  "
            f"mean entropy {step.recorded('entropy').mean():.2f} nats",
            flush=True,
        )
    if spec.method != "exact":
        smallest = "unknown" if step.smallest_denominator is None else f"{step.smallest_denominator:.3g}"
        state, reserve = (f"{size / 1000:,.1f} kB" for size in (step.state_bytes, step.reserve_bytes))
        print(f"state: {step.rank} rows a layer, {state} in all, {reserve} of keys and values in reserve")
        print(f"smallest denominator {smallest}; {step.fallbacks} outputs of a head computed exactly instead")
    print(f"computed on {machine_facts(device)['device']}; attention {spec} by {_implementation(model.transformer, spec)}")
    if options.out:
        save_image(trace.image[0], options.out, options.enlarge)
    if options.strip:
        save_image(strip(trace, model.tokenizer.quantize.embedding.weight), options.strip)
    if options.trace:
        trace.save(options.trace)


def _best_seed(model, label, style, sampling, options) -> int:
    """The seed whose picture the ranker likes best. Raises ValueError where the model has no ranker."""
    from functools import partial

    import torch

    from ..analysis.best_of import load_ranker, ranked, scores

    asked = torch.tensor([[label, model.config.transformer.num_styles if style is None else style]])
    score = partial(scores, load_ranker(model.config), conditions=asked)
    how = {"attention": options.attention, "style": style}
    seed = ranked(model, score, label, options.seed, options.best_of, sampling, **how)[0].seed
    print(f"best of {options.best_of} seeds from {options.seed} on: {seed}")
    return seed


def _implementation(transformer, spec) -> str:
    from ..attention.kernels import computed_by

    kind, reason = computed_by(spec, transformer.blocks[0].attn.logit_scale(), transformer.config.head_dim)
    names = {"sdpa": "torch's scaled_dot_product_attention", "triton": "fused Triton kernels"}
    return names.get(kind, f"plain torch ({reason})")
