"""The peers' adapters against float64 formulas, and a small bench. Where the packages are absent only the refusal is tested."""

import builtins
import sys

import pytest
import torch

from var_mini.cost import peers
from var_mini.cost.peers import bench_peers, clustered, exact_attention, peer

from . import schemas

BOUND = 2.0


@pytest.fixture(scope="module")
def qkv():
    return clustered(60, 2, 8, seed=3)


def error(out, wanted):
    return ((out.double() - wanted).norm() / wanted.norm()).item()


def test_the_reference_is_softmax(qkv):
    q, k, v = qkv
    weights = (BOUND * q.double() @ k.double().mT).exp()
    torch.testing.assert_close(exact_attention(q, k, v, BOUND, block=7), weights @ v.double() / weights.sum(-1, keepdim=True))


@torch.no_grad()
@pytest.mark.parametrize("name", ["taylor", "taylor-symmetric"])
def test_the_taylor_peer_sees_the_same_logits(qkv, name):
    pytest.importorskip("taylor_series_linear_attention")
    q, k, v = qkv
    t = BOUND * q.double() @ k.double().mT
    weights = 1 + t + t * t / 2
    assert error(peer(name, *qkv, BOUND)(), weights @ v.double() / weights.sum(-1, keepdim=True)) < 1e-5


@torch.no_grad()
def test_favor_comes_near_exact_with_many_features(qkv, monkeypatch):
    pytest.importorskip("performer_pytorch")
    monkeypatch.setitem(peers.PEERS, "performer-256", ("performer_pytorch", 1 << 12))
    wanted = exact_attention(*qkv, BOUND)
    few, many = (error(peer(name, *qkv, BOUND)(), wanted) for name in ("performer-64", "performer-256"))
    assert many < 0.2 and many < few / 2  # it adds 1e-4 to every feature, so some bias stays


@torch.no_grad()
@pytest.mark.parametrize("landmarks", [60, 61])  # one per token; and with tokens added to fill the segments
def test_nystrom_comes_near_exact_with_a_landmark_per_token(qkv, monkeypatch, landmarks):
    pytest.importorskip("nystrom_attention")
    monkeypatch.setitem(peers.PEERS, "nystrom-32", ("nystrom_attention", landmarks))
    found = error(peer("nystrom-32", *qkv, 8.0)(), exact_attention(*qkv, 8.0))  # sharp, so that its pseudo-inverse converges
    assert found < 0.1


def test_draws_of_two_seeds_are_independent_tokens_of_one_distribution():
    q = clustered(500, 2, 8, 1)[0]
    other = clustered(500, 2, 8, 2)[0]
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(1, 2, 500))
    assert (q - other).abs().max() > 0.5
    torch.testing.assert_close(q.mean(2), other.mean(2), atol=0.15, rtol=0)


def test_a_small_bench(monkeypatch):
    installed = [name for name, (package, _) in peers.PEERS.items() if __import__("importlib").util.find_spec(package)]
    monkeypatch.setattr(peers, "ENOUGH_SECONDS", 0.0)
    result = bench_peers(tokens=(64,), head_dims=(8, 16), logit_bounds=(2.0,), peers=tuple(installed))
    schemas.check("peers", result)
    by = {(r["head_dim"], r["method"]): r for r in result["rows"]}
    assert by[8, "exact"]["error"] < 1e-6 and by[8, "poly-4"]["error"] < by[8, "poly-2"]["error"]
    assert (8, "poly-4") in by and (16, "poly-4") not in by
    assert len(result["beaten"]) == 2 * len(installed)
    for entry in result["beaten"]:
        if entry["by"]:
            ours, theirs = by[entry["head_dim"], entry["by"]], by[entry["head_dim"], entry["peer"]]
            assert ours["error"] < theirs["error"] and ours["seconds"] < theirs["seconds"] and not ours["peer"]


def test_a_missing_package_is_named(qkv, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("nystrom_attention"):
            raise ImportError("No module named 'nystrom_attention'")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "nystrom_attention", raising=False)
    monkeypatch.setattr(peers.importlib, "import_module", lambda name: refuse(name))
    with pytest.raises(ValueError, match=r"peer = 'nystrom-64': needs a package .*nystrom_attention.*pip install '.\[peers\]'"):
        peer("nystrom-64", *qkv, BOUND)


def test_bad_input_is_named(qkv):
    with pytest.raises(ValueError, match="peer = 'flash': must be one of"):
        peer("flash", *qkv, BOUND)
    with pytest.raises(ValueError, match="tokens = 1: must be a whole number from 16"):
        bench_peers(tokens=(1,))
    with pytest.raises(ValueError, match="logit_bound = 0"):
        bench_peers(logit_bounds=(0,))
