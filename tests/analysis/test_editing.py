"""Editing: masks by brute force, given tokens stay, nothing outside changes what it should not; pictures as token maps."""

import numpy as np
import pytest
import torch

from var_mini.analysis.editing import (
    continued,
    edit,
    masks_per_scale,
    nearest_classes,
    neighbouring_codes,
    picture_of_ids,
    scale_errors,
    tokenize_picture,
)
from var_mini.generation import Trace


def ids_of(trace):
    return [step.token_ids[0] for step in trace.steps]


def test_a_token_is_redrawn_where_half_of_it_is_masked():
    generator = torch.Generator().manual_seed(0)
    sides = (1, 2, 3, 6)
    mask = torch.rand(6, 6, generator=generator) < 0.5
    for side, found in zip(sides, masks_per_scale(mask, sides)):
        cell = 6 // side
        for y in range(side):
            for x in range(side):
                block = mask[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell]
                assert found[y * side + x] == (block.float().mean() >= 0.5)


def test_the_nearest_class_is_the_one_at_the_smallest_angle_in_its_group():
    rows = np.random.default_rng(0).standard_normal((8, 4))  # seven classes, and the row of no class
    centred = rows[:7] - rows[:7].mean(0)
    for groups in ((), ("a", "b", "a", "b", "a", "a", "alone")):
        found = nearest_classes(torch.tensor(rows), groups, list(range(7)))
        for label in range(7):
            others = [other for other in range(7) if other != label and (not groups or groups[other] == groups[label])]
            lengths = {other: np.linalg.norm(centred[other]) * np.linalg.norm(centred[label]) for other in others}
            angles = {other: np.arccos(centred[other] @ centred[label] / lengths[other]) for other in others}
            assert found[label] == (min(angles, key=angles.get) if others else label)
    assert nearest_classes(torch.tensor(rows), groups, [5, 6]) == [found[5], 6]


def test_tokens_outside_the_mask_stay_and_inside_they_are_drawn(tiny):
    original = ids_of(tiny.trace(0, 1))
    mask = torch.tensor([[True, False, False]] * 3)
    steps = list(edit(tiny, original, mask, 2, 5))
    for given, step, inside in zip(original, steps, masks_per_scale(mask, (1, 2, 3))):
        assert torch.equal(step.token_ids[0][~inside], given[~inside])
    assert not torch.equal(steps[2].token_ids[0], original[2])
    free = list(edit(tiny, original, torch.ones(3, 3, dtype=torch.bool), 2, 5))
    for step, other in zip(free, tiny.trace(2, 5).steps):  # all masked: an ordinary run
        assert torch.equal(step.token_ids, other.token_ids) and torch.equal(step.image, other.image)


def test_what_is_given_steers_what_is_drawn(tiny):
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0, 0] = True
    runs = [list(edit(tiny, ids_of(tiny.trace(0, seed)), mask, 0, 5, keep_logits=True)) for seed in (1, 2)]
    assert not torch.equal(runs[0][2].logits[0, 0], runs[1][2].logits[0, 0])


def test_a_picture_comes_apart_and_together_again(tiny, tiny_images):
    image = (tiny_images[0] + 1) / 2
    trace = tokenize_picture(tiny, image)
    quantized = tiny.tokenizer.tokenize(tiny_images[:1])
    assert [step.token_ids.tolist() for step in trace.steps] == [ids.tolist() for ids in quantized.token_ids]
    assert torch.allclose(trace.image, (tiny.tokenizer.decode(quantized.f_hat[-1]) + 1) / 2, atol=1e-6)
    again = picture_of_ids(tiny, ids_of(trace))
    assert torch.equal(again.image, trace.image)
    other = [ids.clone() for ids in ids_of(trace)]
    other[2][4] = (other[2][4] + 1) % 24
    assert not torch.equal(picture_of_ids(tiny, other).image, trace.image)


def test_errors_per_scale_are_those_computed_by_hand(tiny, tiny_images):
    image = (tiny_images[0] + 1) / 2
    trace = tokenize_picture(tiny, image)
    with torch.no_grad():
        f = tiny.tokenizer.encode(tiny_images[:1]).double().numpy()
    for step, error in zip(trace.steps, scale_errors(tiny, image, trace), strict=True):
        rest = f - step.f_hat.double().numpy()
        assert error.residual == pytest.approx(np.sqrt((rest**2).sum() / (f**2).sum()), rel=1e-4)
        difference = step.image[0].double().numpy() - image.double().numpy()
        assert error.psnr_db == pytest.approx(10 * np.log10(1 / (difference**2).mean()), abs=1e-4)
        assert error.mean_absolute == pytest.approx(np.abs(difference).mean(), rel=1e-4)


def test_a_perfect_picture_has_a_finite_psnr(tiny):
    trace = tiny.trace(0, 1)
    assert scale_errors(tiny, trace.image[0], trace)[-1].psnr_db == pytest.approx(100)


