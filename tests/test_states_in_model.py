"""Back ends inside the model: teacher forcing through states, generation, `auto`, fallbacks, and the device of every tensor."""

import math

import pytest
import torch

from var_mini import checkpoints
from var_mini.attention import AttentionSpec
from var_mini.config import ModelConfig
from var_mini.generation import Trace
from var_mini.model import Model
from var_mini.training.transformer import TransformerObjective

from .conftest import TINY_TOKENIZER, TINY_TRANSFORMER

BACKENDS = (
    "exact",
    "poly-2",
    "poly-4",
    "poly-2-calibrated",
    "poly-4-calibrated",
    "landmark-16",
    "landmark-64",
    "pool-2",
    "pool-4",
)


@pytest.fixture(scope="module")
def model(calibrated_folder):
    return checkpoints.load(calibrated_folder)


@pytest.fixture
def batch(model):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(24, (3, model.config.pyramid.tokens), generator=generator)
    return torch.tensor([0, 2, 3]), model.tokenizer.quantize.inputs_from_ids(ids).detach(), ids


@pytest.mark.parametrize("name", BACKENDS)
def test_teacher_forcing_through_states(model, batch, name):
    """Equal to the masked pass where there is one, and differentiable for every back end."""
    label, var_input, ids = batch
    var_input = var_input.clone().requires_grad_()
    through_states = model.transformer.forward_by_scale(label, var_input, name)
    torch.testing.assert_close(model.transformer(label, var_input, name), through_states, atol=2e-4, rtol=1e-4)
    model.transformer.zero_grad()
    loss = -through_states.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).mean()
    loss.backward()
    gradients = {n: p.grad for n, p in model.transformer.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert gradients["blocks.0.attn.scale_mul_1H11"].abs().max() > 0 and var_input.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["exact", "poly-2"])
def test_gradients_through_states_are_those_of_the_masked_pass(model, batch, name):
    label, var_input, ids = batch
    found = []
    for forward in (model.transformer, model.transformer.forward_by_scale):
        model.transformer.zero_grad()
        (-forward(label, var_input, name).log_softmax(-1).gather(-1, ids.unsqueeze(-1)).mean()).backward()
        found.append({n: p.grad.clone() for n, p in model.transformer.named_parameters()})
    for n, gradient in found[0].items():
        torch.testing.assert_close(found[1][n], gradient, atol=1e-5, rtol=1e-3, msg=n)


@pytest.mark.parametrize("name", BACKENDS)
def test_generation_and_its_record(model, name, tmp_path):
    trace = model.trace([1, 2], 5, attention=name, capture="blocks")
    assert trace.settings["attention"] == name and {step.backend for step in trace.steps} == {name}
    for step in trace.steps:
        assert step.image.isfinite().all()
        torch.testing.assert_close(step.attention.sum(-1), torch.ones(step.attention.shape[:-1]), atol=1e-3, rtol=0)
    constant = name.startswith(("poly", "landmark"))
    assert (trace.steps[0].state_bytes == trace.steps[-1].state_bytes) is constant
    trace.save(tmp_path / "run")
    again = Trace.load(tmp_path / "run").steps[-1]
    for field in ("backend", "rank", "state_bytes", "reserve_bytes", "fallbacks", "smallest_denominator"):
        assert getattr(again, field) == getattr(trace.steps[-1], field)


def test_capturing_changes_no_picture(model):
    plain = model.trace(1, 3, attention="poly-2")
    captured = model.trace(1, 3, attention="poly-2", capture="full")
    assert torch.equal(plain.image, captured.image)
    assert (plain.steps[-1].reserve_bytes, plain.steps[-1].state_bytes) == (0, captured.steps[-1].state_bytes)


def test_auto_says_what_it_chose(model):
    spec, reason = model.transformer.choose()
    assert spec == model.transformer.resolve("auto") == AttentionSpec() and "14 tokens are too few" in reason
    assert model.trace(0, 0, attention="auto").steps[0].backend == "exact"


