"""What is said of a change is what was done, and a model told of changes learns them beside its own weights."""

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER, awake
from var_mini import checkpoints
from var_mini.__main__ import main
from var_mini.config import ModelConfig
from var_mini.model import Model
from var_mini.training import recipes, stages
from var_mini.training.augment import CHANGES, HUE, PLAIN, SHIFT, ZOOM, augment, augment_and_tell
from var_mini.training.schedule import Schedule
from var_mini.training.transformer import TransformerObjective, cross_entropy

SIDE, COUNT = 48, 300


def blots(colour):
    """A dark blot on white, many times; its changes, and what is said of them."""
    picture = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)
    picture[:, 14:34, 18:30] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    pictures = picture.expand(COUNT, -1, -1, -1)
    flips = torch.arange(COUNT) % 2 == 0
    changed, told = augment_and_tell(pictures, torch.Generator().manual_seed(5), flips)
    assert torch.equal(changed, augment(pictures, torch.Generator().manual_seed(5), flips))
    return pictures, changed, told


def centre_and_spread(images):
    """Centre of the ink in pixels, x and y, and its root mean square distance from there, by plain sums in float64."""
    ink = (1 - images.double()).sum(1)
    place = torch.arange(SIDE, dtype=torch.float64) + 0.5
    mass = ink.sum((1, 2))
    x, y = ((ink.sum(axis) * place).sum(1) / mass for axis in (1, 2))
    far = (place[None, None, :] - x[:, None, None]) ** 2 + (place[None, :, None] - y[:, None, None]) ** 2
    return x, y, ((ink * far).sum((1, 2)) / mass).sqrt()


def test_pictures_left_as_they_are_are_told_by_zeros():
    pictures, changed, told = blots((200, 90, 40))
    same = (changed == (pictures.float() / 127.5 - 1)).flatten(1).all(1)
    assert told.shape == (COUNT, CHANGES) and torch.equal(same, (told == 0).all(1))
    assert abs(same.float().mean().item() - PLAIN) < 4 * math.sqrt(PLAIN * (1 - PLAIN) / COUNT)


def test_zoom_shift_and_mirror_are_those_that_were_done():
    pictures, changed, told = blots((60, 60, 60))  # grey, which no turn of the hue changes
    zoom, left, up, _, mirrored = told.double().unbind(1)
    x0, y0, spread0 = centre_and_spread(pictures.float() / 127.5 - 1)
    x, y, spread = centre_and_spread(changed)
    grown = 1 + ZOOM * zoom
    assert torch.allclose(spread / spread0, grown, atol=0.02)
    middle, sign = SIDE / 2, 1 - 2 * mirrored
    assert torch.allclose(y, middle + grown * (y0 - middle - SHIFT * SIDE * up), atol=0.1)
    assert torch.allclose(x, middle + sign * grown * (x0 - middle) - grown * SHIFT * SIDE * left, atol=0.1)
    assert mirrored[1::2].sum() == 0 and 0.25 < mirrored[::2].mean() < 0.55


def test_hue_is_the_angle_about_grey():
    _, changed, told = blots((150, 110, 100))  # so dull that no turn leaves the cube of colours
    ink = (1 - changed.double()).sum((2, 3))  # a sum of colours turns with them
    angle = torch.atan2(ink @ torch.tensor([0, 3**0.5, -(3**0.5)]).double(), ink @ torch.tensor([2.0, -1, -1]).double())
    still = told[:, 3] == 0
    turned = (angle - angle[still][0] + math.pi) % (2 * math.pi) - math.pi
    assert torch.allclose(turned, HUE * told[:, 3].double(), atol=0.01)


def test_changes_move_the_class_embedding_and_nothing_else(tiny):
    config = replace(tiny.transformer.config, class_drop=0.0)
    tiny.transformer.config, kept = config, tiny.transformer.config
    objective = TransformerObjective(tiny.transformer, tiny.tokenizer.quantize, told=True)
    ids, labels = torch.randint(0, 24, (4, 14), generator=torch.Generator().manual_seed(1)).int(), torch.tensor([0, 1, 2, 0])
    change = torch.tensor([[0.5, -1.0, 0.0, 0.3, 1.0]]).repeat(4, 1)
    table = tiny.transformer.class_emb.weight
    before = table.detach().clone()
    try:
        plain = objective(0, ids, labels, torch.zeros(4, CHANGES))[0].item()
        assert objective(0, ids, labels, change)[0].item() == plain  # the map starts at zero
        with torch.no_grad():
            objective.changes.weight.normal_(generator=torch.Generator().manual_seed(2))
        told = objective(0, ids, labels, change)[0].item()
        assert objective(0, ids, labels, torch.zeros(4, CHANGES))[0].item() == plain
        with torch.no_grad():  # by hand: every class moved by the sum of the map's columns, each times its number
            table += sum(change[0, i] * objective.changes.weight[:, i] for i in range(CHANGES))
        moved = cross_entropy(tiny.transformer, tiny.tokenizer.quantize, ids, labels)["cross_entropy"]
    finally:
        tiny.transformer.config = kept
        with torch.no_grad():
            table.copy_(before)
    assert told == pytest.approx(moved, abs=1e-5) and abs(told - plain) > 1e-3


def test_a_run_with_changed_views_learns_their_map_and_ships_without_it(tmp_path, monkeypatch):
    schedule = Schedule(steps=11, batch_size=4, lr=3e-3, warmup=1)
    recipe = recipes.Recipe(TINY_TOKENIZER, TINY_TRANSFORMER, schedule, schedule, views=3, plain=2)
    monkeypatch.setitem(recipes.RECIPES, "small", recipe)
    checkpoints.save(awake(Model.build(ModelConfig("small", TINY_TOKENIZER, TINY_TRANSFORMER))), tmp_path / "first")
    for i in range(12):
        place = tmp_path / "pictures" / "abc"[i % 3] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), 20 * i).save(place)
    seen, forward = [], TransformerObjective.forward

    def noting(self, step, ids, labels, changes):
        seen.append(changes)
        return forward(self, step, ids, labels, changes)

    monkeypatch.setattr(TransformerObjective, "forward", noting)
    given = ["--tokenizer", str(tmp_path / "first"), "--data", str(tmp_path / "pictures"), "--grey"]
    common = ["--preset", "small", "--precision", "no", "--out", str(tmp_path / "run")]
    assert main(["train", "transformer", *common, *given]) == 0
    images = stages.load_data(recipe, tmp_path / "pictures").train_images
    epoch = torch.cat(seen)  # as they are twice, changed in two ways
    assert len(images) == 11 and len(epoch) == 44
    assert (epoch == 0).all(1).sum() >= 22 and (epoch != 0).any(1).sum() > 11
    state = torch.load(tmp_path / "run" / "transformer" / "state.pt", weights_only=True)
    assert state["objective"]["changes.weight"].abs().sum() > 0
    assert not [name for name in checkpoints.load(tmp_path / "run" / "model").transformer.state_dict() if "changes" in name]
