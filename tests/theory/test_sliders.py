"""The experiments behind sliders: loops over the definition for any order, what must grow, plain JSON, refused values."""

import json
import math
from itertools import product

import pytest
import torch

from var_mini.theory import sliders, tensor_attention


@pytest.mark.parametrize("order", [2, 3, 4])
def test_attention_of_any_order_is_the_sum_over_all_tuples_of_keys(order):
    n, d, degree = 3, 2, 3
    generator = torch.Generator().manual_seed(order)
    q, *rest = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2 * order - 1))
    keys, values = rest[: order - 1], rest[order - 1 :]

    def summed(weight):
        rows = []
        for query in q.tolist():
            total, out = 0.0, [0.0] * d
            for places in product(range(n), repeat=order - 1):
                t = sum(query[a] * math.prod(k[j, a].item() for k, j in zip(keys, places)) for a in range(d)) / d
                total += weight(t)
                for a in range(d):
                    out[a] += weight(t) * math.prod(v[j, a].item() for v, j in zip(values, places))
            rows.append([x / total for x in out])
        return torch.tensor(rows, dtype=torch.float64)

    assert torch.allclose(tensor_attention.explicit_of_order(q, keys, values), summed(math.exp))
    taylor = summed(lambda t: sum(t**j / math.factorial(j) for j in range(degree + 1)))
    assert torch.allclose(tensor_attention.features_of_order(q, keys, values, degree), taylor)


def test_three_at_once_is_order_three():
    given = tensor_attention.random_inputs(5, 3, 1.0)
    q, k1, k2, v1, v2 = given
    assert torch.equal(tensor_attention.explicit(*given), tensor_attention.explicit_of_order(q, [k1, k2], [v1, v2]))
    assert torch.equal(tensor_attention.features(*given, 4), tensor_attention.features_of_order(q, [k1, k2], [v1, v2], 4))


@pytest.mark.parametrize(("name", "key"), [("bound", "logits"), ("norm", "relative_error"), ("order", "relative_error")])
def test_errors_grow_along_the_slider_and_shrink_with_the_degree(name, key):
    slider = sliders.SLIDERS[name]
    low, high = (sliders.run(name, value)["rows"] for value in (slider.low, slider.high))
    assert all(a[key] < b[key] for a, b in zip(low, high))
    assert [row["degree"] for row in low] == [2, 4, 6]
    assert low[0][key] > 3 * low[1][key] > 9 * low[2][key]


def test_switches_have_two_settings_each_and_coupling_beyond_the_radius_loses_some():
    for d in (1, 3, 5):
        found = sliders.run("dimension", d)
        assert found["found"] == found["expected"] == 2**d
    assert min(found["coupled"]) < 32 and found["coupling"] > found["radius"] == pytest.approx(1 / (3 * math.sqrt(3)))


def test_terms_and_logits_of_an_order_are_powers():
    found = sliders.run("order", 3)
    assert found["terms"] == found["tokens"] ** 3 and found["largest_logit"] == found["entries"] ** 3


@pytest.mark.parametrize("name", sliders.SLIDERS)
def test_a_slider_gives_the_same_plain_json_twice_and_refuses_what_lies_beyond_its_ends(name):
    slider = sliders.SLIDERS[name]
    assert slider.low <= slider.start <= slider.high
    found = sliders.run(name, slider.start)
    assert json.loads(json.dumps(found, allow_nan=False)) == found == sliders.run(name, float(slider.start))
    for value in (slider.low - slider.step, slider.high + slider.step, math.nan, math.inf, "1", None, True):
        with pytest.raises(ValueError, match=f"{name} = .*must be a"):
            sliders.run(name, value)


def test_an_unknown_slider_is_refused():
    with pytest.raises(ValueError, match="slider = 'speed': must be one of"):
        sliders.run("speed", 1)