def test_what_a_model_lacks_is_named_before_anything_is_drawn(tiny, model):
    with pytest.raises(ValueError, match=r"has not been calibrated; `python -m var_mini train landmarks"):
        tiny.generate(0, 0, attention="landmark-64")
    with pytest.raises(ValueError, match=r"attention = 'landmark-100': this model has 16, 32, 64 landmarks"):
        model.generate(0, 0, attention="landmark-100")
    with pytest.raises(ValueError, match=r"attention = 'poly-6-calibrated': this model has coefficients of degree 2, 4; "):
        model.generate(0, 0, attention="poly-6-calibrated")
    with pytest.raises(ValueError, match=r"attention = 'poly-2-calibrated': this model has not been calibrated"):
        tiny.generate(0, 0, attention="poly-2-calibrated")
    with pytest.raises(ValueError, match="must be one of auto, budget, exact"):
        model.generate(0, 0, attention="fast")
    with pytest.raises(ValueError, match=r"landmarks have shape \(2, 2, 16, 4\): must be \(2, 2, m, 8\)"):
        model.transformer.set_landmarks(torch.zeros(2, 2, 16, 4))
    with pytest.raises(ValueError, match=r"coefficients have shape \(2, 3\)"):
        model.transformer.set_coefficients(torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["exact", "poly-2", "landmark-16"])
def test_weights_that_are_not_finite_give_an_error_and_no_picture(calibrated_folder, name):
    broken = checkpoints.load(calibrated_folder)
    with torch.no_grad():
        broken.transformer.blocks[1].attn.mat_qkv.weight[3] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        list(broken.generate(0, 0, attention=name))
    with torch.no_grad():
        broken.transformer.blocks[1].attn.mat_qkv.weight[3] = 0
        broken.transformer.head.bias[0] = math.inf
    with pytest.raises(ValueError, match=r"logits of scale 1 are not finite \(attention"):
        list(broken.generate(0, 0, attention=name))


class TestMeta:
    """On the meta device a tensor made on the default device by mistake meets meta tensors and raises."""

    @pytest.fixture
    def on_meta(self):
        with torch.device("meta"):
            made = Model.build(ModelConfig("tiny", TINY_TOKENIZER, TINY_TRANSFORMER))
            made.transformer.set_landmarks(torch.zeros(2, 2, 16, 8))
            made.transformer.set_coefficients(torch.zeros(2, 2, 3))
        return made

    @pytest.mark.parametrize("name", ["exact", "poly-2", "poly-2-calibrated", "landmark-16", "pool-2"])
    def test_generation(self, on_meta, name):
        from var_mini.config import Sampling

        sampling = Sampling(guidance=2, top_k=5, top_p=0.9)
        steps = list(on_meta.generate([0, 1], 3, sampling, attention=name, capture="full", keep_logits=True))
        assert len(steps) == 3 and steps[-1].image.shape == (2, 1, 12, 12) and steps[-1].image.is_meta
        assert steps[-1].attention.shape == (2, 2, 2, 9, 14) and steps[-1].entropy.shape == (2, 9)

    @pytest.mark.parametrize("step", [0, 1])  # exact kernel, degree 2
    def test_training_of_the_transformer(self, on_meta, step):
        objective = TransformerObjective(on_meta.transformer, on_meta.tokenizer.quantize, alternate_from=0)
        ids = torch.zeros(4, 14, dtype=torch.int32, device="meta")
        loss, _ = objective(step, ids, torch.zeros(4, dtype=torch.long, device="meta"))
        loss.backward()
        assert all(p.grad.is_meta for p in on_meta.transformer.parameters())

    @pytest.mark.parametrize("name", ["exact", "poly-2", "poly-2-calibrated", "landmark-16", "pool-2"])
    def test_training_through_states(self, on_meta, name):
        var_input = torch.zeros(4, 13, 4, device="meta")
        on_meta.transformer.forward_by_scale(torch.zeros(4, dtype=torch.long, device="meta"), var_input, name).mean().backward()
        assert all(p.grad.is_meta for p in on_meta.transformer.parameters())

    def test_training_of_the_tokenizer(self, on_meta):
        tokenizer = on_meta.tokenizer
        f = tokenizer.encode(torch.zeros(4, 1, 12, 12, device="meta"))
        quantized = tokenizer.quantize.quantize(f)
        (tokenizer.quantize.loss(f, quantized.f_hat) + tokenizer.decode_raw(quantized.f_hat[-1]).mean()).backward()
        assert all(p.grad.is_meta for p in tokenizer.decoder.parameters())

    def test_it_does_catch_a_misplaced_tensor(self, on_meta):
        on_meta.transformer.set_landmarks(torch.zeros(2, 2, 16, 8))
        on_meta.transformer.calibration.landmarks[16] = torch.zeros(2, 2, 16, 8)  # on the CPU
        with pytest.raises(RuntimeError, match="meta"):
            list(on_meta.generate(0, 0, attention="landmark-16"))
