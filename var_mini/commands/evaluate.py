"""evaluate: quality on test images and on drawn ones."""

from __future__ import annotations

import sys

from .. import validate
from .common import add_dtype, show


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("evaluate", help="measure quality on test images and drawn images")
    p.add_argument("--model", default="fashion-28")
    p.add_argument("--data", help="folder of pictures a model of your own was trained on: figures that need no judge")
    p.add_argument("--samples", type=int, default=2000, help="drawn images, 100 to 100000")
    add_dtype(p)
    p.add_argument("--json", action="store_true", help="one JSON object on the last line")
    p.set_defaults(run=run)


def run(options) -> None:
    from .. import checkpoints, data
    from ..analysis.evaluation import evaluate, evaluate_own
    from ..analysis.evaluation_pairs import nameable

    config = checkpoints.load_config(options.model)
    if options.data is None and config.data not in data.REGISTRY:
        trained_on = validate.shown(config.data)
        raise ValueError(f"data = None: {options.model!r} was trained on {trained_on}; give its folder with --data")
    model = checkpoints.load(options.model, dtype=options.dtype or "float32")
    if options.data is None:
        result = evaluate(model, options.samples)
        if options.model in checkpoints.available():  # readers saw what shipped weights draw, whatever else has that name
            result |= nameable(options.model)
    else:
        images = data.load_folder(options.data, config.tokenizer.image_size, config.tokenizer.image_channels)
        print(images.report(), file=sys.stderr)
        result = evaluate_own(model, images, options.samples)
    show(result, options.json)
