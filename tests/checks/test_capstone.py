"""The capstone: its exercises against other means of computing the same, and the student's parts inside the trained model."""

import pytest
import torch

from tests.checks.students import solutions, verdict_of
from var_mini import Model, checks, load
from var_mini.checks.calling import gradients_of, probe
from var_mini.checks.lesson15 import ADALN_BLOCK, GENERATE, VQ_LOSS
from var_mini.checks.registry import GRADING
from var_mini.checks.session import CheckFailed
from var_mini.checks.values import as_expected, difference
from var_mini.checks.whole import block_weights, picture, weights_of
from var_mini.config import ModelConfig

WRONG_LOSSES = {
    "gives the decoder f_hat itself": lambda f, hats, beta: hats[-1],
    "cuts every gradient": lambda f, hats, beta: hats[-1].detach(),
    "gives the decoder f instead of f_hat": lambda f, hats, beta: f,
}


@pytest.mark.parametrize("what", WRONG_LOSSES)
def test_a_wrong_way_through_the_quantizer_is_named_from_real_gradients(what):
    def own(f, f_hats, beta):
        return solutions()["vq_loss"](f, f_hats, beta)[0], WRONG_LOSSES[what](f, f_hats, beta)

    assert what in verdict_of(VQ_LOSS, own).message


def test_a_loss_with_swapped_terms_is_told_by_its_gradient_alone():
    def own(f, f_hats, beta):
        loss = sum((h.detach() - f).square().mean() + beta * (h - f.detach()).square().mean() for h in f_hats) / len(f_hats)
        return loss, solutions()["vq_loss"](f, f_hats, beta)[1]

    told = verdict_of(VQ_LOSS, own).message
    assert "gradient of the loss with respect to f" in told and "swaps the two terms" in told


def test_a_loss_without_its_second_result_gets_a_message():
    for result in ((), (1, 2), (torch.zeros(()),), torch.zeros(4), (1, 2, 3, 4), (torch.zeros(2), torch.zeros(3))):
        told = verdict_of(VQ_LOSS, lambda *args, result=result: result)
        assert not told.passed and told.message.startswith("vq_loss: the "), result


def test_the_oracle_of_the_loss_is_what_automatic_differentiation_gives():
    for case in VQ_LOSS.inputs(5):
        leaves = [t.double().requires_grad_() for t in (case["f"], *case["f_hats"])]
        f, *hats = leaves
        loss = sum(case["beta"] * ((h.detach() - f) ** 2).mean() + ((h - f.detach()) ** 2).mean() for h in hats) / len(hats)
        through = hats[-1].detach() + f - f.detach()
        wanted = (loss.detach(), through.detach(), gradients_of(loss, leaves), gradients_of(through, leaves))
        assert difference(as_expected(VQ_LOSS.oracle(**case)), wanted, 1e-9, 1e-12) is None
    assert torch.equal(probe(torch.zeros(2, 1)), torch.tensor([[1.0], [torch.tensor(1.0).cos()]]))


@pytest.fixture(scope="module")
def small() -> Model:
    """An untrained model of the library with weights that matter."""
    config = load("fashion-28").config.to_dict()
    config["tokenizer"] |= {"patch_nums": (1, 2, 4), "vocab_size": 12, "channels": 8}
    config["transformer"] |= {"depth": 2, "width": 12, "heads": 2, "head_dim": 4}
    torch.manual_seed(0)
    model = Model.build(ModelConfig.from_dict(config)).eval()
    with torch.no_grad():
        for parameter in model.transformer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def test_the_oracle_of_the_block_is_the_librarys_block(small):
    block, (B, n, C), (H, d) = small.transformer.blocks[1], (2, 3, 12), (2, 4)
    x, condition = torch.randn(B, n, C), torch.randn(B, 6, C)
    keys, values = torch.nn.functional.normalize(torch.randn(B, H, 5, d), dim=-1), torch.randn(B, H, 5, d)
    seen = []

    def attend(q, k, v):
        seen[:] = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        logits = block.attn.logit_scale().view(H, 1, 1) * (q @ seen[0].transpose(2, 3))
        return logits.softmax(-1) @ seen[1]

    wanted = block(x, tuple(condition.unsqueeze(2).unbind(1)), attend)
    got = as_expected(ADALN_BLOCK.oracle(x, condition, block_weights(block), keys, values))
    assert difference(got, (wanted, *seen), 1e-4, 1e-5) is None


@torch.no_grad()
def test_the_oracle_of_the_loop_draws_what_the_library_draws(small):
    generator = torch.Generator().manual_seed(3)
    noise = [torch.empty(n, 12).exponential_(generator=generator) for n in small.transformer.pyramid.counts]
    drawn = as_expected(GENERATE.oracle(weights_of(small, 4), noise, small.config.sampling.guidance))
    for step, ids in zip(small.generate(4, 3), drawn, strict=True):
        assert torch.equal(step.token_ids[0], ids)
    assert len({int(code) for ids in drawn for code in ids}) > 3  # not one code everywhere


def test_the_students_parts_draw_what_the_library_draws(capsys):
    checks.capstone(solutions()["vq_loss"], solutions()["adaln_block"], solutions()["generate"], label=8, seed=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "704 of 704" in lines[0] and all("88 of 88" in line for line in lines[1:])


def test_where_a_notebook_is_graded_the_parts_are_left_where_they_are(monkeypatch, capsys):
    monkeypatch.setenv(GRADING, "[]")
    assert checks.capstone(None, None, None, label=8) is None
    assert capsys.readouterr().out == ""


def test_a_wrong_part_is_named_with_the_scale_where_it_shows():
    def plain(x, condition, w, keys, values):
        return solutions()["adaln_block"](x, 0.9 * condition, w, keys, values)

    with pytest.raises(CheckFailed, match=r"adaln_block: the token ids differ from scale [1-5] on"):
        checks.capstone(solutions()["vq_loss"], plain, solutions()["generate"])
    with pytest.raises(CheckFailed, match="generate: the token ids differ from scale 1 on"):
        checks.capstone(solutions()["vq_loss"], solutions()["adaln_block"], lambda *args: [torch.zeros(1)] * 5)


def test_the_picture_of_the_capstone_shows_three_images():
    from var_mini.checks.whole import Part

    ids = [torch.zeros(side**2, dtype=torch.long) for side in (1, 2, 3, 5, 7)]
    parts = [Part("x", "", ids, ids)] * 3
    assert [len(axis.images) for axis in picture(load("fashion-28"), parts).axes] == [1, 1, 1]
