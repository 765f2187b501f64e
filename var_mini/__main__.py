"""Command line: python -m var_mini generate | train | evaluate | bench | gpu | parity | figure | results | models.

An installed package has it as `var-mini`, too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from . import __version__, validate
from .attention.spec import MAX_LANDMARKS, MIN_LANDMARKS
from .classes import find_class
from .config import MAX_GUIDANCE, MAX_TOP_K, TEMPERATURES
from .files import FIGURE_ENDINGS, PICTURE_ENDINGS, read_json, writable_file, writable_folder
from .generation.sampling import MAX_SEED
from .view.images import MAX_ENLARGEMENT

BENCHES = ("generate", "error", "scaling", "peers", "raster", "ladder", "dtype", "practice", "train")
FIGURES = ("drawing", "samples", "nearest", "ladder", "toggle", "practice", "styles", "heldout")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0 fine, 1 a comparison failed, 2 bad input, 128 and a signal's number."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name of a class need not be in the terminal's encoding
    options = _parser().parse_args(arguments)
    try:
        for name, value in vars(options).items():
            if value == []:  # what argparse makes of --name=--
                raise ValueError(f"{name} = '--': must be a value")
        code = options.run(options) or 0
        sys.stdout.flush()  # while a broken pipe can still be caught
        return code
    except BrokenPipeError:  # whoever read our output has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (ValueError, OSError, MemoryError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"var_mini: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:  # the core needs few packages, the extras bring the others
        print(f"var_mini: the package {error.name} is not installed: pip install 'var-mini[train]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"var_mini: {stop}" if str(stop) else "var_mini: stopped", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m var_mini", description="Visual Autoregressive Modeling, small and explained.")
    parser.add_argument("--version", action="version", version=f"var-mini {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    p = commands.add_parser("generate", help="draw an image, scale by scale")
    p.add_argument("--model", default="fashion-28", help="a shipped model, a checkpoint folder, or var_d16 ... var_d36")
    p.add_argument("--class", dest="label", default="#0", help="name of a class, or its number as --class=#3")
    p.add_argument("--style", help="of a model with styles: its name or number (default: any)")
    p.add_argument("--seed", type=int, default=0, help=f"0 to {MAX_SEED}")
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
    _add_dtype(p)
    p.set_defaults(run=_generate)

    p = commands.add_parser("train", help="train one stage")
    p.add_argument("stage", choices=("tokenizer", "transformer", "decoder", "landmarks", "classifier"))
    p.add_argument("--model", help="checkpoint to calibrate, for landmarks (default: the run's own model)")
    p.add_argument("--landmarks", default="16,32,64", help=f"landmarks per head, {MIN_LANDMARKS} to {MAX_LANDMARKS}, with commas")
    p.add_argument("--preset", help="shapes and schedule (default: those of --start, else fashion-28)")
    p.add_argument("--data", help="a folder of pictures whose sub-folders are classes, or train/ and val/; for classifier a name")
    p.add_argument("--out", type=Path, help="folder for the run (default runs/PRESET)")
    p.add_argument("--tokenizer", help="checkpoint whose tokenizer the transformer uses (default: the run's own)")
    p.add_argument("--start", help="checkpoint whose weights the tokenizer or the transformer starts from (default: random ones)")
    p.add_argument("--lora-rank", type=int, help="of the transformer: adapters of this rank for the model --start")
    p.add_argument("--lora-steps", type=int, default=1000, help="steps of --lora-rank")
    p.add_argument("--precision", default="auto", choices=("auto", "no", "bf16"))
    p.add_argument("--compile", action="store_true", help="torch.compile for both stages; needs a C++ compiler")
    p.add_argument("--patch-nums", help="of the tokenizer: sides of the token maps, with commas, such as 1,2,3,4,6,8")
    p.add_argument("--grey", action="store_true", help="with --data: take the pictures in grey, as presets for grey pictures do")
    p.add_argument("--steps", type=int, help="steps of the tokenizer or the transformer (default: the preset's)")
    p.add_argument("--batch-size", type=int, help="examples of a step, over all processes together (default: the preset's)")
    p.add_argument("--lr", type=float, help="peak learning rate (default: the preset's; Muon's changes in proportion)")
    p.add_argument("--minutes", type=float, help="stop after so many minutes and save; the same command goes on")
    p.set_defaults(run=_train)

    p = commands.add_parser("evaluate", help="measure quality on test images and drawn images")
    p.add_argument("--model", default="fashion-28")
    p.add_argument("--data", help="folder of pictures a model of your own was trained on: figures that need no judge")
    p.add_argument("--samples", type=int, default=2000, help="drawn images, 100 to 100000")
    _add_dtype(p)
    p.add_argument("--json", action="store_true", help="one JSON object on the last line")
    p.set_defaults(run=_evaluate)

    p = commands.add_parser("bench", help="measure time, and the error of low-rank attention")
    p.add_argument("what", choices=BENCHES)
    p.add_argument("--model", help="default fashion-28; of error and practice fashion-28-bounded; of dtype shapes of var_d16")
    p.add_argument("--samples", type=int, default=2000, help="images per back end, for error, 100 to 100000")
    p.add_argument("--device", default="cpu", help="of generate, scaling and dtype")
    p.add_argument("--preset", default="fashion-28-quick", help="of train: whose shapes and batches a step has")
    p.add_argument("--stage", default="transformer", help="of train: transformer or tokenizer")
    p.add_argument("--batch-size", type=int, help="of train (default: the preset's)")
    _add_dtype(p, "of generate; of dtype, the type beside float32 (default bfloat16)")
    p.add_argument("--plot", type=Path, help="PNG or SVG file for the curves (not for generate)")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=_bench)

    p = commands.add_parser("gpu", help="prove what only a GPU can prove, and time it")
    p.add_argument("--out", type=Path, required=True, help="folder for one JSON a part, and gpu.json with all of them")
    p.add_argument("--minutes", type=float, help="in all (default 10); what is beyond 10 trains a model")
    p.add_argument("--only", help="parts, with commas: facts, kernels, generate, scaling, speed, train (default: all)")
    p.add_argument("--dry", action="store_true", help="tiny sizes on the CPU: proves the kit, not a GPU")
    p.set_defaults(run=_gpu)

    p = commands.add_parser("parity", help="compare with arrays of the official implementation")
    p.add_argument("file", type=Path)
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=_parity)

    p = commands.add_parser("figure", help="draw a figure of the README from real runs")
    p.add_argument("what", choices=(*FIGURES, "error", "scaling", "peers", "raster"))
    p.add_argument("--json", type=Path, help="stored result of a bench (default: the one in assets/results)")
    p.add_argument("--model", help="default fashion-28, or fashion-28-bounded for toggle, practice and error")
    p.add_argument("--seed", type=int, default=0, help=f"0 to {MAX_SEED}")
    p.add_argument("--classes", default="7,8,3", help="classes by name or number, with commas, where a figure has classes")
    p.add_argument("--style", help="of drawing and nearest, where the model has styles (default: any)")
    p.add_argument("--out", type=Path, required=True, help="PNG or SVG file")
    p.set_defaults(run=_figure)

    p = commands.add_parser("results", help="the tables of the README and of assets/results, from stored results")
    p.set_defaults(run=_results)

    p = commands.add_parser("models", help="list the models that can be loaded by name")
    p.set_defaults(run=_models)
    return parser


def _add_dtype(parser: argparse.ArgumentParser, note: str = "16-bit weights: half the memory") -> None:
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help=note)


def _print(result: dict, as_json: bool, device: str = "cpu") -> dict:
    from .cost.machine import machine_facts

    result = {**result, "machine": machine_facts(device)}
    if as_json:
        print(json.dumps(result))
        return result
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(_as_table(key, value))
        else:
            print(f"{key:28} {value}")
    return result


def _as_table(title: str, rows: list[dict]) -> str:
    """Rows of one kind as aligned text, numbers to four digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in (row.get(n, "") for n in names)] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells)]
    return "\n".join([f"{title}:"] + ["  ".join(c.rjust(w) for c, w in zip(line, widths)) for line in [names, *cells]])


