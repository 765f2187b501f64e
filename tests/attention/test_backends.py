"""Every back end against float64 formulas written out here: state loop, symmetry, gradients, fallback, bad input."""

import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from var_mini.attention import AttentionSpec, masked, new_state
from var_mini.attention.polynomial import monomials
from var_mini.pyramid import ScalePyramid

PYRAMID = ScalePyramid((1, 2, 3, 5, 7))  # odd sides: pooling leaves smaller cells at the border
SCALE = torch.tensor([0.5, 1.0, 2.0])
H, D, B = 3, 8, 2
NAMES = ("exact", "poly-2", "poly-4", "poly-2-calibrated", "landmark-16", "landmark-64", "pool-2", "pool-4")
NAMES += ("local-9", "local-25", "budget-16")
COEFFICIENTS = torch.tensor([[1.0, 0.9, 0.6], [1.1, 1.0, 0.4], [0.9, 1.2, 0.8]])


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture(scope="module")
def qkv():
    v = torch.randn(B, H, PYRAMID.tokens, D, generator=torch.Generator().manual_seed(2))
    return unit(B, H, PYRAMID.tokens, D, seed=0), unit(B, H, PYRAMID.tokens, D, seed=1), v


def landmarks(m):
    return unit(H, m, D, seed=3)


def state_of(name, batch=B, scale=SCALE, capacity=PYRAMID.tokens, **options):
    spec = AttentionSpec.parse(name)
    given = {"landmarks": landmarks(spec.landmarks), "coefficients": COEFFICIENTS} | options
    return new_state(spec, batch, scale, D, capacity, **given)


def loop(name, q, k, v, **options):
    """The output of every token, scale by scale through a state."""
    state = state_of(name, len(q), **options)
    out = []
    for where in PYRAMID.slices:
        state.extend(k[:, :, where], v[:, :, where])
        out.append(state.attend(q[:, :, where]))
    return torch.cat(out, 2), state


def pooled_keys(k, v, scales, factor):
    """Means over cells by four explicit loops: lists of (mean key, mean value, tokens in the cell)."""
    cells = []
    for scale in range(scales):
        side, start = PYRAMID.patch_nums[scale], PYRAMID.slices[scale].start
        step = factor if side > 4 else 1
        for y, x in product(range(0, side, step), repeat=2):
            inside = [start + i * side + j for i in range(y, min(y + step, side)) for j in range(x, min(x + step, side))]
            cells.append((k[inside].mean(0), v[inside].mean(0), len(inside)))
    return cells


def kept_keys(queries, keys, s, kept, budget):
    """Indices of the keys that stay: the `budget` largest sums of softmax weights over four queries spread over the map."""
    if len(kept) <= budget:
        return kept
    mass = np.zeros(len(kept))
    for i in sorted({round(step * (len(queries) - 1) / 3) for step in range(4)} if len(queries) > 4 else range(len(queries))):
        weights = np.exp(s * keys[kept] @ queries[i])
        mass += weights / weights.sum()
    return sorted(np.array(kept)[np.argsort(-mass)[:budget]].tolist())


def oracle(name, q, k, v):
    """The formula of each method in float64, for one image and head at a time."""
    spec = AttentionSpec.parse(name)
    q, k, v = (x.double().numpy() for x in (q, k, v))
    out = np.zeros_like(q)
    for b, h in product(range(len(q)), range(H)):
        s, kept = SCALE[h].item(), []
        for scale, where in enumerate(PYRAMID.slices):
            seen = slice(0, where.stop)
            queries, keys, values = q[b, h, where], k[b, h, seen], v[b, h, seen]
            t = s * queries @ keys.T
            if spec.method == "exact":
                weights = np.exp(t)
            elif spec.method == "poly":
                a = (
                    COEFFICIENTS[h].double().numpy()
                    if spec.calibrated
                    else [1 / math.factorial(j) for j in range(spec.degree + 1)]
                )
                weights = sum(a[j] * t**j for j in range(spec.degree + 1))
            elif spec.method == "landmark":
                marks = landmarks(spec.landmarks)[h].double().numpy()
                gram = np.exp(s * (marks @ marks.T - 1)) + 1e-5 * np.eye(len(marks))
                left, right = np.exp(s * (queries @ marks.T - 1)), np.exp(s * (keys @ marks.T - 1))
                weights = left @ np.linalg.solve(gram, right.T)
            elif spec.method == "local":
                side, reach = PYRAMID.patch_nums[scale], {9: 1, 25: 2}[spec.neighbours]
                weights = np.zeros_like(t)
                for y, x, y2, x2 in product(range(side), repeat=4):
                    if max(abs(y - y2), abs(x - x2)) <= reach:
                        i, j = y * side + x, where.start + y2 * side + x2
                        weights[i, j] = np.exp(t[i, j])
            elif spec.method == "budget":
                kept = kept_keys(queries, keys, s, kept + list(range(where.start, where.stop)), spec.budget)
                weights = np.zeros_like(t)
                weights[:, kept] = np.exp(t[:, kept])
            else:
                cells = pooled_keys(keys, values, scale + 1, spec.factor)
                keys, values = np.stack([c[0] for c in cells]), np.stack([c[1] for c in cells])
                weights = np.exp(s * queries @ keys.T) * np.array([c[2] for c in cells])
            out[b, h, where] = weights @ values / weights.sum(1, keepdims=True)
    return torch.from_numpy(out)


