"""Wrong solutions of lesson 3, as students write them, and what the checks say about them; oracles against the library."""

import math

import pytest
import torch

from tests.checks.students import told
from var_mini.checks import use
from var_mini.generation.sampling import filter_logits, guide


def gumbel_greedy(logits, uniform):
    return logits.argmax(-1)


def gumbel_once(logits, uniform):
    return (logits - uniform.log()).argmax(-1)


def gumbel_of_chances(logits, uniform):
    return (logits.softmax(-1) - (-uniform.log()).log()).argmax(-1)


def top_p_without_crossing(logits, p):
    x, order = logits.sort(-1, descending=True)
    drop = x.softmax(-1).cumsum(-1) >= p
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def top_p_unsorted(logits, p):
    x = logits.sort(-1, descending=True).values
    chances = x.softmax(-1)
    return logits.masked_fill(chances.cumsum(-1) - chances >= p, -torch.inf)


def top_p_in_place(logits, p):
    x, order = logits.sort(-1, descending=True)
    chances = x.softmax(-1)
    drop = chances.cumsum(-1) - chances >= p
    logits[torch.zeros_like(drop).scatter(-1, order, drop)] = -torch.inf
    return logits


def top_p_zeros(logits, p):
    x, order = logits.sort(-1, descending=True)
    chances = x.softmax(-1)
    drop = chances.cumsum(-1) - chances >= p
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), 0)


def guided_constant(conditional, unconditional, weight, k, num_scales):
    return torch.lerp(unconditional, conditional, 1 + weight)


def guided_by_k_over_count(conditional, unconditional, weight, k, num_scales):
    t = weight * k / num_scales
    return conditional + t * (conditional - unconditional)


def guided_swapped(conditional, unconditional, weight, k, num_scales):
    t = weight * k / (num_scales - 1)
    return unconditional + t * (unconditional - conditional)


def entropy_naive(logits, patch_nums):
    p = logits.softmax(-1)
    return torch.stack([e.mean() for e in (-(p * p.log()).sum(-1)).split([s * s for s in patch_nums])])


def entropy_in_bits(logits, patch_nums):
    each = torch.special.entr(logits.softmax(-1)).sum(-1) / math.log(2)
    return torch.stack([e.mean() for e in each.split([s * s for s in patch_nums])])


def entropy_of_tokens(logits, patch_nums):
    return torch.special.entr(logits.softmax(-1)).sum(-1)


def top_p_sorted(logits, p):
    found, _ = logits.sort(dim=-1, descending=True)
    chances = found.softmax(-1)
    return found.masked_fill(chances.cumsum(-1) - chances >= p, -torch.inf)


WRONG = [
    ("gumbel_draw", gumbel_greedy, "most likely code without noise"),
    ("gumbel_draw", gumbel_once, "takes one logarithm only"),
    ("gumbel_draw", gumbel_of_chances, "adds the noise to probabilities"),
    ("keep_top_p", top_p_without_crossing, "drops the code that crosses p"),
    ("keep_top_p", top_p_unsorted, "forgets to undo the sorting"),
    ("keep_top_p", top_p_sorted, "returns the logits in sorted order"),
    ("keep_top_p", top_p_in_place, "changed its argument logits in place"),
    ("keep_top_p", top_p_zeros, "expected -inf"),
    ("guided_logits", guided_constant, "guides every scale alike"),
    ("guided_logits", guided_by_k_over_count, "uses k / K"),
    ("guided_logits", guided_swapped, "swaps the two predictions"),
    ("entropy_per_scale", entropy_naive, "0 * log 0"),
    ("entropy_per_scale", entropy_in_bits, "counts in bits"),
    ("entropy_per_scale", entropy_of_tokens, "has shape"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    torch.manual_seed(0)
    logits, other = torch.randn(2, 40, 30).double().unbind(0)
    for p in (0.3, 0.8, 0.99):
        assert torch.equal(use("keep_top_p")(logits, p), filter_logits(logits, top_p=p))
    assert torch.allclose(use("guided_logits")(logits, other, 4.0, 1, 5), guide(logits, other, 1.0))
    entropy = torch.distributions.Categorical(logits=logits[:5]).entropy()
    assert torch.allclose(use("entropy_per_scale")(logits[:5], (1, 2)), torch.stack([entropy[0], entropy[1:].mean()]))
    uniform = torch.rand(40, 30, dtype=torch.float64)
    exponential = -uniform.log()  # the library draws argmax p / e with exponential e
    assert torch.equal(use("gumbel_draw")(logits, uniform), (logits.softmax(-1) / exponential).argmax(-1))
