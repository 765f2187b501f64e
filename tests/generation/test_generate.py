"""The generator: one record per scale, the same image for the same seed, clear refusals."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from var_mini import checkpoints
from var_mini.generation import Sampling, generate

PLAIN = Sampling()
GUIDED = Sampling(guidance=2.0, temperature=0.9, top_k=12, top_p=0.95)


def test_every_scale_is_recorded(tiny):
    steps = list(tiny.generate(1, 0, GUIDED))
    assert [(s.index, s.side) for s in steps] == [(0, 1), (1, 2), (2, 3)]
    assert [s.token_ids.shape for s in steps] == [(1, 1), (1, 4), (1, 9)]
    assert all(s.f_hat.shape == (1, 4, 3, 3) and s.image.shape == (1, 1, 12, 12) for s in steps)
    assert all(s.image.min() >= 0 and s.image.max() <= 1 for s in steps)
    assert all(s.seconds_attention > 0 and s.seconds_transformer > 0 and s.seconds_decoder > 0 for s in steps)
    tokens = [1, 5, 14]
    assert [s.state_bytes for s in steps] == [2 * 2 * 2 * n * 2 * 8 * 4 for n in tokens]  # layers, k and v, doubled batch


def test_the_recorded_f_hat_is_what_the_tokens_say(tiny):
    steps = list(tiny.generate(1, 3, GUIDED))
    expected = tiny.tokenizer.quantize.accumulate([s.token_ids for s in steps])
    for step, f_hat in zip(steps, expected, strict=True):
        torch.testing.assert_close(step.f_hat, f_hat, atol=1e-5, rtol=0)
        torch.testing.assert_close(step.image, (tiny.tokenizer.decode(f_hat) + 1) / 2, atol=1e-5, rtol=0)


def distribution(logits: list[float], s: Sampling) -> dict[int, float]:
    """{code: probability} of the codes left, by the definition of top-k and top-p, in double precision."""
    scaled = [value / s.temperature for value in logits]
    kept = set(range(len(scaled)))
    if s.top_k:
        kth = sorted(scaled, reverse=True)[min(s.top_k, len(scaled)) - 1]
        kept = {i for i in kept if scaled[i] >= kth}

    def normalised():
        weight = {i: math.exp(scaled[i] - max(scaled)) for i in kept}
        return {i: w / sum(weight.values()) for i, w in weight.items()}

    p, mass = normalised(), 0.0
    for i in sorted(p, key=p.get)[:-1]:  # from the least likely up, never the most likely
        mass += p[i]
        if mass <= 1 - s.top_p:
            kept.remove(i)
    return normalised()


@pytest.mark.parametrize(
    "sampling", [PLAIN, GUIDED, Sampling(guidance=4.0, temperature=0.3, top_p=0.6), Sampling(top_k=3)], ids=str
)
def test_distributions_are_those_sampled_from(tiny, sampling):
    narrowed = 0
    for step in tiny.generate([1, 2], [0, 3], sampling, keep_logits=True):
        for image, token in product(range(2), range(step.side**2)):
            p = distribution(step.logits[image, token].tolist(), sampling)
            narrowed += len(p) < 24
            assert step.probability[image, token].item() == pytest.approx(p[step.token_ids[image, token].item()], rel=1e-4)
            assert step.entropy[image, token].item() == pytest.approx(-sum(q * math.log(q) for q in p.values()), abs=1e-5)
            best = sorted(p.values(), reverse=True)[:5]
            ids, reported = step.top_ids[image, token].tolist(), step.top_probability[image, token].tolist()
            assert reported == pytest.approx(best + [0.0] * (5 - len(best)), rel=1e-4, abs=1e-7)
            assert len(set(ids)) == 5  # which of two equally likely codes comes first is not fixed
            assert [p.get(i, 0.0) for i in ids] == pytest.approx(reported, rel=1e-4, abs=1e-7)
    assert narrowed == (0 if sampling == PLAIN else 28)  # the filters do cut codes away, at every token


@pytest.mark.parametrize("sampling", [PLAIN, GUIDED], ids=["plain", "guided"])
def test_an_image_depends_on_its_own_seed_alone(tiny, sampling):
    alone = list(tiny.generate(2, 7, sampling))
    among = list(tiny.generate([0, 2, 1, 2], [7, 7, 7, 8], sampling))
    for a, b in zip(alone, among, strict=True):
        assert torch.equal(a.token_ids[0], b.token_ids[1])
    assert not torch.equal(among[-1].token_ids[1], among[-1].token_ids[3])


def test_tokens_match_teacher_forcing(tiny):
    """Greedy tokens are the argmax of one masked pass over the input they imply."""
    steps = list(tiny.generate(1, 0, Sampling(top_k=1)))
    f_hats = tiny.tokenizer.quantize.accumulate([s.token_ids for s in steps])
    logits = tiny.transformer(torch.tensor([1]), tiny.tokenizer.quantize.teacher_forcing_input(f_hats))
    assert torch.equal(logits.argmax(-1), torch.cat([s.token_ids for s in steps], 1))


def test_no_guidance_runs_no_second_half(tiny):
    batches = []
    handle = tiny.transformer.word_embed.register_forward_hook(lambda m, i, o: batches.append(o.shape[0]))
    try:
        list(tiny.generate(1, 0, PLAIN))
        list(tiny.generate(1, 0, GUIDED))
    finally:
        handle.remove()
    assert batches == [1, 1, 2, 2]  # one forward per scale but the first, which needs no word embedding


def test_captured_attention_is_a_distribution(tiny):
    for kind in ("blocks", "full"):
        for step in tiny.generate(1, 0, GUIDED, capture=kind):
            assert step.attention.shape[:3] == (1, 2, 2)  # image, layers, heads
            torch.testing.assert_close(step.attention.sum(-1), torch.ones(step.attention.shape[:-1]))
    blocks = [s.attention for s in tiny.generate(1, 0, GUIDED, capture="blocks")]
    full = [s.attention for s in tiny.generate(1, 0, GUIDED, capture="full")]
    by_hand = torch.stack([full[2][..., a:b].sum(-1).mean(-1) for a, b in ((0, 1), (1, 5), (5, 14))], -1)
    torch.testing.assert_close(blocks[2], by_hand)


def test_capture_changes_nothing(tiny):
    plain, captured = list(tiny.generate(1, 0)), list(tiny.generate(1, 0, capture="full"))
    assert all(torch.equal(a.token_ids, b.token_ids) for a, b in zip(plain, captured, strict=True))


def test_sample_images_in_batches_equal_single_ones(tiny):
    labels, seeds = [0, 1, 2, 0, 1], [4, 3, 2, 1, 0]
    many = tiny.sample_images(labels, seeds, GUIDED, batch_size=2)
    for i in range(5):
        *_, last = tiny.generate(labels[i], seeds[i], GUIDED)
        torch.testing.assert_close(many[i], last.image[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("label", "seed"), [([0], list(range(5))), ([2, 0, 1], 4), (1, [6, 7])], ids=str)
def test_sample_images_repeats_a_single_value(tiny, label, seed):
    images = tiny.sample_images(label, seed, GUIDED, batch_size=2)
    *_, whole = tiny.generate(label, seed, GUIDED)
    assert len(images) == max(len(v) if isinstance(v, list) else 1 for v in (label, seed))
    torch.testing.assert_close(images, whole.image, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("label", "seed"),
    [
        (torch.tensor([2, 0]), torch.tensor([5, 6])),
        (np.array([2, 0]), np.array([5, 6], np.uint32)),
        (["cow", "ant"], range(5, 7)),
        (("cow", 0), [torch.tensor(5), np.int64(6)]),
    ],
    ids=["torch", "numpy", "names", "mixed"],
)
def test_labels_and_seeds_are_numbers_tensors_arrays_or_class_names(tiny, label, seed):
    *_, expected = tiny.generate([2, 0], [5, 6], GUIDED)
    *_, found = tiny.generate(label, seed, GUIDED)
    assert torch.equal(found.token_ids, expected.token_ids)
    assert tiny.trace_settings(label, seed) == tiny.trace_settings([2, 0], [5, 6])
    *_, single = tiny.generate(torch.tensor(2), np.int64(5), GUIDED)
    assert torch.equal(tiny.sample_images("cow", 5, GUIDED), single.image)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("dog", r"label = 'dog': must be one of ant, bee, cow, or a number, #0 to #2"),
        (["ant", "wasp"], "label = 'wasp'"),
        (torch.tensor([0.5]), "label = 0.5: must be a whole number from 0 to 2"),
        (torch.tensor([True]), "label = True"),
        (torch.tensor([[0, 1]]), r"label = \[0, 1\]"),
    ],
    ids=str,
)
def test_labels_of_other_kinds_are_refused(tiny, label, message):
    with pytest.raises(ValueError, match=message):
        tiny.generate(label, 0)


def test_sample_images_of_nothing_is_refused(tiny):
    with pytest.raises(ValueError, match="batch = 0"):
        tiny.sample_images([], [])
    with pytest.raises(ValueError, match="label has 3 and seed has 2 entries"):
        tiny.sample_images([0, 1, 2], [0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 3}, "label = 3: must be a whole number from 0 to 2"),
        ({"label": -1}, "label = -1"),
        ({"label": "bee"}, "label = 'bee'"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 2**40}, "seed = "),
        ({"label": []}, "batch = 0: must be a whole number from 1"),
        ({"label": [0, 1], "seed": [1, 2, 3]}, "label has 2 and seed has 3 entries"),
        ({"attention": "fast"}, "attention = 'fast': must be one of auto, budget, exact"),
        ({"implementation": "fast"}, "implementation = 'fast': must be one of auto, torch, triton"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_drawn(tiny, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(tiny.tokenizer, tiny.transformer, **({"label": 0, "seed": 0} | arguments))


def test_what_is_recorded_is_one_of_the_known_kinds(tiny):
    with pytest.raises(ValueError, match="capture = 'all': must be one of blocks, full, none"):
        tiny.generate(0, 0, capture="all")


def test_top_k_above_v_means_all_codes(tiny):
    a = list(tiny.generate(0, 0, Sampling(top_k=10**6)))
    b = list(tiny.generate(0, 0, Sampling()))
    assert torch.equal(a[-1].token_ids, b[-1].token_ids)


def test_given_tokens_are_whole_numbers_of_any_type(tiny):
    def given(dtype):
        return [(torch.full((n,), 5).to(dtype), torch.ones(n, dtype=torch.bool)) for n in tiny.config.pyramid.counts]

    for dtype in (torch.uint8, torch.int32, torch.int64):
        steps = list(tiny.generate(0, 0, forced=given(dtype)))
        assert all(step.token_ids.dtype == torch.int64 and (step.token_ids == 5).all() for step in steps)
    with pytest.raises(ValueError, match=r"^forced have type torch\.float32: must be whole numbers, such as int64, from 0 to 23"):
        tiny.generate(0, 0, forced=given(torch.float32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there the kernels run")
@pytest.mark.parametrize("attention", ["poly-2", "landmark-16"])
def test_kernels_without_a_gpu_are_refused_in_words(calibrated_folder, monkeypatch, attention):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    model = checkpoints.load(calibrated_folder)
    with pytest.raises(ValueError, match="implementation = 'triton': the kernels need a GPU, the tensors are on cpu"):
        list(model.generate(0, 0, attention=attention, implementation="triton"))