TOLERANCE = {"landmark": 3e-3}  # float32 solves with a nearly singular matrix; all others are plain sums


def tolerance(name):
    return TOLERANCE.get(AttentionSpec.parse(name).method, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_loop_equals_the_formula_in_float64(qkv, name):
    wanted = oracle(name, *qkv)
    double = [x.double() for x in qkv]
    out, state = loop(name, *double, scale=SCALE.double(), landmarks=landmarks(AttentionSpec.parse(name).landmarks).double())
    torch.testing.assert_close(out, wanted, atol=1e-9, rtol=0)
    out, state = loop(name, *qkv)
    assert out.dtype == torch.float32 and out.shape == qkv[0].shape
    torch.testing.assert_close(out.double(), wanted, atol=tolerance(name), rtol=0)
    assert state.fallbacks == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_give_the_output(qkv, name):
    q, k, v = qkv
    state = state_of(name, reserve=True)
    for where in PYRAMID.slices:
        state.extend(k[:, :, where], v[:, :, where])
        weights = state.weights(q[:, :, where])
        assert weights.shape == (B, H, where.stop - where.start, where.stop)
        torch.testing.assert_close(weights @ v[:, :, : where.stop], state.attend(q[:, :, where]), atol=3e-3, rtol=0)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("local")])  # which knows the places
