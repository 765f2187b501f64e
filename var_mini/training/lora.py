"""LoRA (arXiv 2106.09685): a trained transformer adapted by a low-rank change of its matrices, saved apart in a few hundred kB.

Every chosen weight W (out x in) is seen as W + s B A with B (out x r), A (r x in), s = alpha / r, while W itself stays. B
starts at 0, so that an adapter begins as no change at all. `apply` puts adapters on, `merge` adds them into the weights for
good, `take_off` restores the weights, and `save` and `load` keep them in a file of their own. How fast their gradients could be
computed is another question: see theory/lora.py.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize

from .. import checkpoints, data, validate
from ..files import atomic_write, writable_folder
from ..model import Model
from ..precision import fingerprint
from ..transformer import VAR
from .memory import reuse_memory
from .schedule import Schedule
from .transformer import TransformerObjective, cross_entropy, tokenize_images

TARGETS = ("attn.mat_qkv", "attn.proj", "ffn.fc1", "ffn.fc2")  # of every block
MAX_RANK = 256
VALIDATION_IMAGES = 200


class LowRankChange(nn.Module):
    """W -> W + s B A."""

    def __init__(self, weight: torch.Tensor, rank: int, scaling: float):
        super().__init__()
        rows, columns = weight.shape
        self.A = nn.Parameter(torch.randn(rank, columns, device=weight.device) / columns**0.5)
        self.B = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
        self.scaling = scaling

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.scaling * self.B @ self.A


def apply(transformer: VAR, rank: int, alpha: float | None = None, seed: int = 0) -> dict[str, LowRankChange]:
    """Puts fresh adapters on every target, freezes all other weights, and returns the adapters by the name of their module.

    `alpha` is the rank by default (s = 1). Raises ValueError where the rank is out of range or there are adapters already.
    """
    largest = min(min(module.weight.shape) for _, module in _targets(transformer))
    rank = validate.integer("rank", rank, 1, min(MAX_RANK, largest))
    alpha = validate.number("alpha", rank if alpha is None else alpha, 0, 1e4, low_open=True)
    if adapters(transformer):
        raise ValueError("transformer has adapters already: merge them or take them off first")
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(validate.integer("seed", seed, 0, 2**32 - 1))
        for _, module in _targets(transformer):
            parametrize.register_parametrization(module, "weight", LowRankChange(module.weight, rank, alpha / rank))
    return adapters(transformer)


def adapters(transformer: VAR) -> dict[str, LowRankChange]:
    """The adapters that are on, by the name of their module; none where there are none."""
    on = {name: m for name, m in _targets(transformer) if parametrize.is_parametrized(m, "weight")}
    found = {name: m.get_submodule("parametrizations.weight.0") for name, m in on.items()}
    return {name: change for name, change in found.items() if isinstance(change, LowRankChange)}


def merge(transformer: VAR) -> None:
    """Adds the adapters into the weights for good; the result is an ordinary transformer that computes the same.

    Calibrated tables belong to the weights as they were before, and are forgotten.
    """
    _remove(transformer, keep_change=True)
    transformer.calibration.clear()


def take_off(transformer: VAR) -> None:
    """Restores the weights as they were before `apply`, to the bit."""
    _remove(transformer, keep_change=False)


def _remove(transformer: VAR, keep_change: bool) -> None:
    for _, module in _targets(transformer):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=keep_change)
    transformer.requires_grad_(True)


def save(transformer: VAR, path: Path | str, dtype: torch.dtype = torch.float16) -> int:
    """Writes the adapters alone, and returns the bytes of the file. Raises ValueError where there are none."""
    found = adapters(transformer)
    if not found:
        raise ValueError("transformer has no adapters: apply or load some first")
    tensors = {f"{name}.{part}": getattr(a, part).detach().to("cpu", dtype) for name, a in found.items() for part in "AB"}
    first = next(iter(found.values()))
    facts = {"rank": str(len(first.A)), "alpha": repr(first.scaling * len(first.A)), "base": _fingerprint(transformer)}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, facts)
    return Path(path).stat().st_size


def load(transformer: VAR, path: Path | str) -> dict[str, LowRankChange]:
    """Puts the adapters of a file on. Raises ValueError where it is unreadable, or was made for other weights or shapes."""
    try:
        with safe_open(path, framework="pt") as file:
            facts, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rank, alpha = int(facts["rank"]), float(facts["alpha"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a readable file of adapters: {error}") from None
    if facts.get("base") != _fingerprint(transformer):
        raise ValueError(f"{path} was made for other weights: must be put on the model that it was trained on")
    found = apply(transformer, rank, alpha)
    wanted = {f"{name}.{part}": getattr(a, part) for name, a in found.items() for part in "AB"}
    faults = [f"missing {name}" for name in wanted if name not in tensors] + [f"extra {n}" for n in tensors if n not in wanted]
    for name, tensor in tensors.items():
        if name in wanted and tensor.shape != wanted[name].shape:
            faults.append(f"{name} has shape {tuple(tensor.shape)}, must be {tuple(wanted[name].shape)}")
        elif not tensor.is_floating_point() or not tensor.isfinite().all():
            faults.append(f"{name} is not a finite floating-point tensor")
    if faults:
        take_off(transformer)
        raise ValueError(f"{path} does not fit: {'; '.join(faults[:8])}")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(tensors[name])
    return found


def _targets(transformer: VAR) -> list[tuple[str, nn.Linear]]:
    names = [f"blocks.{i}.{target}" for i in range(len(transformer.blocks)) for target in TARGETS]
    modules = [(name, transformer.get_submodule(name)) for name in names]
    return [(name, module) for name, module in modules if isinstance(module, nn.Linear)]


def _fingerprint(transformer: VAR) -> str:
    """Of the frozen matrices under the adapters, so that an adapter is not put on another model."""
    return fingerprint((name, _frozen(module)) for name, module in _targets(transformer))


def _frozen(module: nn.Linear) -> torch.Tensor:
    on = parametrize.is_parametrized(module, "weight")
    return module.get_parameter("parametrizations.weight.original") if on else module.weight


def train_adapter(
    name: str,
    out: Path | str,
    folder: Path | str | None = None,
    rank: int = 8,
    steps: int = 1000,
    precision: str = "auto",
    attention: str = "exact",
    batch_size: int = 32,
) -> Model:
    """Adapts a finished model to a folder of pictures (sub-folders are classes of the model), to its own data set, or to a back
    end.

    Leaves `adapter.safetensors`, the log and the resumable state in `out`, and in `out/model` the merged model; returns the
    model with its adapters on. Only the adapters learn: class embeddings and AdaLN stay, so that classes keep their meaning.
    """
    from .loop import Trainer, digest  # accelerate takes seconds to import

    reuse_memory()
    out = writable_folder("out", out)
    model = checkpoints.load(name, calibrated=False)
    config = model.config
    if folder is None:
        images = data.load(config.data)
    else:
        images = data.load_folder(folder, config.tokenizer.image_size, config.tokenizer.image_channels)
        print(images.report(), file=sys.stderr)
    images = images.with_classes(config.class_names)
    # a short run does not see all pictures, and what it does not see need not be tokenized
    seen = torch.randperm(len(images.train_images), generator=torch.Generator().manual_seed(0))[: steps * batch_size]
    pictures, conditions = images.train_images[seen], images.train_conditions[seen]
    base = [fingerprint(sorted(part.state_dict().items())) for part in (model.transformer, model.tokenizer)]
    found = apply(model.transformer, rank)
    schedule = Schedule(steps, batch_size, lr=2e-3, warmup=max(1, min(50, steps // 10)), weight_decay=0.0, ema=0.99)
    objective = TransformerObjective(model.transformer, model.tokenizer.quantize, seed=schedule.seed, attention=attention)
    identity = digest("lora", base, rank, attention, pictures, conditions)
    trainer = Trainer(objective, schedule, out, precision, identity=identity)
    model.tokenizer.to(trainer.accelerator.device)
    ids = tokenize_images(model.tokenizer, pictures, progress=True)
    few, labels = images.test_images[:VALIDATION_IMAGES], images.test_conditions[:VALIDATION_IMAGES]
    trained = sum(p.numel() for a in found.values() for p in a.parameters())
    print(f"adapters: {trained:,} of {model.num_parameters():,} parameters learn", file=sys.stderr)

    def validation(ids, transformer):
        measured = cross_entropy(transformer, model.tokenizer.quantize, ids, labels, attention)
        return {"test_cross_entropy": measured["cross_entropy"]}

    checks = partial(validation, tokenize_images(model.tokenizer, few)) if len(few) else None
    trainer.run(len(ids), lambda i, _: [ids[i], conditions[i]], max(steps // 4, 1), checks)
    if trainer.accelerator.is_main_process:
        with trainer.finished() as averaged:
            size = save(averaged, out / "adapter.safetensors")
        print(f"{out / 'adapter.safetensors'}: {size / 1000:,.0f} kB", file=sys.stderr)
        merged = checkpoints.load(name, calibrated=False)
        load(merged.transformer, out / "adapter.safetensors")
        merge(merged.transformer)
        checkpoints.save(merged, out / "model")
    trainer.accelerator.wait_for_everyone()
    take_off(model.transformer)
    load(model.transformer, out / "adapter.safetensors")  # as a later program sees them: averaged, in 16 bits
    return model.eval()
