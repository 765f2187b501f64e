"""Errors of approximations at any bound, against softmax written out in float64 and against the library's own states."""

from __future__ import annotations

import math

import pytest
import torch

from var_mini.analysis import limits
from var_mini.analysis.fidelity import output_errors
from var_mini.attention import new_state
from var_mini.training.qkv import collect_qkv


@pytest.fixture(scope="module")
def vectors():
    return limits.unit_vectors(6, seed=3)


def by_hand(vectors, weight) -> tuple[float, float, float]:
    """Error, share of negative weights and balance, one query at a time, for a function of the cosine."""
    q, k, v = (part[0].tolist() for part in (vectors.q, vectors.k, vectors.v))
    errors, negative, balance = [], [], []
    for head in range(len(q)):
        wrong, size = 0.0, 0.0
        for query in q[head]:
            cosines = [sum(a * b for a, b in zip(query, key)) for key in k[head]]
            exact, near = [weight[0](c) for c in cosines], [weight[1](c) for c in cosines]
            negative += [w < 0 for w in near]
            balance.append(sum(near) / sum(map(abs, near)))
            for channel in range(len(query)):
                a = sum(w * x[channel] for w, x in zip(exact, v[head])) / sum(exact)
                b = sum(w * x[channel] for w, x in zip(near, v[head])) / sum(near)
                wrong, size = wrong + (a - b) ** 2, size + a * a
        errors.append(math.sqrt(wrong / size))
    return sorted(errors)[(len(errors) - 1) // 2], sum(negative) / len(negative), min(balance)


@pytest.mark.parametrize(("bound", "degree"), [(0.5, 2), (4.0, 3), (4.0, 1), (2.0, 0)])
def test_taylor_s_polynomial_is_the_sum_written_out(vectors, bound, degree):
    def weight(cosine):
        return sum((bound * cosine) ** j / math.factorial(j) for j in range(degree + 1))

    error, negative, balance = by_hand(vectors, (lambda c: math.exp(bound * c), weight))
    found = limits.polynomial(vectors, bound, degree)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.negative == pytest.approx(negative) and found.balance == pytest.approx(balance)


def test_odd_degrees_lose_their_sum_and_even_ones_do_not(vectors):
    assert limits.polynomial(vectors, 16, 2).balance == 1 == limits.polynomial(vectors, 16, 4).balance
    assert limits.polynomial(vectors, 16, 1).balance < 0.3 and limits.polynomial(vectors, 16, 1).negative > 0.2
    assert limits.fitted(vectors, 4, 2).negative == 0


def test_errors_shrink_with_the_bound_the_degree_and_the_landmarks(vectors):
    assert (
        limits.polynomial(vectors, 0.25, 2).error
        < 1e-3
        < limits.polynomial(vectors, 2, 2).error
        < limits.polynomial(vectors, 8, 2).error
    )
    assert [limits.polynomial(vectors, 2, g).error for g in (2, 4, 6, 8)] == sorted(
        [limits.polynomial(vectors, 2, g).error for g in (2, 4, 6, 8)], reverse=True
    )
    assert limits.landmark(vectors, 2, 128).error < limits.landmark(vectors, 2, 16).error
    assert limits.fitted(vectors, 2, 2).error < limits.polynomial(vectors, 2, 2).error


@pytest.mark.parametrize("bound", [1.0, 4.0])
def test_landmarks_agree_with_the_state_of_the_library(vectors, bound):
    found = limits.landmark(vectors, bound, 32)
    q, k, v = (part[:1].float() for part in (vectors.q, vectors.k, vectors.v))
    scale = torch.full((q.shape[1],), bound)
    state = new_state("landmark-32", 1, scale, 6, k.shape[2], vectors.centres[32].float())
    exact = new_state("exact", 1, scale, 6, k.shape[2])
    for each in (state, exact):
        each.extend(k, v)
    wanted = exact.attend(q)[0].flatten(1)
    errors = (state.attend(q)[0].flatten(1) - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert found.error == pytest.approx(errors.median().item(), rel=0.02)


def test_a_model_s_vectors_at_its_own_bound_have_the_model_s_own_error(tiny):
    ids = torch.cat([step.token_ids for step in tiny.trace([0, 1, 2], [4, 5, 6]).steps], 1)
    qkv = collect_qkv(tiny, ids, torch.arange(3))
    scales = tiny.transformer.blocks[1].attn.logit_scale().detach()
    vectors = limits.model_vectors(qkv, tiny.config.pyramid, 1, scales)
    one = collect_qkv(tiny, ids[:1], torch.tensor([0]))
    errors = output_errors(tiny, one, "poly-2")[0][1]
    assert vectors.bound == pytest.approx(scales.median().item(), rel=1e-6)
    for head, scale in enumerate(scales.tolist()):
        one_head = limits.Vectors(*(part[:, head : head + 1] for part in (vectors.q, vectors.k, vectors.v)))
        assert limits.polynomial(one_head, scale, 2).error == pytest.approx(errors[head][-1], rel=1e-3)


def test_plain_vectors_are_refused(tiny):
    ids = torch.cat([step.token_ids for step in tiny.trace([0, 1], [4, 5]).steps], 1)
    qkv = collect_qkv(tiny, ids, torch.arange(2))
    qkv.q = qkv.q * 3
    with pytest.raises(ValueError, match="attn_l2_norm = False"):
        limits.model_vectors(qkv, tiny.config.pyramid, 0, torch.ones(2))
    with pytest.raises(ValueError, match="layer = 2"):
        limits.model_vectors(qkv, tiny.config.pyramid, 2, torch.ones(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: limits.polynomial(v, 0, 2), "bound = 0"),
        (lambda v: limits.polynomial(v, math.nan, 2), "bound = nan"),
        (lambda v: limits.polynomial(v, 1e9, 2), "bound = 1"),
        (lambda v: limits.polynomial(v, 1, 2.5), "degree = 2.5"),
        (lambda v: limits.polynomial(v, 1, 99), "degree = 99"),
        (lambda v: limits.fitted(v, 1, 3), "degree = 3: must be even"),
        (lambda v: limits.landmark(v, 1, 4), "landmarks = 4"),
        (lambda v: limits.landmark(v, 1, "64"), "landmarks = '64'"),
        (lambda v: limits.unit_vectors(0), "head_dim = 0"),
    ],
)
def test_bad_values_are_refused(vectors, call, message):
    with pytest.raises(ValueError, match=message):
        call(vectors)