def test_keys_inside_a_scale_may_come_in_any_order(qkv, name):
    """Pooling averages neighbours, so there only an exchange inside a cell changes nothing."""
    q, k, v = qkv
    order = torch.arange(PYRAMID.tokens)
    for where, side in zip(PYRAMID.slices, PYRAMID.patch_nums):
        if name.startswith("pool"):
            if side > 4:
                order[where.start], order[where.start + 1] = where.start + 1, where.start
        else:
            order[where] = where.start + torch.randperm(side * side, generator=torch.Generator().manual_seed(side))
    assert not torch.equal(order, torch.arange(PYRAMID.tokens))
    torch.testing.assert_close(
        loop(name, q, k[:, :, order], v[:, :, order])[0], loop(name, q, k, v)[0], atol=tolerance(name), rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_images_and_heads_do_not_see_each_other(qkv, name):
    q, k, v = qkv
    out, _ = loop(name, q, k, v)
    changed = [x.clone() for x in qkv]
    for x in changed:
        x[1, 2] = unit(PYRAMID.tokens, D, seed=9)
    other, _ = loop(name, *changed)
    same = torch.ones(B, H, dtype=torch.bool)
    same[1, 2] = False
    torch.testing.assert_close(other[same], out[same], atol=tolerance(name), rtol=0)
    assert (other[1, 2] - out[1, 2]).abs().max() > 0.1
    alone, _ = loop(name, q[1:], k[1:], v[1:])
    torch.testing.assert_close(alone, out[1:], atol=tolerance(name), rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass_through_the_state(qkv, name):
    """Against finite differences in float64, along random directions, for q, k, v and the scale."""
    spec = AttentionSpec.parse(name)
    marks = landmarks(spec.landmarks).double()
    inputs = [x.double().clone().requires_grad_() for x in (*qkv, SCALE)]
    probe = torch.randn(qkv[0].shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def value(*given):
        return (loop(name, *given[:3], scale=given[3], landmarks=marks)[0] * probe).sum()

    gradients = torch.autograd.grad(value(*inputs), inputs)
    for i, gradient in enumerate(gradients):
        assert gradient.isfinite().all()
        direction = torch.randn(inputs[i].shape, generator=torch.Generator().manual_seed(6 + i), dtype=torch.float64)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [x.detach() for x in inputs]
            moved[i] = moved[i] + step * direction
            ends.append(value(*moved))
        torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["poly-2", "poly-4", "poly-2-calibrated"])
def test_the_masked_polynomial_equals_the_state(qkv, name):
    out = masked(name, *qkv, SCALE, PYRAMID.block_causal_mask(), COEFFICIENTS)
    torch.testing.assert_close(out, loop(name, *qkv)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("d", "degree"), [(2, 2), (3, 4), (5, 2), (4, 6), (8, 4), (1, 8)])
def test_monomials_are_all_products_each_once(d, degree):
    x = torch.randn(2, d, 3, generator=torch.Generator().manual_seed(1)).double()
    exponents = [e for e in product(range(degree + 1), repeat=d) if sum(e) <= degree]
    wanted = torch.stack([torch.stack([x[:, i] ** e[i] for i in range(d)]).prod(0) for e in exponents], 1)
    for given in (x, x.clone().requires_grad_()):
        phi = monomials(given, degree).detach()
        assert phi.shape == (2, math.comb(d + degree, degree), 3)
        torch.testing.assert_close(phi.sort(1).values, wanted.sort(1).values)
    torch.testing.assert_close(monomials(x, degree), monomials(x.clone().requires_grad_(), degree).detach())


def test_what_each_state_reports(qkv):
    tokens, floats = PYRAMID.tokens, B * H * 4
    cells = 1 + 4 + 9 + 9 + 16
    wanted = {
        "exact": (tokens, floats * tokens * 2 * D),
        "poly-2": (45, floats * 45 * (D + 1)),
        "poly-4": (495, floats * 495 * (D + 1)),
        "landmark-16": (16, floats * 16 * (D + 1)),
        "pool-2": (cells, floats * cells * 2 * D + 4 * cells),
        "local-9": (49, floats * 49 * 2 * D),  # the last scale alone
        "budget-16": (16, floats * 16 * 2 * D),
    }
    for name, (rank, size) in wanted.items():
        state = loop(name, *qkv)[1]
        assert (state.rank, state.state_bytes) == (rank, size), name
        kept = floats * tokens * 2 * D if name.startswith("landmark") else 0
        assert state.reserve_bytes == kept, name
    smallest = loop("poly-2", *qkv)[1].smallest_denominator
    t = SCALE.view(1, -1, 1, 1) * qkv[0].double() @ qkv[1].double().transpose(-1, -2)
    sums = ((1 + t + t * t / 2) * PYRAMID.block_causal_mask()).sum(-1)
    assert smallest == pytest.approx(sums.min().item(), rel=1e-5)


def test_a_denominator_that_is_not_positive_falls_back_to_exact_in_that_head_and_is_counted(qkv):
    q, k, v = qkv
    negative = COEFFICIENTS.clone()
    negative[1] = torch.tensor([-1.0, 0.0, 0.0])  # head 1 has only negative weights
    out, state = loop("poly-2-calibrated", q, k, v, coefficients=negative)
    exact, _ = loop("exact", q, k, v)
    good, _ = loop("poly-2-calibrated", q, k, v)
    torch.testing.assert_close(out[:, 1], exact[:, 1], atol=1e-6, rtol=0)
    torch.testing.assert_close(out[:, [0, 2]], good[:, [0, 2]], atol=1e-6, rtol=0)
    assert state.fallbacks == B * PYRAMID.num_scales and state.smallest_denominator < 0
    with pytest.raises(ValueError, match=r"denominator = -.*must be above 0"):
        loop("poly-2-calibrated", q, k, v, coefficients=negative, reserve=False)
    state = state_of("poly-2-calibrated", coefficients=negative)
    state.extend(k, v)
    weights = state.weights(q)  # those that were used: exact ones in head 1
    torch.testing.assert_close(weights @ v, state.attend(q), atol=1e-5, rtol=0)
    t = (SCALE.view(1, -1, 1, 1) * q @ k.transpose(-1, -2)).double()
    torch.testing.assert_close(weights[:, 1].double(), t[:, 1].softmax(-1), atol=1e-6, rtol=0)


def test_weights_are_finite_where_every_feature_vanishes(qkv):
    state = state_of("landmark-16", scale=torch.full((H,), 500.0))
    state.extend(*qkv[1:])
    assert state.weights(qkv[0]).isfinite().all()


@pytest.mark.parametrize(("degree", "allowed", "too_much"), [(2, 400.0, 500.0), (4, 37.0, 40.0), (8, 15.0, 16.0)])
def test_a_scale_at_which_float32_loses_the_small_weights_is_refused(degree, allowed, too_much):
    """The allowed one is right for the worst pair, q . k = -1; float32 is wrong somewhere above."""
    spec = AttentionSpec("poly", degree=degree)
    key = unit(1, 1, 1, 4, seed=0)
    state = new_state(spec, 1, torch.tensor([allowed]), 4, 1)
    state.extend(key, torch.ones_like(key))
    torch.testing.assert_close(state.attend(-key), torch.ones_like(key), atol=0.05, rtol=0)
    with pytest.raises(ValueError, match=f"attention = 'poly-{degree}': the model's logits reach {too_much:g}: must be at most"):
        new_state(spec, 1, torch.tensor([too_much]), 4, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_inputs_are_summed_in_float32(qkv, name, dtype):
    """The same as float32 on the rounded inputs, but for the rounding of the output."""
    rounded = [x.to(dtype) for x in qkv]
    out, state = loop(name, *rounded)
    assert out.dtype == dtype and state.fallbacks == 0
    wanted, _ = loop(name, *(x.float() for x in rounded))
    torch.testing.assert_close(out.float(), wanted, atol=2 * torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_do_not_fit_are_refused_by_name(qkv, name):
    q, k, v = (x[:, :, :4] for x in qkv)
    state = state_of(name)
    with pytest.raises(ValueError, match="attend before extend: the state has taken in 0 keys"):
        state.attend(q)
    for keys, values, message in (
        (k, v[:, :, :3], r"v has shape \(2, 3, 3, 8\): must be \(2, 3, 4, 8\)"),
        (k[:1], v[:1], r"k has shape \(1, 3, 4, 8\)"),
        (k[:, :, :0], v[:, :, :0], r"k has shape \(2, 3, 0, 8\): must be \(2, 3, 1, 8\)"),
        (k[..., :7], v[..., :7], r"k has shape \(2, 3, 4, 7\)"),
    ):
        with pytest.raises(ValueError, match=message):
            state.extend(keys, values)
    state.extend(k, v)
    with pytest.raises(ValueError, match=r"q has shape \(2, 2, 4, 8\)"):
        state.attend(q[:, :2])
    state.extend(k, torch.full_like(v, 3e37))  # finite, though their sum is not


def test_far_landmarks_never_give_a_nan_picture(qkv):
    """Features underflow to zero: every denominator vanishes and every head is exact."""
    out, state = loop("landmark-16", *qkv, scale=torch.full((H,), 500.0))
    assert out.isfinite().all()
    assert state.fallbacks > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_by_name(qkv, name, bad):
    q, k, v = (x.clone() for x in qkv)
    for which, x in (("k", k), ("v", v), ("q", q)):
        kept = x[0, 0, 0, 0].item()
        x[0, 0, 0, 0] = bad
        with pytest.raises(ValueError, match=f"^{which} has values that are not finite"):
            loop(name, q, k, v)
        x[0, 0, 0, 0] = kept


def test_a_rank_that_is_too_large_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"C\(16 \+ 4, 4\) = 4,845 features at head dimension 16: must be at most 4,096"):
        new_state("poly-4", 1, SCALE, 16, 10)
    assert new_state("poly-4", 1, SCALE, 8, 10).rank == 495


def test_what_a_state_lacks_is_named():
    with pytest.raises(ValueError, match=r"landmarks have shape None: must be \(3, 64, 8\)"):
        new_state("landmark", 1, SCALE, D, 10)
    with pytest.raises(ValueError, match=r"coefficients have shape \(3, 3\): must be \(3, 5\)"):
        new_state("poly-4-calibrated", 1, SCALE, D, 10, coefficients=COEFFICIENTS)
    with pytest.raises(ValueError, match="needs a definite back end"):
        new_state("auto", 1, SCALE, D, 10)
    with pytest.raises(ValueError, match="k has 5 tokens: pooling needs a square token map"):
        new_state("pool-2", 1, SCALE, D, 10).extend(torch.ones(1, 3, 5, D), torch.ones(1, 3, 5, D))
    local = new_state("local-9", 1, SCALE, D, 10)
    with pytest.raises(ValueError, match="k has 5 tokens: neighbours need a square token map"):
        local.extend(torch.ones(1, 3, 5, D), torch.ones(1, 3, 5, D))
    local.extend(torch.ones(1, 3, 4, D), torch.ones(1, 3, 4, D))
    with pytest.raises(ValueError, match="q has 3 tokens: must have the 4 of the scale"):
        local.attend(torch.ones(1, 3, 3, D))
    with pytest.raises(ValueError, match="has no masked pass"):
        masked("local-9", *torch.ones(3, 1, 3, 4, D), SCALE, torch.ones(4, 4, dtype=torch.bool))
