"""The names of back ends, and which one `auto` chooses."""

import json

import pytest

from var_mini.attention import AttentionSpec, choose
from var_mini.attention.choose import TOKENS_PER_FEATURE
from var_mini.checkpoints import ASSETS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fast", "attention = 'fast': must be one of auto, budget, exact, landmark, local, poly, pool"),
        ("poly-3", "degree = 3: must be even"),
        ("poly-10", "degree = 10: must be a whole number from 1 to 8"),
        ("poly-0", "degree = 0: must be a whole number from 1 to 8"),
        ("landmark-15", "landmarks = 15: must be a whole number from 16 to 256"),
        ("landmark-257", "landmarks = 257: must be a whole number from 16 to 256"),
        ("pool-3", "factor = 3: pooling must be by 2 or 4"),
        ("exact-2", "attention = 'exact-2': exact takes no such parameter"),
        ("pool-2-calibrated", "pool takes no such parameter"),
        ("local-8", "neighbours = 8: must be a square window, 1, 9, 25, 49 or 81"),
        ("budget-3", "budget = 3: must be a whole number from 4 to 4096"),
        ("poly-", "must be one of"),
        ("", "must be one of"),
        (None, "attention = None: must be one of"),
        (7, "attention = 7: must be one of"),
        ("poly-99999999", "must be one of"),
    ],
)
def test_unknown_or_impossible_back_ends_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        AttentionSpec.parse(name)


@pytest.mark.parametrize(
    "name", ["exact", "poly-2", "poly-4", "poly-2-calibrated", "landmark-32", "pool-4", "local-9", "budget-64", "auto"]
)
def test_names_and_specs_say_the_same(name):
    spec = AttentionSpec.parse(name)
    assert str(spec) == name and AttentionSpec.parse(spec) is spec
    assert AttentionSpec.parse(name.partition("-")[0]).method == spec.method


def test_auto_follows_the_stored_times():
    """Where `auto` says that a constant-size state pays off, it was measured to; a third of that, and it was not."""
    rows = json.loads((ASSETS / "results" / "scaling.json").read_text())["rows"]
    ranks = {(8, "poly-2"): 45, (16, "poly-2"): 153} | {(d, f"landmark-{m}"): m for d in (8, 16) for m in (32, 64)}
    seen = set()
    for row in rows:
        rank = ranks.get((row["head_dim"], row["method"]))
        if rank is None or row["what"] != "attention":
            continue
        least = rank * TOKENS_PER_FEATURE[row["method"].partition("-")[0]]
        if row["tokens"] >= least:
            assert row["speedup_vs_exact"] > 1, row
            seen.add("faster")
        elif row["tokens"] < least / 3:
            assert row["speedup_vs_exact"] < 1, row
            seen.add("slower")
    assert seen == {"faster", "slower"}


def test_auto_chooses_by_tokens_rank_and_bound():
    assert choose(88, 8, 2.0, [16, 64])[0].method == "exact"
    assert str(choose(9451, 64, 4.0, [16, 64])[0]) == "landmark-64"
    assert choose(767, 16, 2.0, [16])[0].method == "exact" and str(choose(768, 16, 2.0, [16])[0]) == "landmark-16"
    spec, reason = choose(9451, 16, 11.6, [16, 64])
    assert spec.method == "exact" and "logits reach 11.6, too much for landmarks" in reason
    assert str(choose(9451, 8, 2.0, [])[0]) == "poly-2"
    spec, reason = choose(9451, 8, 4.0, [])
    assert spec.method == "exact" and "logits reach 4" in reason
    spec, reason = choose(88, 8, 2.0, [])
    assert spec.method == "exact" and "88 tokens are too few" in reason
