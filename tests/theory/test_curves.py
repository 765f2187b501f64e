"""The recorded curves: loops over the definition for any order, what must grow or stay, what is stored, refused values."""

import json
import math
from itertools import product

import pytest
import torch

from var_mini.checkpoints import ASSETS
from var_mini.theory import tensor_attention
from var_mini.theory.curves import CURVES


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


@pytest.fixture(scope="module")
def stored() -> dict:
    return json.loads((ASSETS / "results" / "limits-curves.json").read_text())


# places that are quick to compute anew
@pytest.mark.parametrize(
    ("name", "place"), [("bound", 0.25), ("depth", 8), ("norm", 2.0), ("order", 1.5), ("series", 1.0), ("coupling", 0.3)]
)
def test_the_stored_curves_are_those_of_the_experiments(stored, name, place):
    assert set(stored) == set(CURVES)
    curves, found = CURVES[name], stored[name]
    assert tuple(found["places"]) == curves.places and found["start"] == curves.start in curves.places
    i = curves.places.index(place)
    again = curves.at(place)
    # errors near the rounding of float64 may differ from machine to machine
    assert {key: values[i] for key, values in found["series"].items()} == pytest.approx(again, rel=1e-3, abs=1e-12)
    assert found["facts"] == json.loads(json.dumps(curves.facts))
    assert [(mark["series"], mark["at"]) for mark in found["marks"]] == [
        (key, pytest.approx(at, rel=1e-5)) for key, at in curves.marks
    ]


@pytest.mark.parametrize("name", ["bound", "norm"])
def test_errors_grow_along_the_curve_and_shrink_with_the_degree(stored, name):
    two, four, six = (stored[name]["series"][degree] for degree in ("2", "4", "6"))
    assert two[0] < two[-1] and four[0] < four[-1] and six[0] < six[-1]
    assert two[0] > 3 * four[0] > 9 * six[0]


def test_the_more_tokens_meet_the_smaller_the_entries_from_which_it_fails(stored):
    found = stored["order"]
    fails = [next(p for p, error in zip(found["places"], found["series"][order]) if error > 0.1) for order in ("2", "3", "4")]
    assert fails == sorted(fails, reverse=True) and fails[0] > fails[2]
    marks = [mark["at"] for mark in found["marks"]]
    assert marks == pytest.approx([math.log(12) ** (1 / k) for k in (2, 3, 4)], rel=1e-5)


def test_a_head_is_as_deep_for_any_number_of_keys_and_products_are_not(stored):
    found = stored["depth"]["series"]
    assert set(found["head"]) == {10}
    assert found["tree"] == [2 * math.ceil(math.log2(n)) for n in stored["depth"]["places"]]
    assert found["chain"] == [2 * (n - 1) for n in stored["depth"]["places"]]
    (mark,) = stored["depth"]["marks"]
    assert 2 * math.log2(mark["at"]) == found["head"][0]  # where the tree has caught up


def test_no_value_of_one_head_beats_saying_nothing(stored):
    assert min(stored["series"]["series"]["head"]) > 1 > 1e-6 > max(stored["series"]["series"]["linear"])


def test_switches_have_two_settings_each_and_coupling_beyond_the_radius_loses_some(stored):
    found, radius = stored["coupling"], 1 / (3 * math.sqrt(3))
    for place, *counts in zip(found["places"], *(found["series"][seed] for seed in ("1", "2", "3"))):
        assert place > radius or counts == [256] * 3
    assert max(found["series"][seed][-1] for seed in ("1", "2", "3")) < 256
    assert found["marks"][0]["at"] == pytest.approx(radius, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("depth", 65, "n = 65: must be a whole number from 2 to 64"),
        ("order", 0, "entries = 0: must be"),
        ("order", math.nan, "entries = nan: must be"),
        ("coupling", "1", "strength = '1': must be"),
        ("series", 0, "value = 0: must be"),
    ],
)
def test_what_lies_beyond_an_experiment_is_refused(name, place, message):
    with pytest.raises(ValueError, match=message):
        CURVES[name].at(place)