def _generate(options) -> None:
    from . import checkpoints
    from .cost.machine import machine_facts
    from .generation import Sampling, Trace
    from .view.images import save_image, strip

    device = _device(options.device)
    validate.integer("enlarge", options.enlarge, 1, MAX_ENLARGEMENT)
    for name, endings in (("out", PICTURE_ENDINGS), ("strip", PICTURE_ENDINGS), ("trace", ())):  # refused now, not after the work
        if getattr(options, name):
            writable_file(name, getattr(options, name), endings)
    if options.weights is not None:
        model = checkpoints.load_official(options.model, options.weights, device, options.dtype or "float32")
    else:
        model = checkpoints.load(options.model, device, dtype=options.dtype or "float32")
    if options.adapter is not None:
        from .training import lora

        lora.load(model.transformer, options.adapter)
    label = find_class(options.label, model.config.class_names, model.config.transformer.num_classes)
    style = model.config.find_style(options.style) if options.style is not None else None
    defaults = model.config.sampling
    given = {name: getattr(options, name) for name in ("guidance", "temperature", "top_k", "top_p")}
    sampling = Sampling(**{name: getattr(defaults, name) if value is None else value for name, value in given.items()})
    spec, reason = model.transformer.resolve(options.attention)
    settings = model.trace_settings(label, options.seed, sampling, options.attention, style)
    asked = f", style {validate.printable(model.config.style_name(style))}" if model.config.transformer.num_styles else ""
    print(f"class {validate.printable(model.config.class_name(label))} (#{label}){asked}, seed {settings['seed']}")
    if spec.method != "exact" or options.attention == "auto":
        print(f"attention {spec}: {reason}")
    trace = Trace(settings)
    for step in model.generate(label, options.seed, sampling, attention=options.attention, style=style):
        trace.steps.append(step)
        print(
            f"scale {step.index + 1}/{model.config.pyramid.num_scales}  {step.side:>2}x{step.side:<2} {step.side**2:>4} tokens  "
            f"{step.seconds * 1e3:6.1f} ms (attention {step.seconds_attention * 1e3:.1f}, rest of transformer "
            f"{step.seconds_transformer * 1e3:.1f}, decoder {step.seconds_decoder * 1e3:.1f})  "
            f"mean entropy {step.entropy.mean():.2f} nats",
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


def _implementation(transformer, spec) -> str:
    from .attention.kernels import computed_by

    kind, reason = computed_by(spec, transformer.blocks[0].attn.logit_scale(), transformer.config.head_dim)
    names = {"sdpa": "torch's scaled_dot_product_attention", "triton": "fused Triton kernels"}
    return names.get(kind, f"plain torch ({reason})")


def _train(options) -> None:
    from .training.recipes import DEFAULT
    from .training.stopping import between_steps

    if options.minutes is not None:
        validate.number("minutes", options.minutes, 0, 60 * 24 * 365, low_open=True)
    if options.preset is None and options.start is None:
        options.preset = DEFAULT
    named = options.preset or (Path(options.data).resolve().name if options.data else Path(options.start).name)
    with between_steps():
        _train_stage(options, options.out or Path("runs") / named)


def _train_stage(options, out: Path) -> None:
    from .training import stages

    how = {name: getattr(options, name) for name in ("precision", "start", "minutes", "steps", "batch_size", "lr", "grey")}
    how["compiled"] = options.compile
    if options.stage == "tokenizer":
        sides = options.patch_nums and tuple(_whole("patch_nums", text) for text in options.patch_nums.split(","))
        ended = stages.train_tokenizer(options.preset, out, options.data, patch_nums=sides, **how)
        print("finished" if ended else "stopped; the same command goes on")
    elif options.stage == "transformer" and options.lora_rank is not None:
        from .training.lora import train_adapter

        base = options.start or options.preset
        train_adapter(base, out, options.data, options.lora_rank, options.lora_steps, options.precision)
        adapter = out / "adapter.safetensors"
        print(f"finished; try: python -m var_mini generate --model {base} --adapter {adapter} --out image.png")
    elif options.stage == "transformer":
        ended = stages.train_transformer(options.preset, out, options.data, options.tokenizer, **how)
        state = "finished" if ended else "stopped; the same command goes on"
        print(f"{state}; try: python -m var_mini generate --model {out / 'model'} --class=#0 --out image.png")
    elif options.stage == "decoder":
        stages.train_decoder(options.preset or Path(options.start).name, out, options.data, options.precision)
    elif options.stage == "landmarks":
        from .training.landmarks import train_landmarks

        counts = [_whole("landmarks", text) for text in options.landmarks.split(",")]
        model = options.model or out / "model"
        print(f"landmarks in {train_landmarks(model, options.out if options.model else None, options.data, counts)}")
    else:
        from . import checkpoints, data
        from .training.classifier import train_classifier

        name = validate.one_of("data", options.data or "fashion-mnist", data.REGISTRY)
        place = writable_folder("out", options.out or checkpoints.ASSETS / "classifiers" / name)
        images = data.load(name)
        if images.train_styles is None:
            print(f"test accuracy {train_classifier(images, place):.4f}")
        else:
            from .training.judge import train_judge

            print(", ".join(f"{key} {value:.4f}" for key, value in train_judge(images, place).items()))


def _evaluate(options) -> None:
    from . import checkpoints, data
    from .training.evaluation import evaluate, evaluate_own

    config = checkpoints.load_config(options.model)
    if options.data is None and config.data not in data.REGISTRY:
        trained_on = validate.shown(config.data)
        raise ValueError(f"data = None: {options.model!r} was trained on {trained_on}; give its folder with --data")
    model = checkpoints.load(options.model, dtype=options.dtype or "float32")
    if options.data is None:
        result = evaluate(model, options.samples)
    else:
        images = data.load_folder(options.data, config.tokenizer.image_size, config.tokenizer.image_channels)
        print(images.report(), file=sys.stderr)
        result = evaluate_own(model, images, options.samples)
    _print(result, options.json)


def _bench(options) -> None:
    from . import checkpoints, data
    from .view.curves import check_plot, plot

    device = _device(options.device)
    if options.plot:
        check_plot(options.what, options.plot)
    if options.what == "generate":
        from .cost.timing import bench_generate

        result = bench_generate(checkpoints.load(options.model or "fashion-28", device, dtype=options.dtype or "float32"))
    elif options.what == "error":
        from .training.backends import bench_error

        name = options.model or "fashion-28-bounded"
        validate.one_of("data set of the model", checkpoints.load_config(name).data, data.REGISTRY)
        result = bench_error(checkpoints.load(name), options.samples)
    elif options.what == "scaling":
        from .cost.scaling import bench_scaling

        result = bench_scaling(device)
    elif options.what == "dtype":
        from .cost.halves import bench_dtype

        result = bench_dtype(options.model, options.dtype or "bfloat16", device)
    elif options.what == "peers":
        from .cost.peers import bench_peers

        result = bench_peers()
    elif options.what == "train":
        from .cost.training import bench_train

        result = bench_train(options.preset, options.stage, options.batch_size)
    elif options.what == "ladder":
        from .cost.trained import bench_ladder

        result = bench_ladder()
    elif options.what == "practice":
        from .cost.practice import bench_practice

        result = bench_practice(options.model or "fashion-28-bounded")
    else:
        from .cost.raster import bench_raster

        result = bench_raster()
    result = _print(result, options.json, device)
    if options.plot:
        plot(options.what, result, options.plot)


def _gpu(options) -> int:
    from .gpu.runner import run

    return run(options.out, options.minutes, options.only, options.dry)


def _parity(options) -> int:
    from .parity import compare

    result = compare(options.file)
    _print(result, options.json)
    return 0 if result["ok"] else 1


def _figure(options) -> None:
    from . import checkpoints
    from .neighbours import nearest
    from .view import curves, figures

    writable_file("out", options.out, FIGURE_ENDINGS)
    if options.what in curves.FIGURES:
        name = f"error-{options.model or 'fashion-28-bounded'}" if options.what == "error" else options.what
        stored = options.json or checkpoints.ASSETS / "results" / f"{name}.json"
        try:
            curves.plot(options.what, read_json(stored), options.out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{stored} is no stored result of `bench {options.what} --json`: {error}") from None
        return
    if options.what == "ladder":
        from .cost.trained import LADDER

        models = [checkpoints.load(name) for name in LADDER]
        label = _classes(options.classes, models[0])[0]
        figures.ladder(models, label, [options.seed, options.seed + 1]).savefig(options.out)
        return
    if options.what in ("styles", "heldout"):
        from . import data
        from .view import pairs

        model = checkpoints.load(options.model or "things-64")
        images = data.load(model.config.data)
        if images.train_styles is None:
            raise ValueError(f"model = {model.config.name!r}: has no styles, which figure {options.what} needs")
        if options.what == "styles":
            figure = pairs.styles_grid(model, images, _classes(options.classes, model), options.seed)
        else:
            figure = pairs.held_out_grid(model, images, seed=options.seed)
        figure.savefig(options.out)
        return
    toggles = {"toggle": figures.TOGGLE, "practice": figures.PRACTICE}
    model = checkpoints.load(options.model or ("fashion-28-bounded" if options.what in toggles else "fashion-28"))
    labels = _classes(options.classes, model) if options.what != "samples" else []
    names = [model.config.class_name(label) for label in range(model.config.transformer.num_classes)]
    if options.what == "drawing":
        traces = [model.trace(label, options.seed, style=options.style) for label in labels]
        figure = figures.drawing(traces, [names[label] for label in labels], model.tokenizer.quantize.embedding.weight)
    elif options.what in toggles:
        figure = figures.toggle(model, labels, options.seed, toggles[options.what])
    elif options.what == "nearest":
        trace = model.trace(labels, [options.seed] * len(labels), style=options.style)
        figure = figures.nearest_grid(trace.image, nearest(trace, 3), [names[label] for label in labels])
    else:
        columns, groups = 12, model.config.groups()
        labels = [members[i % len(members)] for members in groups.values() for i in range(columns)]
        images = model.sample_images(labels, [options.seed + i for i in range(len(labels))])
        figure = figures.sample_grid(images, list(groups), columns)
    figure.savefig(options.out)


def _classes(text: str, model) -> list[int]:
    """Classes with commas between them -> their labels, which are also printed."""
    count = model.config.transformer.num_classes
    labels = [find_class(part, model.config.class_names, count, "classes") for part in text.split(",")]
    print("classes " + ", ".join(f"{validate.printable(model.config.class_name(label))} (#{label})" for label in labels))
    return labels


def _results(options) -> None:
    from . import checkpoints
    from .view.results import all_tables

    print("\n\n".join(all_tables(checkpoints.ASSETS / "results")))


def _models(options) -> None:
    from . import checkpoints

    for name in checkpoints.available():
        print(name)
    for name in checkpoints.OFFICIAL:
        print(f"{name}  (published weights, from the Hub or with --weights FOLDER)")


def _device(name: str) -> str:
    """`name`, if it is a device this torch can compute on; for `auto` the GPU where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    known = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *(["cuda"] if torch.cuda.is_available() else [])]
    known += ["mps"] if torch.backends.mps.is_available() else []
    if name not in known:
        raise ValueError(f"device = {name!r}: must be one of {', '.join([*known, 'auto'])} on this machine")
    return name


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} = {validate.shown(text)}: must be whole numbers") from None


if __name__ == "__main__":
    sys.exit(main())
