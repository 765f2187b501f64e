"""A second condition, the style: in the transformer, in training, in drawing, in checkpoints; and the judge of both."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER, awake
from var_mini import checkpoints
from var_mini import data as datasets
from var_mini.analysis import sampling_choice
from var_mini.analysis.distances import relative_frechet
from var_mini.analysis.evaluation_pairs import has_trained_relative
from var_mini.analysis.inspection import attention_row
from var_mini.config import ModelConfig
from var_mini.data import ImageData
from var_mini.generation import Graphs, Sampling
from var_mini.model import Model
from var_mini.training.judge import Gallery, Judge, Verdict, retrieval, train_judge
from var_mini.training.transformer import drop_conditions

THINGS, STYLES = ("ant", "bee", "cow"), ("flat", "round")


@pytest.fixture(scope="module")
def styled() -> Model:
    config = replace(TINY_TRANSFORMER, num_styles=2)
    return awake(Model.build(ModelConfig("styled", TINY_TOKENIZER, config, THINGS, style_names=STYLES)))


def test_the_start_is_the_sum_of_both_embeddings(styled):
    t = styled.transformer
    condition = t.condition(torch.tensor([[1, 0], [3, 2]]))
    expected = torch.stack([t.class_emb.weight[1] + t.style_emb.weight[0], t.class_emb.weight[3] + t.style_emb.weight[2]])
    assert torch.equal(condition.start, expected)
    alone = t.condition(torch.tensor([1]))  # no style named: any
    assert torch.equal(alone.start, t.class_emb.weight[1:2] + t.style_emb.weight[2:])


def test_guidance_goes_away_from_the_null_class_in_any_style(styled):
    assert styled.transformer.null_label(2).tolist() == [[3, 2], [3, 2]]


def test_a_style_changes_the_picture_and_is_recorded(styled, tiny):
    flat, rounded, free = (styled.trace(1, 5, style=style) for style in (0, 1, None))
    assert not torch.equal(flat.image, rounded.image) and not torch.equal(flat.image, free.image)
    assert (flat.settings["style"], free.settings["style"]) == (0, 2)
    both = styled.sample_images([1, 1], [5, 5], style=[0, 1])
    assert torch.allclose(both, torch.cat([flat.image, rounded.image]), atol=1e-5)
    assert "style" not in tiny.trace(1, 5).settings


def test_graphs_draw_the_same_styles(styled):
    """As plain calls, since recording needs a GPU."""
    graphs = Graphs(styled.tokenizer, styled.transformer, 2, Sampling(guidance=2.0), record=lambda function: function)
    ids, images = graphs.draw([1, 2], [5, 6], [0, None])
    steps = list(styled.generate([1, 2], [5, 6], Sampling(guidance=2.0), style=[0, None]))
    assert torch.equal(ids, torch.cat([step.token_ids for step in steps], 1)) and graphs.redrawn == 0
    assert torch.allclose(images, steps[-1].image, atol=1e-5)


@pytest.mark.parametrize("style", [3, -1, 0.5, "square"])
def test_an_unknown_style_is_refused(styled, style):
    with pytest.raises(ValueError, match=r"style = .*: must be"):
        next(styled.generate(0, 0, style=style))


def test_a_model_without_styles_takes_none(tiny):
    with pytest.raises(ValueError, match="style = 0: must be None, for this model has no styles"):
        next(tiny.generate(0, 0, style=0))
    with pytest.raises(ValueError, match=r"label has shape \(1, 2\): must be \(B,\)"):
        tiny.transformer.condition(torch.tensor([[0, 0]]))


def test_one_style_is_for_all_images_and_several_must_be_as_many(styled):
    alone, listed = (styled.sample_images([0, 1, 2], 0, style=style) for style in (1, [1]))
    assert torch.equal(alone, listed)
    with pytest.raises(ValueError, match="style has 2 entries: must be one, or 3"):
        next(styled.generate([0, 1, 2], 0, style=[0, 1]))


def test_a_checkpoint_keeps_styles(styled, tmp_path):
    checkpoints.save(styled, tmp_path / "m", torch.float32)
    again = checkpoints.load(tmp_path / "m")
    assert again.config.style_names == STYLES
    assert torch.equal(again.trace(2, 1, style=1).image, styled.trace(2, 1, style=1).image)


def test_attention_rows_are_those_of_the_style(styled):
    ids = torch.cat([step.token_ids[0] for step in styled.trace(1, 5, style=0).steps])
    rows = [attention_row(styled, ids, 1, 2, 4, style=style) for style in (0, 1)]
    assert rows[0].sum(-1) == pytest.approx(torch.ones(2, 2), abs=1e-5) and not torch.allclose(*rows)


def test_each_condition_is_dropped_alone_and_both_together():
    config = replace(TINY_TRANSFORMER, num_styles=2, class_drop=0.1)
    labels = torch.stack([torch.ones(20_000), torch.zeros(20_000)], 1).long()
    dropped = drop_conditions(labels, config, torch.Generator().manual_seed(0))
    no_thing, no_style = dropped[:, 0] == 3, dropped[:, 1] == 2
    shares = [(a & b).float().mean().item() for a in (no_thing, ~no_thing) for b in (no_style, ~no_style)]
    assert shares == pytest.approx([0.1, 0.1, 0.1, 0.7], abs=0.01)
    assert (dropped[~no_thing, 0] == 1).all() and (dropped[~no_style, 1] == 0).all()


# -- the judge -------------------------------------------------------------------------------------------------------


def test_ranks_count_nearer_things_of_other_styles():
    """Brute force over every thing, by a loop."""
    generator = torch.Generator().manual_seed(3)
    thing, style = torch.arange(40) % 8, torch.arange(40) // 8 % 3
    gallery = Gallery(torch.nn.functional.normalize(torch.randn(40, 128, generator=generator)), thing, style)
    asked = torch.randint(8, (15,), generator=generator), torch.randint(3, (15,), generator=generator)
    shown = torch.nn.functional.normalize(torch.randn(15, 128, generator=generator))
    expected = []
    for x, right, own in zip(shown, *asked):
        best = {}
        for y, t, s in zip(gallery.embedding, thing.tolist(), style.tolist()):
            if s != own:
                best[t] = max(best.get(t, -2.0), float(x.double() @ y.double()))
        expected.append(sum(value > best[int(right)] for value in best.values()))
    assert gallery.rank_of(shown, *asked).tolist() == expected


def test_shares_are_of_first_and_of_first_five():
    gallery = Gallery(torch.eye(128)[:12], torch.arange(12), torch.zeros(12).long())
    embedding = torch.zeros(3, 128)
    embedding[:, :12] = torch.linspace(1, 0.1, 12)  # thing 0 is nearest, then 1, ...
    verdict = Verdict(embedding, embedding.double(), torch.zeros(3).long(), torch.tensor([1, 0, 1]))
    figures = retrieval(None, gallery, verdict, torch.tensor([[0, 1], [4, 1], [5, 1]]))
    assert figures == pytest.approx({"concept_top1": 1 / 3, "concept_top5": 2 / 3, "style_accuracy": 2 / 3})


@pytest.fixture
def blobs() -> ImageData:
    """Two things (left, right) in two styles (red, blue)."""
    generator = torch.Generator().manual_seed(0)
    conditions = torch.stack([torch.arange(64) % 2, torch.arange(64) // 2 % 2], 1)
    images = torch.full((64, 3, 16, 16), 255, dtype=torch.uint8)
    for image, (thing, style) in zip(images, conditions.tolist()):
        top = int(torch.randint(4, 8, (1,), generator=generator))
        image[:, top : top + 6, 2 + 7 * thing : 7 + 7 * thing] = 0
        image[2 * style, top : top + 6, 2 + 7 * thing : 7 + 7 * thing] = 230
    labels, styles = conditions.unbind(1)
    return ImageData(
        "blobs", ("left", "right"), images[:48], labels[:48], images[48:], labels[48:],
        style_names=("red", "blue"), train_styles=styles[:48], test_styles=styles[48:],
    )  # fmt: skip


def test_a_judge_learns_things_and_styles(blobs, tmp_path):
    figures = train_judge(blobs, tmp_path, steps=60, batch_size=24)
    assert figures["test_style_accuracy"] == 1.0 and figures["test_concept_top1"] >= 0.9
    assert sorted(p.name for p in tmp_path.glob("*.*")) == ["config.json", "log.csv", "model.safetensors"]
    verdict = Judge(2, 2).judge(torch.rand(3, 3, 16, 16))
    assert verdict.embedding.norm(dim=1) == pytest.approx(torch.ones(3), abs=1e-5)


def test_a_judge_needs_styles(blobs, tmp_path):
    with pytest.raises(ValueError, match="data = 'blobs': has no styles"):
        train_judge(replace(blobs, train_styles=None), tmp_path)


def test_relatives_are_the_same_drawing_in_another_set():
    styles = ("noto", "noto-v1", "twemoji")
    blank, labels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    data = ImageData("d", ("a", "b"), blank, labels, torch.cat([blank, blank[:1]]), torch.tensor([0, 1, 0]))
    data.style_names, data.train_styles, data.test_styles = styles, torch.tensor([0, 2]), torch.tensor([1, 1, 2])
    assert has_trained_relative(data).tolist() == [True, False, False]


def test_sampling_is_chosen_by_what_the_judge_recognises(monkeypatch):
    """Of drawn training pairs, the same for every setting; the Frechet distance is to training pictures."""
    colour = ModelConfig(
        "c",
        replace(TINY_TOKENIZER, image_channels=3, stem=4),
        replace(TINY_TRANSFORMER, num_styles=2),
        THINGS,
        style_names=STYLES,
    )
    model, judge = awake(Model.build(colour)), Judge(3, 2).eval()
    side = colour.tokenizer.image_size
    pictures = torch.randint(256, (120, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    things, styles = torch.arange(120) % 3, torch.arange(120) % 2
    data = ImageData(
        "c", THINGS, pictures, things, pictures[:0], things[:0], style_names=STYLES, train_styles=styles, test_styles=styles[:0]
    )
    monkeypatch.setattr(checkpoints, "load", lambda name: model)
    monkeypatch.setattr(datasets, "load", lambda name: data)
    monkeypatch.setattr(sampling_choice, "load_judge", lambda *given: judge)
    monkeypatch.setattr(sampling_choice, "GUIDANCE", (0.0, 2.0))
    monkeypatch.setattr(sampling_choice, "TOP_P", (0.5,))
    plain, guided = sampling_choice.measure_settings("c", 100)
    asked = data.train_conditions[torch.randperm(120, generator=torch.Generator().manual_seed(1))[:100]]
    images = model.sample_images(
        asked[:, 0].tolist(), list(range(100)), Sampling(guidance=2.0, top_p=0.5), style=asked[:, 1].tolist()
    )
    seen, real = judge.judge(images * 2 - 1), judge.judge(datasets.to_unit(pictures))
    assert guided["style_accuracy"] == pytest.approx((seen.style == asked[:, 1]).float().mean().item(), abs=0.011)
    assert guided["frechet_to_training"] == pytest.approx(relative_frechet(seen.features, real.features), rel=1e-2)
    assert plain["guidance"] == 0.0 and plain["frechet_to_training"] != guided["frechet_to_training"]