def test_neighbouring_codes_are_sorted_by_distance_and_leave_out_the_code_itself(tiny):
    codebook = tiny.tokenizer.quantize.embedding.weight
    order, distances = neighbouring_codes(codebook, 5)
    codes = codebook.detach().double().numpy()
    by_hand = np.sqrt(((codes - codes[5]) ** 2).sum(1))
    assert sorted(order.tolist()) == [i for i in range(24) if i != 5]
    assert np.allclose(distances, by_hand[order.numpy()]) and np.all(np.diff(distances.numpy()) >= 0)
    with pytest.raises(ValueError, match="code = 24: must be a whole number from 0 to 23"):
        neighbouring_codes(codebook, 24)


@pytest.mark.parametrize(
    ("mask", "label", "message"),
    [
        (torch.zeros(3, 3, dtype=torch.bool), 0, "mask: is empty"),
        (torch.ones(2, 3, dtype=torch.bool), 0, r"mask is torch.bool of shape \(2, 3\): must be bool of shape \(3, 3\)"),
        (torch.ones(3, 3), 0, "mask is torch.float32"),
        (torch.ones(3, 3, dtype=torch.bool), 3, "class = 3"),
    ],
)
def test_bad_edits_name_the_value(tiny, mask, label, message):
    with pytest.raises(ValueError, match=message):
        edit(tiny, ids_of(tiny.trace(0, 1)), mask, label, 0)


def test_bad_pictures_and_ids_name_the_value(tiny):
    with pytest.raises(ValueError, match=r"image of shape \(1, 3, 3\): must be \(1, 12, 12\)"):
        tokenize_picture(tiny, torch.zeros(1, 3, 3))
    with pytest.raises(ValueError, match="finite"):
        tokenize_picture(tiny, torch.full((1, 12, 12), float("nan")))
    good = ids_of(tiny.trace(0, 1))
    with pytest.raises(ValueError, match="codes from 0 to 23"):
        picture_of_ids(tiny, [*good[:2], good[2] + 24])
    with pytest.raises(ValueError, match=r"ids have shape \[\(1,\), \(4,\)\]: must be \[\(1,\), \(4,\), \(9,\)\]"):
        picture_of_ids(tiny, good[:2])
    mask = torch.ones(3, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="original has 2 token maps"):
        edit(tiny, good[:2], mask, 0, 0)
    with pytest.raises(ValueError, match=r"forced have shape .* codes from 0 to 23"):
        edit(tiny, [*good[:2], good[2] - 24], mask, 0, 0)
    with pytest.raises(ValueError, match=r"forced have shape \[\(1,\), \(4,\), \(4,\)\]: must be"):
        edit(tiny, [*good[:2], good[1]], mask, 0, 0)


def test_a_picture_is_drawn_on_from_its_coarsest_maps(tiny, tiny_images):
    picture = (tiny_images[0] + 1) / 2
    quantized = tiny.tokenizer.tokenize(picture[None] * 2 - 1)
    with torch.no_grad():
        whole = (tiny.tokenizer.decode(quantized.f_hat[-1])[0] + 1) / 2
    drawn = tiny.sample_images(1, 5)[0]
    half = continued(tiny, picture, 2, 1, 5)
    assert torch.allclose(continued(tiny, picture, 3, 1, 5), whole, atol=1e-5)  # nothing is left to draw
    assert torch.allclose(continued(tiny, picture, 0, 1, 5), drawn, atol=1e-5)  # nothing is given
    found = quantized.token_ids
    steps = list(tiny.generate(1, 5, forced=[(ids[0], torch.full(ids[0].shape, k < 2)) for k, ids in enumerate(found)]))
    assert all(torch.equal(step.token_ids, ids) for step, ids in zip(steps[:2], found[:2]))
    assert torch.equal(half, steps[-1].image[0]) and not torch.allclose(half, whole, atol=1e-3)
    for wrong in (-1, 4, 1.5):
        with pytest.raises(ValueError, match=r"given = .*0 to 3"):
            continued(tiny, picture, wrong, 1, 5)


def test_a_picture_taken_apart_survives_saving(tiny, tiny_images):
    trace = tokenize_picture(tiny, (tiny_images[0] + 1) / 2)
    read = Trace.load(trace.to_bytes())
    assert read.settings == {"model": "tiny"} and [step.backend for step in read.steps] == ["none"] * 3
    for a, b in zip(read.steps, trace.steps, strict=True):
        assert torch.equal(a.token_ids, b.token_ids) and torch.equal(a.f_hat, b.f_hat) and torch.equal(a.image, b.image)


def test_ids_that_are_no_whole_numbers_are_refused(tiny):
    counts = tiny.config.pyramid.counts
    for bad in (torch.full((4,), 1.7), torch.full((4,), torch.nan), torch.zeros(4, dtype=torch.bool)):
        ids = [torch.zeros(n, dtype=torch.long) if n != 4 else bad for n in counts]
        with pytest.raises(ValueError, match=rf"^ids have type {bad.dtype}: must be whole numbers, such as int64, from 0 to 23"):
            picture_of_ids(tiny, ids)
