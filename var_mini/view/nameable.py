"""Can a stranger name what was drawn? A sheet of drawn pictures without labels, and the key to it.

    python -m var_mini.view.nameable --model things-64 --out FOLDER

writes sheet.png, 64 pictures in eight numbered rows of eight, and key.json, what each was asked to be. Readers who have not seen
the key write down a word a picture; what they wrote and which of it is right (the thing, or an obvious synonym) is stored in
assets/results/nameable-MODEL.json, from which `evaluate` takes its `nameable`. With `--real` the sheet has the artists' own
pictures of the same things in the same styles: how many of those a stranger names is what a perfect model could reach. With
`--given 6` the six coarsest maps are those of the artist's picture and the others drawn, which tells the maps apart in which a
thing is lost. With `--best-of 8` each picture is the best of so many seeds by the ranker (analysis/best_of.py).
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure

from .. import checkpoints, data, validate
from ..analysis.best_of import load_ranker, ranked, scores
from ..analysis.editing import continued
from ..files import atomic_write, writable_folder
from .figures import show

COLUMNS, COUNT = 8, 64


def draw_sheet(name: str, seed: int, real: bool = False, best_of: int = 1, given: int = 0) -> tuple[Figure, dict]:
    """The sheet and its key: pairs of thing and style that exist, chosen by the seed, each thing once; drawn, or `real`.

    Raises ValueError for `best_of` and `given` out of range.
    """
    model = checkpoints.load(name)
    validate.integer("given", given, 0, model.config.pyramid.num_scales)
    images = data.load(model.config.data)
    order = torch.randperm(len(images.train_labels), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = list({int(images.train_labels[i]): i for i in reversed(order)}.values())[-COUNT:]
    things, styles = images.train_conditions[chosen].unbind(1)
    seeds = list(range(seed, seed + COUNT))
    if best_of != 1:
        ranker = load_ranker(model.config)
        for i, asked in enumerate(images.train_conditions[chosen]):
            score = partial(scores, ranker, conditions=asked[None])
            seeds[i] = ranked(model, score, int(asked[0]), seeds[i], best_of, style=int(asked[1]))[0].seed
    artists = (data.to_unit(images.train_images[chosen]) + 1) / 2
    if real:
        pictures = artists
    elif given:
        runs = zip(artists, things.tolist(), seeds, styles.tolist())
        pictures = [continued(model, picture, given, thing, k, style=style) for picture, thing, k, style in runs]
    else:
        pictures = model.sample_images(things.tolist(), seeds, style=styles.tolist())
    figure = Figure(figsize=(1.35 * COLUMNS, 1.45 * COUNT / COLUMNS), dpi=110, layout="constrained")
    for number, (axis, image) in enumerate(zip(figure.subplots(COUNT // COLUMNS, COLUMNS).flat, pictures), 1):
        show(axis, image)
        axis.set_title(str(number), fontsize=8)
    key = [
        {"number": i, "thing": images.class_names[t], "style": images.style_names[s]} | ({} if real else {"seed": k})
        for i, (t, s, k) in enumerate(zip(things.tolist(), styles.tolist(), seeds), 1)
    ]
    return figure, {"model": name, "seed": seed, "real": real, "best_of": best_of, "given": given, "pictures": key}


def main() -> None:
    parser = argparse.ArgumentParser("python -m var_mini.view.nameable", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="things-64")
    parser.add_argument("--seed", type=int, default=0)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--best-of", type=int, default=1, help="seeds of which each picture is the best (default 1)")
    kind.add_argument("--given", type=int, default=0, help="so many coarsest maps are those of the real pictures (default 0)")
    kind.add_argument("--real", action="store_true", help="the real pictures of the same things and styles")
    parser.add_argument("--out", type=Path, required=True, help="folder for sheet.png and key.json")
    options = parser.parse_args()
    out = writable_folder("out", options.out)
    try:
        figure, key = draw_sheet(options.model, options.seed, options.real, options.best_of, options.given)
    except ValueError as error:
        parser.error(str(error))
    figure.savefig(out / "sheet.png")
    with atomic_write(out / "key.json") as path:
        path.write_text(json.dumps(key, indent=1) + "\n")


if __name__ == "__main__":
    main()
