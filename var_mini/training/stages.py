"""The stages of training as functions: tokenizer, transformer, the decoder alone. What they train is a recipe (recipes.py)."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from .. import checkpoints, data, validate
from ..config import ModelConfig, TokenizerConfig
from ..data import ImageData, to_unit
from ..files import writable_folder
from ..model import Model
from ..precision import fingerprint
from ..tokenizer import VQVAE
from ..transformer import VAR
from .augment import CHANGES, TOLD_SINCE, augment, augment_and_tell
from .loop import Trainer, digest
from .memory import reuse_memory, take
from .recipes import DEFAULT, RECIPES, Recipe, finishing, recipe_for
from .starting import start_tokenizer, start_transformer
from .tokenizer import DecoderObjective, TokenizerObjective, measure_tokenizer
from .transformer import TransformerObjective, cross_entropy, tokenize_images

VALIDATION_IMAGES = 2000
VIEW_STRENGTH = 2.0  # of the changes that stage two is told of, against what stage one sees


def load_data(recipe: Recipe, folder: Path | str | None) -> ImageData:
    """The recipe's data set, or a folder of pictures at the recipe's size."""
    if folder is None:
        return data.load(recipe.data)
    t = recipe.tokenizer
    result = data.load_folder(folder, t.image_size, t.image_channels)
    print(result.report(), file=sys.stderr)
    return result


def _check_pictures(option: str, tokenizer: TokenizerConfig, recipe: Recipe) -> None:
    """Raises ValueError naming the option whose tokenizer does not take the pictures of the recipe's data set."""
    takes, has = (
        f"{t.image_size} x {t.image_size} pixels in {'grey' if t.image_channels == 1 else 'colour'}"
        for t in (tokenizer, recipe.tokenizer)
    )
    if takes != has:
        raise ValueError(
            f"{option}: takes pictures of {takes}, but those of data set {recipe.data!r} are {has}; name a folder of pictures "
            "with --data, or choose another --tokenizer or --preset"
        )


def flips_of(images: ImageData, indices: torch.Tensor) -> torch.Tensor | None:
    """Which of some training images may be mirrored."""
    return None if images.flips is None else images.flips[indices]


