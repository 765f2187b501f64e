"""figure: the figures of README and docs, from real runs and stored results."""

from __future__ import annotations

from pathlib import Path

from .. import validate
from ..classes import find_class
from ..files import FIGURE_ENDINGS, read_object, writable_file
from ..generation.sampling import MAX_SEED
from .common import refuse_unused

TAKES = {  # figure -> its options, beside --out
    "drawing": {"model", "seed", "classes", "style"},
    "samples": {"model", "seed"},
    "nearest": {"model", "seed", "classes", "style"},
    "ladder": {"seed", "classes", "style"},
    "toggle": {"model", "seed", "classes"},
    "practice": {"model", "seed", "classes"},
    "styles": {"model", "seed", "classes"},
    "heldout": {"model", "seed"},
    "error": {"model", "json"},  # these are of stored results
    "scaling": {"json"},
    "peers": {"json"},
    "raster": {"json"},
    "laws": {"json"},
}


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("figure", help="draw a figure of README and docs from real runs")
    p.add_argument("what", choices=TAKES)
    p.add_argument("--json", type=Path, help="stored result of a bench (default: the one in assets/results)")
    p.add_argument("--model", help="default fashion-28, or fashion-28-bounded for toggle, practice and error")
    p.add_argument("--seed", type=int, default=0, help=f"0 to {MAX_SEED}")
    p.add_argument("--classes", default="7,8,3", help="classes by name or number, with commas; of figures with classes")
    p.add_argument("--style", help="of drawing, nearest and ladder, where the model has styles (default: any)")
    p.add_argument("--out", type=Path, required=True, help="PNG or SVG file")
    p.set_defaults(run=run, defaults={name: p.get_default(name) for name in set().union(*TAKES.values())})


def run(options) -> None:
    from .. import checkpoints, data
    from ..analysis.neighbours import nearest
    from ..view import curves, figures

    refuse_unused("figure", TAKES, options)
    writable_file("out", options.out, FIGURE_ENDINGS)
    if options.what in curves.FIGURES:
        name = f"error-{options.model or 'fashion-28-bounded'}" if options.what == "error" else options.what
        stored = options.json or checkpoints.ASSETS / "results" / f"{name}.json"
        try:
            curves.plot(options.what, read_object(stored), options.out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{stored} is no stored result of `bench {options.what} --json`: {error}") from None
        return
    if options.what == "ladder":
        from ..cost.trained import LADDER

        models = [checkpoints.load(name) for name in LADDER]
        label = _classes(options.classes, models[0])[0]
        figures.ladder(models, label, [options.seed, options.seed + 1], options.style).savefig(options.out)
        return
    if options.what in ("styles", "heldout"):
        from ..view import pairs

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
        figure = figures.nearest_grid(
            trace.image, nearest(trace, 3, data.load(model.config.data)), [names[label] for label in labels]
        )
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
