"""bench: time, memory, and the error of low-rank attention."""

from __future__ import annotations

from pathlib import Path

from .common import add_dtype, refuse_unused, show

TAKES = {  # bench -> its options, beside --json and --plot; without --device they compute on the processor, but for train
    "generate": {"model", "device", "dtype"},
    "error": {"model", "samples"},
    "scaling": {"device"},
    "peers": set(),
    "raster": set(),
    "ladder": set(),
    "dtype": {"model", "device", "dtype"},
    "practice": {"model"},
    "train": {"preset", "stage", "batch_size"},  # chooses the device itself
    "laws": {"out", "steps"},
    "best-of": {"model", "samples"},
}


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("bench", help="measure time, and the error of low-rank attention")
    p.add_argument("what", choices=TAKES)
    p.add_argument(
        "--model",
        help="default fashion-28; of error and practice fashion-28-bounded; of dtype shapes of var_d16; of best-of things-64",
    )
    p.add_argument(
        "--samples", type=int, help="of error: images per back end, 100 to 100000 (default 2000); of best-of: pairs (200)"
    )
    p.add_argument("--device", help="of generate, scaling, dtype (default cpu)")
    p.add_argument("--preset", default="fashion-28-quick", help="of train: whose shapes and batches a step has")
    p.add_argument("--stage", default="transformer", help="of train: transformer or tokenizer")
    p.add_argument("--batch-size", type=int, help="of train (default: the preset's)")
    p.add_argument("--out", type=Path, default=Path("runs/laws"), help="of laws: folder of its training runs (default runs/laws)")
    p.add_argument("--steps", type=int, help="of laws: steps of each width (default 900)")
    add_dtype(p, "of generate; of dtype, the type beside float32 (default bfloat16)")
    p.add_argument("--plot", type=Path, help="PNG or SVG file for the curves (not for generate)")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=run, defaults={name: p.get_default(name) for name in set().union(*TAKES.values())})


def run(options) -> None:
    from .. import checkpoints, data, validate
    from ..precision import device_of
    from ..view.curves import check_plot, plot

    refuse_unused("bench", TAKES, options)
    device = device_of(options.device or ("auto" if options.what == "train" else "cpu"))
    if options.plot:
        check_plot(options.what, options.plot)
    if options.what == "generate":
        from ..cost.timing import bench_generate

        result = bench_generate(checkpoints.load(options.model or "fashion-28", device, dtype=options.dtype or "float32"))
    elif options.what == "error":
        from ..analysis.backends import bench_error

        name = options.model or "fashion-28-bounded"
        validate.one_of("data set of the model", checkpoints.load_config(name).data, data.REGISTRY)
        result = bench_error(checkpoints.load(name), 2000 if options.samples is None else options.samples)
    elif options.what == "best-of":
        from ..analysis.best_of import bench_best_of

        result = bench_best_of(options.model or "things-64", 200 if options.samples is None else options.samples)
    elif options.what == "scaling":
        from ..cost.scaling import bench_scaling

        result = bench_scaling(device)
    elif options.what == "dtype":
        from ..cost.halves import bench_dtype

        result = bench_dtype(options.model, options.dtype or "bfloat16", device)
    elif options.what == "peers":
        from ..cost.peers import bench_peers

        result = bench_peers()
    elif options.what == "train":
        from ..cost.training import bench_train

        result = bench_train(options.preset, options.stage, options.batch_size)
    elif options.what == "laws":
        from ..training.scaling_laws import STEPS, bench_laws

        result = bench_laws(options.out, STEPS if options.steps is None else options.steps)
    elif options.what == "ladder":
        from ..cost.trained import bench_ladder

        result = bench_ladder()
    elif options.what == "practice":
        from ..cost.practice import bench_practice

        result = bench_practice(options.model or "fashion-28-bounded")
    else:
        from ..cost.raster import bench_raster

        result = bench_raster()
    result = show(result, options.json, device)
    if options.plot:
        plot(options.what, result, options.plot)
