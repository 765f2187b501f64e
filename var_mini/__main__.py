"""Command line: python -m var_mini generate | train | evaluate | bench | gpu | parity | figure | results | models."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0 fine, 1 a comparison failed, 2 bad input."""
    options = _parser().parse_args(arguments)
    try:
        for name, value in vars(options).items():
            if value == []:  # what argparse makes of --name=--
                raise ValueError(f"{name} = '--': must be a value")
        return options.run(options) or 0
    except (ValueError, OSError, MemoryError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"var_mini: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("var_mini: stopped; training resumes from its last save when the command is repeated", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m var_mini", description="Visual Autoregressive Modeling, small and explained.")
    commands = parser.add_subparsers(required=True, metavar="command")

    p = commands.add_parser("generate", help="draw an image, scale by scale")
    p.add_argument("--model", default="fashion-28", help="a shipped model, a checkpoint folder, or var_d16 ... var_d36")
    p.add_argument("--class", dest="label", default="0", help="class index or name")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--guidance", type=float, help="classifier-free guidance, 0 to 20 (0 = none)")
    p.add_argument("--temperature", type=float)
    p.add_argument("--top-k", type=int, help="0 = all codes")
    p.add_argument("--top-p", type=float, help="0 to 1")
    p.add_argument("--attention", default="exact", help="attention back end")
    p.add_argument("--out", type=Path, help="PNG file for the final image")
    p.add_argument("--strip", type=Path, help="PNG file for token maps and images of all scales")
    p.add_argument("--trace", type=Path, help="file for the whole record of the run")
    p.add_argument("--enlarge", type=int, default=1, help="whole-number enlargement of the PNG")
    p.add_argument("--weights", type=Path, help="folder with published .pth files (default: $VAR_WEIGHTS, else the Hub)")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes CUDA where it is present")
    p.set_defaults(run=_generate)

    p = commands.add_parser("train", help="train one stage")
    p.add_argument("stage", choices=("tokenizer", "transformer", "decoder", "landmarks", "classifier"))
    p.add_argument("--model", help="checkpoint to calibrate, for landmarks (default: the run's own model)")
    p.add_argument("--landmarks", default="16,32,64", help="numbers of landmarks per head, with commas")
    p.add_argument("--preset", default="fashion-28")
    p.add_argument("--data", help="a folder of pictures whose sub-folders are classes; for the classifier a data set's name")
    p.add_argument("--out", type=Path, help="folder for the run (default runs/PRESET)")
    p.add_argument("--tokenizer", help="checkpoint whose tokenizer the transformer uses (default: the run's own)")
    p.add_argument("--start", help="checkpoint whose weights the tokenizer or the transformer starts from (default: random ones)")
    p.add_argument("--precision", default="auto", choices=("auto", "no", "bf16"))
    p.add_argument("--compile", action="store_true", help="torch.compile for both stages; needs a C++ compiler")
    p.add_argument("--steps", type=int, help="steps of the tokenizer or the transformer (default: the preset's)")
    p.add_argument("--batch-size", type=int, help="examples of a step, over all processes together (default: the preset's)")
    p.add_argument("--lr", type=float, help="peak learning rate (default: the preset's; Muon's changes in proportion)")
    p.add_argument("--minutes", type=float, help="stop after so many minutes and save; the same command goes on")
    p.set_defaults(run=_train)

    p = commands.add_parser("evaluate", help="measure quality on test images and drawn images")
    p.add_argument("--model", default="fashion-28")
    p.add_argument("--samples", type=int, default=2000)
    p.add_argument("--json", action="store_true", help="one JSON object on the last line")
    p.set_defaults(run=_evaluate)

    p = commands.add_parser("bench", help="measure time, and the error of low-rank attention")
    p.add_argument("what", choices=("generate", "error", "scaling", "peers", "raster", "ladder", "train"))
    p.add_argument("--model", help="of generate (default fashion-28) and of error (default fashion-28-bounded)")
    p.add_argument("--samples", type=int, default=2000, help="images per back end, for error")
    p.add_argument("--device", default="cpu", help="of generate and scaling")
    p.add_argument("--preset", default="fashion-28-quick", help="of train: whose shapes and batches a step has")
    p.add_argument("--stage", default="transformer", help="of train: transformer or tokenizer")
    p.add_argument("--batch-size", type=int, help="of train (default: the preset's)")
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
    p.add_argument("what", choices=("drawing", "samples", "nearest", "ladder", "toggle", "error", "scaling", "peers", "raster"))
    p.add_argument("--json", type=Path, help="stored result of a bench (default: the one in assets/results)")
    p.add_argument("--model", help="default fashion-28, or fashion-28-bounded for toggle and error")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--classes", default="7,8,3", help="class indices, with commas, of drawing, nearest and toggle")
    p.add_argument("--out", type=Path, required=True, help="PNG or SVG file")
    p.set_defaults(run=_figure)

    p = commands.add_parser("results", help="the tables of the README and of assets/results, from stored results")
    p.set_defaults(run=_results)

    p = commands.add_parser("models", help="list the models that can be loaded by name")
    p.set_defaults(run=_models)
    return parser


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
    from . import checkpoints, validate
    from .cost.machine import machine_facts
    from .generation import Sampling, Trace
    from .view.images import MAX_ENLARGEMENT, save_png, strip

    device = _device(options.device)
    validate.integer("enlarge", options.enlarge, 1, MAX_ENLARGEMENT)
    for path in filter(None, (options.out, options.strip, options.trace)):  # refused now, not after the work
        if path.is_dir():
            raise ValueError(f"{str(path)!r} is a folder: must be a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.weights is not None:
        model = checkpoints.load_official(options.model, options.weights, device)
    else:
        model = checkpoints.load(options.model, device)
    names = [name.lower() for name in model.config.class_names]
    label = names.index(options.label.lower()) if options.label.lower() in names else _whole("class", options.label)
    validate.integer("class", label, 0, model.config.transformer.num_classes - 1)
    defaults = model.config.sampling
    given = {name: getattr(options, name) for name in ("guidance", "temperature", "top_k", "top_p")}
    sampling = Sampling(**{name: getattr(defaults, name) if value is None else value for name, value in given.items()})
    spec, reason = model.transformer.resolve(options.attention)
    if spec.method != "exact" or options.attention == "auto":
        print(f"attention {spec}: {reason}")
    trace = Trace(model.trace_settings(label, options.seed, sampling, options.attention))
    for step in model.generate(label, options.seed, sampling, attention=options.attention):
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
        save_png(trace.image[0], options.out, options.enlarge)
    if options.strip:
        save_png(strip(trace, model.tokenizer.quantize.embedding.weight), options.strip)
    if options.trace:
        trace.save(options.trace)


def _implementation(transformer, spec) -> str:
    from .attention.kernels import computed_by

    kind, reason = computed_by(spec, transformer.blocks[0].attn.logit_scale(), transformer.config.head_dim)
    names = {"sdpa": "torch's scaled_dot_product_attention", "triton": "fused Triton kernels"}
    return names.get(kind, f"plain torch ({reason})")


def _train(options) -> None:
    from . import validate
    from .training import recipes

    out = options.out or Path("runs") / options.preset
    if options.minutes is not None:
        validate.number("minutes", options.minutes, 0, 60 * 24 * 365, low_open=True)
    how = {name: getattr(options, name) for name in ("precision", "start", "minutes", "steps", "batch_size", "lr")}
    how["compiled"] = options.compile
    if options.stage == "tokenizer":
        ended = recipes.train_tokenizer(options.preset, out, options.data, **how)
        print("finished" if ended else "stopped; the same command goes on")
    elif options.stage == "transformer":
        ended = recipes.train_transformer(options.preset, out, options.data, options.tokenizer, **how)
        state = "finished" if ended else "stopped; the same command goes on"
        print(f"{state}; try: python -m var_mini generate --model {out / 'model'} --class 0 --out image.png")
    elif options.stage == "decoder":
        recipes.train_decoder(options.preset, out, options.data, options.precision)
    elif options.stage == "landmarks":
        from .training.landmarks import train_landmarks

        counts = [_whole("landmarks", text) for text in options.landmarks.split(",")]
        model = options.model or out / "model"
        print(f"landmarks in {train_landmarks(model, options.out if options.model else None, options.data, counts)}")
    else:
        from . import checkpoints, data
        from .training.classifier import train_classifier

        name = options.data or "fashion-mnist"
        accuracy = train_classifier(data.load(name), options.out or checkpoints.ASSETS / "classifiers" / name)
        print(f"test accuracy {accuracy:.4f}")


def _evaluate(options) -> None:
    from . import checkpoints, data, validate
    from .training.evaluation import evaluate

    validate.one_of("data set of the model", checkpoints.load_config(options.model).data, data.REGISTRY)
    _print(evaluate(checkpoints.load(options.model), options.samples), options.json)


def _bench(options) -> None:
    from . import checkpoints, data, validate
    from .view.curves import check_plot, plot

    device = _device(options.device)
    if options.plot:
        check_plot(options.what, options.plot)
    if options.what == "generate":
        from .cost.timing import bench_generate

        result = bench_generate(checkpoints.load(options.model or "fashion-28", device))
    elif options.what == "error":
        from .training.backends import bench_error

        name = options.model or "fashion-28-bounded"
        validate.one_of("data set of the model", checkpoints.load_config(name).data, data.REGISTRY)
        result = bench_error(checkpoints.load(name), options.samples)
    elif options.what == "scaling":
        from .cost.scaling import bench_scaling

        result = bench_scaling(device)
    elif options.what == "peers":
        from .cost.peers import bench_peers

        result = bench_peers()
    elif options.what == "train":
        from .cost.training import bench_train

        result = bench_train(options.preset, options.stage, options.batch_size)
    elif options.what == "ladder":
        from .cost.trained import bench_ladder

        result = bench_ladder()
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

    if options.what in curves.FIGURES:
        name = f"error-{options.model or 'fashion-28-bounded'}" if options.what == "error" else options.what
        stored = options.json or checkpoints.ASSETS / "results" / f"{name}.json"
        try:
            result = json.loads(stored.read_text())
            curves.plot(options.what, result, options.out)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{stored} is no stored result of `bench {options.what} --json`: {error}") from None
        return
    if options.what == "ladder":
        from .cost.trained import LADDER

        models = [checkpoints.load(name) for name in LADDER]
        _save_figure(
            figures.ladder(models, _whole("classes", options.classes.split(",")[0]), [options.seed, options.seed + 1]),
            options.out,
        )
        return
    model = checkpoints.load(options.model or ("fashion-28-bounded" if options.what == "toggle" else "fashion-28"))
    labels = [_whole("classes", text) for text in options.classes.split(",")]
    names = [model.config.class_name(label) for label in range(model.config.transformer.num_classes)]
    if options.what == "drawing":
        traces = [model.trace(label, options.seed) for label in labels]
        figure = figures.drawing(traces, [names[label] for label in labels], model.tokenizer.quantize.embedding.weight)
    elif options.what == "toggle":
        figure = figures.toggle(model, labels, options.seed)
    elif options.what == "nearest":
        trace = model.trace(labels, [options.seed] * len(labels))
        figure = figures.nearest_grid(trace.image, nearest(trace, 3), [names[label] for label in labels])
    else:
        columns, groups = 12, model.config.groups()
        labels = [members[i % len(members)] for members in groups.values() for i in range(columns)]
        images = model.sample_images(labels, [options.seed + i for i in range(len(labels))])
        figure = figures.sample_grid(images, list(groups), columns)
    _save_figure(figure, options.out)


def _save_figure(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


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
    if name not in known:
        raise ValueError(f"device = {name!r}: must be one of {', '.join([*known, 'auto'])} on this machine")
    return name


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        kind = "a class index or the name of a class" if name == "class" else "whole numbers"
        raise ValueError(f"{name} = {text!r}: must be {kind}") from None


if __name__ == "__main__":
    sys.exit(main())
