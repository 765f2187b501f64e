"""Fine-tuning: a run that starts from another model's weights, where the two need not be alike in scales, classes or styles."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from .. import validate
from ..model import Model
from ..tokenizer import VQVAE
from ..transformer import VAR

KINDS = {1: "grey", 3: "colour"}


def start_tokenizer(model: VQVAE, other: VQVAE, name: Path | str) -> None:
    """Copies the weights of `other`. Other scales are allowed; raises ValueError where it was built otherwise."""
    ours, theirs = model.config.image_channels, other.config.image_channels
    if ours != theirs:
        remedy = "add --grey" if theirs == 1 else "leave --grey out"
        raise ValueError(
            f"start = {str(name)!r}: takes {KINDS.get(theirs, theirs)} pictures, these are {KINDS.get(ours, ours)}; {remedy}, or "
            "start from another model"
        )
    _load(model, other.state_dict(), name)


def start_transformer(
    model: VAR, other: Model, class_names: tuple[str, ...], style_names: tuple[str, ...], name: Path | str
) -> None:
    """Copies the weights of `other`'s transformer; raises ValueError where it was built otherwise.

    Scales with a side in common keep what they learned of level and position. Classes and styles of the same name keep their
    embeddings, all others start from the mean of those that were trained. A model without styles starts from one with styles
    as if it were asked for any style.
    """
    theirs, ours = other.transformer.state_dict(), model.state_dict()
    if "style_emb.weight" in theirs and not style_names:
        theirs["class_emb.weight"] = theirs["class_emb.weight"] + theirs.pop("style_emb.weight")[-1]
    told = []
    for key, names, known in (
        ("class_emb.weight", class_names, other.config.class_names),
        ("style_emb.weight", style_names, other.config.style_names),
    ):
        if names and key in theirs and theirs[key].shape[1:] == ours[key].shape[1:]:
            theirs[key], fresh = _rows(theirs[key], known, names)
            kind = "classes" if key == "class_emb.weight" else "styles"
            if fresh:
                told.append(f"{len(fresh)} of {len(names)} {kind} start from the mean of {str(name)!r}: {validate.listed(fresh)}")
    if theirs["pos_1LC"].shape[2] == ours["pos_1LC"].shape[2]:
        position, level = ours["pos_1LC"].clone(), ours["lvl_embed.weight"].clone()
        for k, side in enumerate(model.pyramid.patch_nums):
            if side in other.transformer.pyramid.patch_nums:
                there = other.transformer.pyramid.patch_nums.index(side)
                position[:, model.pyramid.slices[k]] = theirs["pos_1LC"][:, other.transformer.pyramid.slices[there]]
                level[k] = theirs["lvl_embed.weight"][there]
        theirs |= {"pos_1LC": position, "lvl_embed.weight": level}
    _load(model, theirs, name)
    for line in told:
        print(line, file=sys.stderr)


def _rows(table: torch.Tensor, known: tuple[str, ...], names: tuple[str, ...]) -> tuple[torch.Tensor, list[str]]:
    """An embedding table (known + 1, C) for other names, its last row (null, any) kept; and the names it did not know."""
    row = {name: i for i, name in enumerate(known)}
    if not known and len(table) == len(names) + 1:  # unnamed, and as many: taken to be the same
        return table, []
    mean = table[:-1].mean(0)
    found = [table[row[name]] if name in row else mean for name in names]
    return torch.stack([*found, table[-1]]), [name for name in names if name not in row]


def _load(model: nn.Module, theirs: dict[str, torch.Tensor], name: Path | str) -> None:
    ours = model.state_dict()
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = (tuple(s[key].shape) if key in s else "absent" for s in (ours, theirs))
        if a != b:
            raise ValueError(f"start = {str(name)!r}: its {key} is {b}, where this preset has {a}; must be built alike")
    model.load_state_dict(theirs)