def tokenize_views(tokenizer: VQVAE, images: ImageData, views: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of the training images as they are, then of `views` - 1 changed versions, one after the other: (views * N, L).

    And how they were changed, (views * N, CHANGES).
    """
    ids, told = [tokenize_images(tokenizer, images.train_images, progress=True)], [torch.zeros(len(images.train_images), CHANGES)]
    for view in range(1, views):
        generator = torch.Generator().manual_seed(view)
        changed, how = augment_and_tell(images.train_images, generator, images.flips, VIEW_STRENGTH)
        changed = ((changed + 1) * 127.5).round().to(torch.uint8)
        ids.append(tokenize_images(tokenizer, changed, progress=True))
        told.append(how)
    return torch.cat(ids), torch.cat(told)


def _first_weights(model: torch.nn.Module, start: Path | str | None) -> list[torch.Tensor]:
    """What a run's identity needs of the model it started from; nothing for random weights, which follow from the seed."""
    return [] if start is None else [tensor for _, tensor in sorted(model.state_dict().items())]


def _announce(stage: str, model: torch.nn.Module) -> None:
    size = sum(p.numel() for p in model.parameters())
    print(f"{stage}: {size:,} parameters, {torch.get_num_threads()} threads", file=sys.stderr)


def train_tokenizer(
    preset: str | None,
    out: Path | str,
    folder: Path | str | None = None,
    precision: str = "auto",
    start: Path | str | None = None,
    compiled: bool = False,
    minutes: float | None = None,
    patch_nums: tuple[int, ...] | None = None,
    grey: bool = False,
    **change,
) -> bool:
    """Stage one. Leaves `tokenizer/` in `out`: weights, configuration, log, and the state a stopped run resumes from.

    `start` names a model (or folder) whose tokenizer the run starts from, instead of random weights; without a preset, its own
    is used. `patch_nums` and `grey` as in `recipe_for`. `compiled` passes encoder
    and decoder through torch.compile. `minutes` ends this sitting early; the same call goes on. `change` goes to
    `Schedule.changed`. Returns whether the schedule has ended.
    """
    reuse_memory()
    recipe = recipe_for(preset, folder, start, patch_nums, grey)
    out = writable_folder("out", out) / "tokenizer"
    if folder is None and patch_nums is not None:
        _check_pictures(f"patch_nums = {patch_nums}", recipe.tokenizer, recipe_for(preset, None, start, None, grey))
    images = load_data(recipe, folder)
    schedule = recipe.tokenizer_schedule.changed(**change)
    torch.manual_seed(schedule.seed)
    model = VQVAE(recipe.tokenizer)
    if start is not None:
        start_tokenizer(model, checkpoints.load_tokenizer(start, "start"), start)
    objective = TokenizerObjective(model, schedule.steps, recipe.mse_weight, fresh=start is None)
    identity = digest(recipe.tokenizer, recipe.mse_weight, recipe.augmented, images.train_images, *_first_weights(model, start))
    if compiled:
        model.encoder.compile()
        model.decoder.compile()
    trainer = Trainer(objective, schedule, out, precision, identity=identity)
    train_images = images.train_images.to(trainer.accelerator.device)
    _announce("tokenizer", model)

    def validation(model):
        measured = measure_tokenizer(model, images.test_images[:VALIDATION_IMAGES])
        per_scale = {f"used_{side}": u for side, u in zip(recipe.tokenizer.patch_nums, measured["codebook_used_per_scale"])}
        return {"psnr_test": measured["psnr_db"], "codebook_used": measured["codebook_used"], **per_scale}

    def batch(indices, generator):
        chosen = take(train_images, indices)
        return [augment(chosen, generator, flips_of(images, indices)) if recipe.augmented else to_unit(chosen)]

    checks = validation if len(images.test_images) else None
    ended = trainer.run(len(train_images), batch, recipe.validate_every, checks, minutes=minutes)
    if trainer.accelerator.is_main_process:
        with trainer.finished() as averaged:
            checkpoints.save_tokenizer(averaged, out)
    return ended


def train_decoder(preset: str, out: Path | str, folder: Path | str | None = None, precision: str = "auto") -> None:
    """The decoder of a finished run trained further on unchanged token maps: sharper pictures from the same ids.

    Writes the better tokenizer into `model/` of `out`. Raises ValueError where the preset has no such stage or there is no model.
    """
    reuse_memory()
    recipe = recipe_for(preset, folder)
    schedule = recipe.decoder_schedule
    if schedule is None:
        having = [name for name, known in RECIPES.items() if known.decoder_schedule]
        raise ValueError(f"preset = {preset!r}: has no schedule for the decoder alone; these have: {validate.listed(having)}")
    out = writable_folder("out", out)
    model = checkpoints.load(out / "model", calibrated=False)
    if folder is None:
        _check_pictures(f"out = {str(out)!r}, with its model", model.config.tokenizer, recipe)
    recipe = replace(recipe, tokenizer=model.config.tokenizer)
    images = load_data(recipe, folder)
    torch.manual_seed(schedule.seed)
    kept = [tensor for name, tensor in sorted(model.tokenizer.state_dict().items()) if not _of_decoder(name)]
    identity = digest(recipe.tokenizer, images.train_images, *kept)
    trainer = Trainer(DecoderObjective(model.tokenizer), schedule, out / "decoder", precision, identity=identity)
    train_images = images.train_images.to(trainer.accelerator.device)
    _announce("decoder", model.tokenizer.decoder)

    def validation(tokenizer):
        return {"psnr_test": measure_tokenizer(tokenizer, images.test_images[:VALIDATION_IMAGES])["psnr_db"]}

    def batch(indices, generator):
        return [augment(take(train_images, indices), generator, flips_of(images, indices))]

    trainer.run(len(train_images), batch, recipe.validate_every, validation if len(images.test_images) else None)
    if trainer.accelerator.is_main_process:
        with trainer.finished():
            checkpoints.save(model, out / "model")
            shutil.copy(out / "decoder" / "log.csv", out / "model" / "decoder_log.csv")


def _of_decoder(name: str) -> bool:
    return name.startswith(("decoder.", "post_quant_conv."))


def _with_trained_decoder(tokenizer: VQVAE, out: Path) -> VQVAE:
    """What `train_decoder` has made of `tokenizer` in `out`, where it has; else the tokenizer itself."""
    if not (out / "decoder" / "state.pt").exists():
        return tokenizer
    try:
        further = checkpoints.load_tokenizer(out / "model")
    except ValueError:  # removed or damaged: it is written anew
        return tokenizer
    ours, theirs = (
        fingerprint((name, tensor) for name, tensor in sorted(t.state_dict().items()) if not _of_decoder(name))
        for t in (tokenizer, further)
    )
    if ours != theirs:
        return tokenizer
    print("the decoder is the one that `train decoder` made", file=sys.stderr)
    return further


def train_transformer(
    preset: str | None,
    out: Path | str,
    folder: Path | str | None = None,
    tokenizer: Path | str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    start: Path | str | None = None,
    minutes: float | None = None,
    grey: bool = False,
    finish: bool = False,
    **change,
) -> bool:
    """Stage two. Needs the tokenizer of stage one, from `out`, or from `tokenizer` or `start` (a folder or a shipped model).

    Leaves `transformer/` (log and resumable state) and `model/`, the finished checkpoint, in `out`. `compiled` passes the model
    through torch.compile, which needs a C++ compiler, takes a minute to start and saves a fifth of each step on a CPU. `start`
    names a model (or folder) whose transformer the run starts from, instead of random weights (see starting.py). `finish` makes
    it a last run: whole pictures as they are, at a low rate. The rest as in `train_tokenizer`.
    """
    reuse_memory()
    recipe = recipe_for(preset, folder, start, None, grey)
    recipe = finishing(recipe, start) if finish else recipe
    out = writable_folder("out", out)
    named = tokenizer
    if named is None and (out / "tokenizer" / checkpoints.WEIGHTS).exists():
        named = out / "tokenizer"
    elif named is None and start is not None:
        named = start
        print(f"the tokenizer is that of {str(start)!r}", file=sys.stderr)
    if named is None:
        raise ValueError(
            f"out = {str(out)!r}: has no finished tokenizer; run `python -m var_mini train tokenizer --preset {preset} "
            f"--out {out}` first, or name another one with --tokenizer"
        )
    quantizing = checkpoints.load_tokenizer(named, "tokenizer" if named is not start else "start")
    if folder is None:
        _check_pictures(f"tokenizer = {str(named)!r}", quantizing.config, recipe)
    if quantizing.config != recipe.tokenizer:
        recipe = replace(recipe, tokenizer=quantizing.config)  # the tokenizer on hand decides the geometry
    images = load_data(recipe, folder)
    t = replace(recipe.transformer, num_classes=len(images.class_names), num_styles=len(images.style_names))
    schedule = recipe.transformer_schedule.changed(**change)
    torch.manual_seed(schedule.seed)
    model = VAR(t, recipe.tokenizer.pyramid, recipe.tokenizer.vocab_size, recipe.tokenizer.z_channels)
    if start is not None:
        start_transformer(model, checkpoints.load(start, calibrated=False), images.class_names, images.style_names, start)
    alternate = int(schedule.steps * (1 - recipe.alternate_share)) if recipe.alternate_share else None
    coarse_scales = min(recipe.coarse_scales, recipe.tokenizer.pyramid.num_scales)  # the tokenizer may have fewer
    objective = TransformerObjective(
        model, quantizing.quantize, alternate, schedule.is_early, coarse_scales, schedule.seed, told=recipe.views > 1
    )
    if compiled:
        model.compile(dynamic=False)  # few shapes: two numbers of scales, two kernels
    weights = [tensor for _, tensor in sorted(quantizing.state_dict().items())]
    how = (alternate, recipe.views, recipe.plain, coarse_scales, *([TOLD_SINCE] if recipe.views > 1 else []))
    weights += _first_weights(model, start)
    identity = digest(t, how, images.class_names, images.train_images, images.train_conditions, *weights)
    trainer = Trainer(objective, schedule, out / "transformer", precision, identity=identity)
    objective.process = trainer.accelerator.process_index
    quantizing.to(trainer.accelerator.device)
    ids, told = tokenize_views(quantizing, images, recipe.views)
    test_images = images.test_images[:VALIDATION_IMAGES]
    test_ids = tokenize_images(quantizing, test_images) if len(test_images) else None
    _announce("transformer", model)

    def validation(test_ids, model):
        kernels = ("exact", "poly") if recipe.alternate_share else ("exact",)
        result = {}
        for kernel in kernels:
            with torch.compiler.set_stance("force_eager"):  # other shapes, and too few calls to be worth compiling
                measured = cross_entropy(model, quantizing.quantize, test_ids, images.test_conditions[:VALIDATION_IMAGES], kernel)
            suffix = "" if kernel == "exact" else f"_{kernel}"
            result[f"test_cross_entropy{suffix}"] = measured["cross_entropy"]
        return result

    conditions = torch.cat([images.train_conditions] * recipe.views).to(trainer.accelerator.device)
    ids, told = (part.to(trainer.accelerator.device) for part in (ids, told))
    repeated = (recipe.plain - 1) * len(images.train_images)

    def batch(indices, _):
        indices = torch.where(indices < repeated, indices % len(images.train_images), indices - repeated)
        chosen = [take(ids, indices), take(conditions, indices)]
        return [*chosen, take(told, indices)] if recipe.views > 1 else chosen

    checks = partial(validation, test_ids) if test_ids is not None else None
    ended = trainer.run(repeated + len(ids), batch, recipe.validate_every, checks, minutes=minutes)
    own = DEFAULT if start is None else checkpoints.load_config(start).name
    name = (preset or own) if folder is None else images.name
    names = (images.class_names, images.name, recipe.sampling, images.class_groups, images.style_names)
    config = ModelConfig(name, recipe.tokenizer, t, *names)
    if trainer.accelerator.is_main_process:
        with trainer.finished() as averaged:
            checkpoints.save(Model(config, _with_trained_decoder(quantizing, out), averaged), out / "model")
            for stage in ("tokenizer", "transformer"):
                log = out / stage / "log.csv"
                if log.exists():
                    shutil.copy(log, out / "model" / f"{stage}_log.csv")
    return ended
