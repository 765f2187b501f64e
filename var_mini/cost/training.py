"""Where the time of a training step goes: its parts, timed on random data of a preset's shapes.

What is seen has no part in the time, so no data set is needed. The device is the one that training chooses.
"""

from __future__ import annotations

import statistics
from tempfile import TemporaryDirectory

import torch

from .. import validate
from ..config import ModelConfig
from ..generation.observe import Clock
from ..model import Model
from ..training.augment import augment
from ..training.loop import Trainer
from ..training.memory import reuse_memory, take, to_device
from ..training.muon import newton_schulz_dtype
from ..training.recipes import recipe_for
from ..training.schedule import batch_indices
from ..training.tokenizer import TokenizerObjective
from ..training.transformer import TransformerObjective

PARTS = ("data", "forward", "loss", "backward", "optimizers")
STAGES = ("transformer", "tokenizer")
WARM_UP = 2


class _Timed(Trainer):
    """A trainer that notes the seconds of each part of a step, waiting for a GPU in between."""

    def __init__(self, *given, parts: list[torch.nn.Module]):
        super().__init__(*given)
        self.clock = Clock(self.accelerator.device)
        for module in parts:  # between their hooks is `forward`, outside `loss`
            module.register_forward_pre_hook(lambda *given: self._note("loss"))
            module.register_forward_hook(lambda *given: self._note("forward"))

    def begin(self) -> None:
        self.seconds_of: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.last = self.clock()

    def _note(self, part: str) -> None:
        """What was done since the last note was `part`."""
        now = self.clock()
        self.seconds_of[part] += now - self.last
        self.last = now

    def _loss(self, batch):
        self._note("data")
        result = super()._loss(batch)
        self._note("loss")
        return result

    def _backward(self, loss) -> None:
        super()._backward(loss)
        self._note("backward")

    def _optimize(self) -> None:
        super()._optimize()
        self._note("optimizers")


def bench_train(
    preset: str = "fashion-28-quick", stage: str = "transformer", batch_size: int | None = None, steps: int = 10
) -> dict:
    """Medians over some steps: `seconds` by part, `images_per_second`, and `optimizer_share` of a whole step.

    `data` is choosing, fetching and changing the examples; `forward` the transformer alone (of the tokenizer: encoder and
    decoder); `loss` all else of the objective: teacher-forcing input, quantizer, loss; `optimizers` also clipping and EMA.
    Raises ValueError on a wrong name or size.
    """
    validate.one_of("stage", stage, STAGES)
    recipe = recipe_for(preset)
    reuse_memory()
    schedule = getattr(recipe, f"{stage}_schedule").changed(batch_size=batch_size)
    t, count = recipe.tokenizer, 4 * schedule.batch_size
    torch.manual_seed(0)
    model = Model.build(ModelConfig("bench", t, recipe.transformer))
    if stage == "transformer":
        objective = TransformerObjective(model.transformer, model.tokenizer.quantize)
        parts: list[torch.nn.Module] = [model.transformer]
    else:
        objective = TokenizerObjective(model.tokenizer, 10**6, recipe.mse_weight)
        parts = [model.tokenizer.encoder, model.tokenizer.decoder]
    with TemporaryDirectory() as folder:
        trainer = _Timed(objective, schedule, folder, parts=parts)
        device = trainer.accelerator.device
        model.tokenizer.to(device)
        ids = torch.randint(t.vocab_size, (count, t.pyramid.tokens), dtype=torch.int32).to(device)
        labels = torch.randint(recipe.transformer.num_classes, (count,)).to(device)
        images = torch.randint(256, (count, t.image_channels, t.image_size, t.image_size), dtype=torch.uint8).to(device)
        noted = []
        for step in range(WARM_UP + steps):
            trainer.begin()
            chosen = batch_indices(step, count, schedule.batch_size, schedule.seed)
            if stage == "transformer":
                batch = [take(ids, chosen), take(labels, chosen)]
            else:
                batch = [augment(take(images, chosen), torch.Generator().manual_seed(step))]
            trainer._update([to_device(part, device) for part in batch])
            trainer.step += 1
            noted.append(trainer.seconds_of)
    seconds = {part: statistics.median(each[part] for each in noted[WARM_UP:]) for part in PARTS}
    whole = statistics.median(sum(each.values()) for each in noted[WARM_UP:])
    return {
        "preset": preset,
        "stage": stage,
        "batch_size": schedule.batch_size,
        "precision": trainer.accelerator.mixed_precision,
        "newton_schulz": str(newton_schulz_dtype(device)).removeprefix("torch.") if schedule.muon_lr else None,
        "seconds": seconds,
        "seconds_per_step": whole,
        "images_per_second": schedule.batch_size / whole,
        "optimizer_share": seconds["optimizers"] / sum(seconds.values()),
    }
