"""Drawing by recorded scales: ids and pictures of `generate`, whatever was drawn before. Without a GPU the record is a call."""

import pytest
import torch

from tests.training.test_loop import NoAnswer
from var_mini import checkpoints
from var_mini.attention import features
from var_mini.generation import Sampling
from var_mini.generation.graphs import Graphs
from var_mini.model import Model

BACKENDS = ("exact", "poly-2", "poly-4-calibrated", "landmark-16", "pool-2")
SAMPLING = Sampling(guidance=2.0, top_p=0.9)


@pytest.fixture(scope="module")
def model(calibrated_folder):
    return checkpoints.load(calibrated_folder)


def graphs(model, batch, attention="exact", sampling=SAMPLING, record=lambda function: function):
    return Graphs(model.tokenizer, model.transformer, batch, sampling, attention, record)


def generated(model, labels, seeds, attention="exact", sampling=SAMPLING):
    steps = list(model.generate(labels, seeds, sampling, attention=attention))
    return torch.cat([step.token_ids for step in steps], 1), steps[-1].image


@pytest.mark.parametrize("attention", BACKENDS)
def test_one_record_draws_every_batch_as_generate_does(model, attention):
    drawn = graphs(model, 3, attention)
    assert drawn.why_not is None
    for labels, seeds in (([0, 1, 2], [5, 6, 7]), ([2, 2, 0], [1, 2, 3]), ([0, 1, 2], [5, 6, 7])):
        ids, images = drawn.draw(labels, seeds)
        wanted_ids, wanted = generated(model, labels, seeds, attention)
        assert torch.equal(ids, wanted_ids) and torch.equal(images, wanted)
    assert drawn.redrawn == 0


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(guidance=1.0, top_k=1), Sampling(top_k=5, temperature=0.7)], ids=str)
def test_every_sampling_setting(model, sampling):
    ids, _ = graphs(model, 2, sampling=sampling).draw([0, 1], 9)
    assert torch.equal(ids, generated(model, [0, 1], 9, sampling=sampling)[0])


@pytest.mark.parametrize("attention", BACKENDS)
def test_nothing_that_is_recorded_waits_for_the_gpu(calibrated_folder, attention):
    """On the meta device, where no number can be read at all."""
    model: Model = checkpoints.load(calibrated_folder, "meta")

    def record(function):
        with NoAnswer([]):
            function()
        return function

    drawn = graphs(model, 2, attention, record=record)
    assert drawn.why_not is None and drawn.image.shape == (2, 1, 12, 12)


def test_a_failing_denominator_is_drawn_again_with_exact_attention(model, monkeypatch):
    drawn = graphs(model, 2, "landmark-16")
    give_out = features.FeatureState.give_out

    def failing(self, q):
        out, denominator = give_out(self, q)
        return out * 0, denominator - denominator.amax(-1, keepdim=True)

    monkeypatch.setattr(features.FeatureState, "give_out", failing)
    ids, images = drawn.draw([0, 1], [3, 4])
    assert drawn.redrawn == 1
    exact_ids, exact = generated(model, [0, 1], [3, 4])
    assert torch.equal(ids, exact_ids) and torch.allclose(images, exact, atol=1e-5)


def test_logits_that_are_not_finite_are_named(calibrated_folder):
    broken = checkpoints.load(calibrated_folder)
    drawn = graphs(broken, 1)
    with torch.no_grad():
        broken.transformer.head.bias[0] = torch.nan
    with pytest.raises(ValueError, match="logits of scale 1 are not finite"):
        drawn.draw(0, 0)


def test_without_a_gpu_it_says_why_and_draws_all_the_same(model):
    drawn = Graphs(model.tokenizer, model.transformer, 2, SAMPLING)
    assert drawn.why_not == "CUDA graphs need a GPU, the model is on cpu"
    assert torch.equal(drawn.draw([0, 1], 3)[0], generated(model, [0, 1], 3)[0])


def test_what_cannot_be_recorded_is_told(model):
    def record(function):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    drawn = graphs(model, 1, record=record)
    assert drawn.why_not == "recording failed: operation not permitted when stream is capturing"
    assert torch.equal(drawn.draw(1, 3)[0], generated(model, 1, 3)[0])


def test_another_batch_size_is_refused(model):
    with pytest.raises(ValueError, match="batch = 3: these graphs were recorded for 2"):
        graphs(model, 2).draw([0, 1, 2], 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("attention", BACKENDS)
def test_graphs_draw_what_generate_draws_on_a_gpu(calibrated_folder, attention):
    model = checkpoints.load(calibrated_folder, "cuda")
    drawn = Graphs(model.tokenizer, model.transformer, 3, SAMPLING, attention)
    for seed in (1, 4, 1):
        ids, images = drawn.draw([0, 1, 2], [seed, seed + 1, seed + 2])
        wanted_ids, wanted = generated(model, [0, 1, 2], [seed, seed + 1, seed + 2], attention)
        assert torch.equal(ids, wanted_ids) and torch.allclose(images, wanted, atol=1e-5)
