"""Wrong solutions of lesson 5, as students write them, and what the checks say about them; oracles against the library."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.checks.students import told, verdict
from var_mini.attention import new_state
from var_mini.attention.landmark import RIDGE
from var_mini.checks import find, use
from var_mini.checks.judging import expected_of


def features_unweighted(x, scale):
    y, (i, j) = x * math.sqrt(scale), torch.triu_indices(x.shape[1], x.shape[1])
    return torch.cat([torch.ones(len(x), 1), y, y[:, i] * y[:, j] / math.sqrt(2)], 1)


def features_all_products(x, scale):
    y = x * math.sqrt(scale)
    products = (y[:, :, None] * y[:, None, :]).flatten(1) / math.sqrt(2)
    return torch.cat([torch.ones(len(x), 1), y, products], 1)


def features_of_s(x, scale):
    y, (i, j) = x * scale, torch.triu_indices(x.shape[1], x.shape[1])
    return torch.cat([torch.ones(len(x), 1), y, y[:, i] * y[:, j] * torch.where(i == j, 0.5**0.5, 1.0)], 1)


def features_lower_order(x, scale):
    """Right, in another order."""
    y, (i, j) = x * math.sqrt(scale), torch.tril_indices(x.shape[1], x.shape[1])
    return torch.cat([torch.ones(len(x), 1), y, y[:, i] * y[:, j] * torch.where(i == j, 0.5**0.5, 1.0)], 1)


def _ones(v):
    return torch.cat([v, torch.ones_like(v[..., :1])], -1)


def update_replacing(state, psi, v):
    return torch.einsum("hnr,hnd->hrd", psi, _ones(v))


def update_with_means(state, psi, v):
    return state + torch.einsum("hnr,hnd->hrd", psi, _ones(v)) / v.shape[1]


def update_in_place(state, psi, v):
    state += psi.mT @ _ones(v)
    return state


def update_front(state, psi, v):
    return state + psi.mT @ torch.cat([torch.ones_like(v[..., :1]), v], -1)


def read_undivided(state, psi):
    return (psi @ state)[..., :-1]


def read_normalised_features(state, psi):
    return (F.normalize(psi, p=1, dim=-1) @ state)[..., :-1]


def read_with_column(state, psi):
    out = psi @ state
    return out / out[..., -1:]


def read_softmax_of_features(state, psi):
    return torch.softmax(psi, dim=-1) @ state[..., :-1]


def read_softmax_of_sums(state, psi):
    return torch.softmax((psi @ state)[..., :-1], dim=-1)


def read_head_sum(state, psi):
    out = psi @ state
    return out[..., :-1] / out[..., -1].sum(1)[:, None, None]


def weights_without_factorials(t, degree):
    w = sum(t**j for j in range(degree + 1))
    return (w < 0).float().mean().item(), w.sum(1).min().item()


def weights_one_short(t, degree):
    w = sum(t**j / math.factorial(j) for j in range(degree))
    return (w < 0).float().mean().item(), w.sum(-1).min().item()


def weights_of_columns(t, degree):
    w = sum(t**j / math.factorial(j) for j in range(degree + 1))
    return (w < 0).float().mean().item(), w.sum(0).min().item()


def weights_of_exp(t, degree):
    return 0.0, t.exp().sum(1).min().item()


def _k(x, y, scale):
    return torch.exp(scale * (x @ y.T - 1))


def landmarks_plain(q, k, landmarks, scale, ridge):
    return _k(q, landmarks, scale) @ _k(landmarks, k, scale)


def landmarks_no_ridge(q, k, landmarks, scale, ridge):
    return _k(q, landmarks, scale) @ torch.linalg.inv(_k(landmarks, landmarks, scale)) @ _k(landmarks, k, scale)


def landmarks_reciprocal(q, k, landmarks, scale, ridge):
    gram = _k(landmarks, landmarks, scale) + ridge * torch.eye(len(landmarks))
    return _k(q, landmarks, scale) @ gram.reciprocal() @ _k(landmarks, k, scale)


def landmarks_transposed(q, k, landmarks, scale, ridge):
    gram = _k(landmarks, landmarks, scale) + ridge * torch.eye(len(landmarks))
    return (_k(q, landmarks, scale) @ torch.linalg.solve(gram, _k(landmarks, k, scale))).T


def pool_padded(k, side, factor):
    over = -side % factor
    maps = F.pad(k.T.reshape(1, -1, side, side), (0, over, 0, over))
    counts = F.pad(torch.ones(1, 1, side, side), (0, over, 0, over))
    return F.avg_pool2d(maps, factor).flatten(2)[0].T, (F.avg_pool2d(counts, factor) * factor**2).flatten().log()


def pool_floor(k, side, factor):
    maps, ones = k.T.reshape(1, -1, side, side), torch.ones(1, 1, side, side)
    return F.avg_pool2d(maps, factor).flatten(2)[0].T, (F.avg_pool2d(ones, factor) * factor**2).flatten().log()


def pool_counts(k, side, factor):
    means, logs = use_reference(k, side, factor)
    return means, logs.exp()


def use_reference(k, side, factor):
    means, logs = find("pool_keys").oracle(k, side, factor)
    return torch.from_numpy(means), torch.from_numpy(logs)


WRONG = [
    ("monomial_features", features_unweighted, "same weight as x_i x_i"),
    ("monomial_features", features_all_products, "as two features"),
    ("monomial_features", features_of_s, "multiplies x by s instead of the root of s"),
    ("monomial_features", features_unweighted, "psi(x_0) . psi(x_0) is"),
    ("update_state", update_replacing, "throws away what the state held before"),
    ("update_state", update_with_means, "divides by the number of new keys"),
    ("update_state", update_in_place, "changed its argument state in place"),
    ("update_state", update_front, "puts the 1 in front"),
    ("read_state", read_undivided, "does not divide"),
    ("read_state", read_normalised_features, "sum of the query's features"),
    ("read_state", read_with_column, "returns the column of the denominators"),
    ("read_state", read_softmax_of_features, "takes a softmax of the features"),
    ("read_state", read_softmax_of_sums, "takes a softmax of the sums"),
    ("read_state", read_head_sum, "all queries of a head by one number"),
    ("weights_of_degree", weights_without_factorials, "leaves out the factorials"),
    ("weights_of_degree", weights_one_short, "stops one power too early"),
    ("weights_of_degree", weights_of_columns, "sums over the queries"),
    ("weights_of_degree", weights_of_exp, "expected"),
    ("landmark_kernel", landmarks_plain, "leaves out the inverse"),
    ("landmark_kernel", landmarks_no_ridge, "forgets the ridge"),
    ("landmark_kernel", landmarks_reciprocal, "entry by entry"),
    ("landmark_kernel", landmarks_transposed, "has shape"),
    ("pool_keys", pool_padded, "at the border, too"),
    ("pool_keys", pool_floor, "drops the incomplete cells"),
    ("pool_keys", pool_counts, "without their logarithm"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_features_in_any_order_and_with_any_sign_are_right():
    def turned(x, scale):
        return -features_lower_order(x, scale).flip(1)

    for function in (features_lower_order, turned):
        assert verdict("monomial_features", function).passed


def test_features_are_judged_by_their_number_and_every_product():
    def wider(x, scale):  # a further column of zeros changes no product
        return torch.cat([features_lower_order(x, scale), torch.zeros(len(x), 1)], 1)

    def undefined(x, scale):
        return features_lower_order(x, scale) * torch.nan

    assert "has shape" in told("monomial_features", wider)
    assert "is nan" in told("monomial_features", undefined)


def test_the_oracle_of_the_features_factors_the_polynomial():
    for args in find("monomial_features").inputs(3):
        psi, t = expected_of(find("monomial_features"), args), args["scale"] * args["x"].double() @ args["x"].double().T
        assert torch.allclose(psi @ psi.T, 1 + t + t**2 / 2)


def _unit(*shape):
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_features_update_and_read_together_are_poly_2():
    torch.manual_seed(0)
    d, scale = 5, torch.tensor([1.5, 0.7], dtype=torch.float64)
    state, theirs = torch.zeros(2, 21, d + 1, dtype=torch.float64), new_state("poly-2", 1, scale, d, 40)
    for tokens in (1, 4, 9):
        q, k, v = _unit(2, tokens, d), _unit(2, tokens, d), torch.randn(2, tokens, d, dtype=torch.float64)
        psi = [torch.stack([use("monomial_features")(x[h], scale[h].item()) for h in range(2)]) for x in (q, k)]
        state = use("update_state")(state, psi[1], v)
        theirs.extend(k[None], v[None])
        assert torch.allclose(use("read_state")(state, psi[0]), theirs.attend(q[None])[0])


def test_the_kernel_of_landmarks_and_pooled_keys_are_the_library_s():
    torch.manual_seed(1)
    d, scale, tokens = 6, torch.tensor([2.0], dtype=torch.float64), 49
    q, k, v, landmarks = _unit(tokens, d), _unit(tokens, d), torch.randn(tokens, d, dtype=torch.float64), _unit(16, d)
    landmark = new_state("landmark-16", 1, scale, d, tokens, landmarks[None])
    pool = new_state("pool-2", 1, scale, d, tokens)
    for state in (landmark, pool):
        state.extend(k[None, None], v[None, None])
    weights = use("landmark_kernel")(q, k, landmarks, 2.0, RIDGE)
    assert landmark.fallbacks == 0
    assert torch.allclose(weights @ v / weights.sum(1, keepdim=True), landmark.attend(q[None, None])[0, 0], rtol=1e-5)
    keys, logs = use("pool_keys")(k, 7, 2)
    assert torch.allclose(keys, pool.keys[0, 0]) and torch.allclose(logs, pool.bias)
