"""The chain of low-rank products against autograd, which knows neither formula."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from var_mini.theory import lora


def by_autograd(task, adapters):
    """Gradients of the loss as it stands in the paper, with explicit exponentials and sums."""
    leaves = {name: tuple(x.clone().requires_grad_() for x in pair) for name, pair in adapters.items()}
    weight = {n: task.frozen[n] + task.scaling * (leaves[n][0] @ leaves[n][1] if n in leaves else 0) for n in lora.NAMES}
    a = torch.exp((task.x @ weight["q"]) @ (task.x @ weight["k"]).T / task.x.shape[1])
    out = torch.diag(1 / a.sum(1)) @ a @ task.x @ weight["v"]
    loss = (out - task.y).pow(2).sum() / 2
    flat = [x for pair in leaves.values() for x in pair]
    found = torch.autograd.grad(loss, flat)
    return {name: found[2 * i : 2 * i + 2] for i, name in enumerate(leaves)}


def assert_same(found, wanted, tolerance):
    assert found.keys() == wanted.keys()
    for name in wanted:
        for a, b in zip(found[name], wanted[name]):
            assert (a - b).norm() <= tolerance * b.norm(), name


@pytest.mark.parametrize("names", ["qkv", "qv", "k"])
def test_both_ways_give_the_gradient_of_autograd(names):
    """At degree 12 and entries within 1 the polynomial is exp to thirteen digits, so the chain's algebra must be right."""
    task, adapters = lora.make_task(40, 1.0)
    adapters = {name: adapters[name] for name in names}
    wanted = by_autograd(task, adapters)
    assert_same(lora.explicit_gradients(task, adapters), wanted, 1e-12)
    assert_same(lora.chained_gradients(task, adapters, 12), wanted, 1e-11)


def test_at_b_equal_to_zero_the_gradient_of_a_is_exactly_zero():
    task, adapters = lora.make_task(30, 1.0)
    adapters = {name: (torch.zeros_like(B), A) for name, (B, A) in adapters.items()}
    for gradients in (lora.explicit_gradients(task, adapters), lora.chained_gradients(task, adapters, 4)):
        assert all((dA == 0).all() and dB.norm() > 0 for dB, dA in gradients.values())


def test_the_factors_multiply_to_the_polynomial_of_the_logits():
    q, k = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, V = lora.low_rank_factors(q, k, 0.5, 4)
    t = 0.5 * q @ k.T
    p = 1 + t + t**2 / 2 + t**3 / 6 + t**4 / 24
    torch.testing.assert_close(U @ V.T, p / p.sum(1, keepdim=True))
    assert U.shape == (7, 35)


def test_the_error_falls_with_the_degree_and_grows_with_the_norm():
    errors = {}
    for norm in (1.0, 2.0, 4.0):
        task, adapters = lora.make_task(100, norm)
        errors[norm] = [lora.relative_error(task, adapters, degree) for degree in (2, 4, 6, 8)]
        assert errors[norm] == sorted(errors[norm], reverse=True)
    assert all(a < b / 5 for a, b in zip(errors[1.0], errors[2.0])) and all(a < b / 5 for a, b in zip(errors[2.0], errors[4.0]))


def test_training_learns_where_the_norm_is_small_and_diverges_where_degree_two_is_too_little():
    exact, fast = lora.train(1.0, None, length=60, steps=60), lora.train(1.0, 2, length=60, steps=60)
    assert exact["loss"] < 0.2 * exact["loss_before"] and not fast["diverged"]
    assert fast["loss"] == pytest.approx(exact["loss"], rel=0.1)
    assert lora.train(6.0, 2, length=60, steps=200)["diverged"] and not lora.train(6.0, None, length=60, steps=200)["diverged"]


def test_multiplications_are_about_those_that_torch_counts():
    task, adapters = lora.make_task(600, 1.0)
    for degree, run in ((None, lora.explicit_gradients), (4, lambda *given: lora.chained_gradients(*given, degree=4))):
        with FlopCounterMode(display=False) as counter:
            run(task, adapters)
        assert counter.get_total_flops() / 2 == pytest.approx(lora.multiplications(600, degree), rel=0.15)


def test_multiplications_grow_with_the_square_and_with_the_length():
    assert lora.multiplications(2000, None) == 4 * lora.multiplications(1000, None)
    assert lora.multiplications(2000, 4) == 2 * lora.multiplications(1000, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lora.make_task(1, 1.0), "length = 1"),
        (lambda: lora.make_task(10, 0.0), "norm = 0.0: must be a finite number above 0"),
        (lambda: lora.make_task(10, 1.0, rank=5), "rank = 5: must be a whole number from 1 to 4"),
        (lambda: lora.chained_gradients(*lora.make_task(10, 1.0), degree=3), "degree = 3: must be even"),
        (lambda: lora.explicit_gradients(*lora.make_task(20_000, 1.0)), "3 x 20,000 x 20,000 numbers, 9.6 GB: must be at most"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
