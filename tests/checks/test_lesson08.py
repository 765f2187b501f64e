"""Wrong solutions of lesson 8, as students write them, and what the checks say about them; oracles against the library."""

import pytest
import torch

from tests.checks.students import told
from var_mini.analysis.neighbours import nearest_images
from var_mini.checks import find
from var_mini.checks.judging import expected_of
from var_mini.training.schedule import Schedule


def rate_from_zero(step, steps, warmup, peak, final):
    return peak * min(1.0, step / warmup) if step < warmup else peak * (final + (1 - final) * _half(step, steps, warmup))


def rate_to_zero(step, steps, warmup, peak, final):
    return peak * (step + 1) / warmup if step < warmup else peak * _half(step, steps, warmup)


def rate_of_the_whole_run(step, steps, warmup, peak, final):
    return peak * (step + 1) / warmup if step < warmup else peak * (final + (1 - final) * _half(step, steps, 0))


def _half(step, steps, warmup):
    return 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (step - warmup) / (steps - warmup), dtype=torch.float64)).item())


def revive_at_any_scale(codebook, usage, candidates, chosen):
    dead = (usage == 0).any(dim=0).nonzero().flatten()
    new = codebook.clone()
    new[dead] = candidates[chosen[: len(dead)]]
    return new


def revive_by_code(codebook, usage, candidates, chosen):
    return torch.where((usage.sum(0) == 0)[:, None], candidates[chosen], codebook)


def revive_in_place(codebook, usage, candidates, chosen):
    dead = (usage.sum(0) == 0).nonzero().flatten()
    codebook[dead] = candidates[chosen[: len(dead)]]
    return codebook


def drop_to_the_last_class(labels, uniform, share, num_classes):
    return torch.where(uniform < share, num_classes - 1, labels)


def drop_the_rest(labels, uniform, share, num_classes):
    return torch.where(uniform > share, num_classes, labels)


def drop_to_zeros(labels, uniform, share, num_classes):
    return labels * (uniform >= share)


def distance_without_mean(images, train):
    return torch.cdist(images.flatten(1), train.flatten(1)).min(1).values


def distance_squared(images, train):
    return (images[:, None] - train[None]).square().flatten(2).mean(2).amin(1)


def distance_of_training_images(images, train):
    return (images[:, None] - train[None]).square().flatten(2).mean(2).sqrt().amin(0)


WRONG = [
    ("learning_rate", rate_from_zero, "begins the warm-up at 0"),
    ("learning_rate", rate_to_zero, "falls to zero"),
    ("learning_rate", rate_of_the_whole_run, "begins the cosine at step 0"),
    ("revive_codes", revive_at_any_scale, "unused at one scale only"),
    ("revive_codes", revive_by_code, "gives code v the candidate chosen[v]"),
    ("revive_codes", revive_in_place, "changed its argument codebook in place"),
    ("drop_labels", drop_to_the_last_class, "takes a real class for the null class"),
    ("drop_labels", drop_the_rest, "drops all but the share"),
    ("drop_labels", drop_to_zeros, "takes class 0 for the null class"),
    ("nearest_distance", distance_without_mean, "sums over the pixels instead of averaging"),
    ("nearest_distance", distance_squared, "forgets the root"),
    ("nearest_distance", distance_of_training_images, "nearest image of every training image"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    for args in find("learning_rate").inputs(5):
        schedule = Schedule(args["steps"], 1, args["peak"], warmup=args["warmup"], final_lr=args["final"])
        rate = args["peak"] * schedule.rate(args["step"])
        assert expected_of(find("learning_rate"), args) == pytest.approx(rate, rel=1e-12)
    for args in find("nearest_distance").inputs(5):
        found = nearest_images(args["images"], args["train"])[0][:, 0]
        assert torch.allclose(torch.as_tensor(expected_of(find("nearest_distance"), args)).float(), found, atol=1e-4)
