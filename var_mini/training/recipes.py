"""Training presets: data, shapes and schedules of every model this repository trains, and the two stages as functions."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from .. import checkpoints, data, validate
from ..config import ModelConfig, Sampling, TokenizerConfig, TransformerConfig
from ..data import ImageData, to_unit
from ..files import writable_folder
from ..model import Model
from ..tokenizer import VQVAE
from ..transformer import VAR
from .augment import augment
from .loop import Schedule, Trainer, digest, reuse_memory, take
from .tokenizer import DecoderObjective, TokenizerObjective, measure_tokenizer
from .transformer import TransformerObjective, cross_entropy, tokenize_images

VALIDATION_IMAGES = 2000


@dataclass(frozen=True)
class Recipe:
    """All that decides what a training run produces."""

    tokenizer: TokenizerConfig
    transformer: TransformerConfig
    tokenizer_schedule: Schedule
    transformer_schedule: Schedule
    decoder_schedule: Schedule | None = None  # of the decoder alone, once the token maps are settled
    data: str = "fashion-mnist"
    mse_weight: float = 1.0
    alternate_share: float = 0.0  # last share of the transformer's steps that alternate exact and degree-2 kernel
    augmented: bool = False  # whether stage one sees changed pictures (see augment.py)
    views: int = 1  # how many versions of each picture stage two learns; all but the first are changed ones
    coarse_scales: int = 1  # the early steps (see Schedule) of stage two train so many coarsest scales alone
    balance: float = 0.0  # stage two sees a class of n pictures in proportion to n^(1 - balance)
    validate_every: int = 1000
    sampling: Sampling = field(default_factory=Sampling)


# 28x28 grey, 4x downsampling, a 7x7 last map, 88 tokens. The tokenizer was chosen by short runs: small batches with a high
# learning rate gained most, then a larger weight of the pixel error against the quantizer loss, then more codes.
FASHION_TOKENIZER = TokenizerConfig(
    patch_nums=(1, 2, 3, 5, 7),
    image_channels=1,
    vocab_size=4096,
    z_channels=16,
    channels=32,
    channel_mult=(1, 2),
    stem=2,
    attention=False,
    norm_groups=8,
)
FASHION_TRANSFORMER = TransformerConfig(
    depth=6,
    width=160,
    heads=6,
    head_dim=16,
    num_classes=10,
    mlp_ratio=2.8,
    shared_adaln=True,
)
FASHION = Recipe(
    FASHION_TOKENIZER,
    FASHION_TRANSFORMER,
    tokenizer_schedule=Schedule(steps=16_000, batch_size=32, lr=3e-3, weight_decay=0.01, clip=1.0),
    transformer_schedule=Schedule(steps=10_000, batch_size=32, lr=1e-3, muon_lr=0.02, ema=0.9995),
    mse_weight=20.0,
    sampling=Sampling(guidance=3.0),  # least Frechet distance to training images among six settings
)
# The regime of low-rank attention: logits bounded by 2, eight heads of dimension 8. Scales start below the cap, where
# they still get a gradient.
BOUNDED = replace(FASHION_TRANSFORMER, heads=8, head_dim=8, scale_init=1.5, scale_cap=2.0)

# Emoji at 64 px: 4x downsampling at once by a space-to-depth stem of 4, since short runs (assets/results/ablation-emoji.csv)
# showed that all convolutions at 16x16 reconstruct best in a given time, and small batches again. Once that was trained, its
# code book was what limited it: a scale of 12x12 more and a smaller weight of the pixel error gained most
# (ablation-emoji-further.csv). Both stages of the shipped model started from those of such a first model (`--start`).
EMOJI_TOKENIZER = replace(
    FASHION_TOKENIZER,
    patch_nums=(1, 2, 3, 4, 6, 9, 12, 16),
    image_channels=3,
    stem=4,
    channels=80,
    channel_mult=(1,),
)
EMOJI_TRANSFORMER = replace(BOUNDED, heads=4, head_dim=16, num_classes=99)
EMOJI = Recipe(
    EMOJI_TOKENIZER,
    EMOJI_TRANSFORMER,
    tokenizer_schedule=Schedule(steps=7_500, batch_size=16, lr=2e-3, weight_decay=0.01, clip=1.0),
    # first the six coarsest scales, 147 of 547 tokens, in larger batches of the same cost: they decide what the picture shows
    transformer_schedule=Schedule(
        steps=4_550, batch_size=16, lr=1e-3, muon_lr=0.02, ema=0.998, early_steps=2_350, early_batch=44
    ),
    coarse_scales=6,
    balance=0.5,  # three fifths of the pictures are people
    decoder_schedule=Schedule(steps=3_000, batch_size=16, lr=1.5e-3, weight_decay=0.01, clip=1.0),
    data="emoji",
    mse_weight=8.0,
    alternate_share=0.2,
    augmented=True,
    views=4,
    validate_every=1_000,
    sampling=Sampling(guidance=3.0, top_p=0.3),  # least Frechet distance to training images among twelve settings
)

# The same pictures smaller, for the comparison of resolutions: last maps of 8x8 and 4x4, and fewer codes, as they show less.
EMOJI_32 = replace(
    EMOJI,
    transformer=replace(EMOJI_TRANSFORMER, width=128),
    tokenizer=replace(EMOJI_TOKENIZER, patch_nums=(1, 2, 3, 4, 6, 8), vocab_size=2048, channels=64),
    tokenizer_schedule=replace(EMOJI.tokenizer_schedule, steps=1_500),
    decoder_schedule=None,
    transformer_schedule=replace(EMOJI.transformer_schedule, steps=2_000, early_steps=0),
    coarse_scales=1,
    data="emoji-32",
)
EMOJI_16 = replace(
    EMOJI_32,
    tokenizer=replace(EMOJI_32.tokenizer, patch_nums=(1, 2, 3, 4), vocab_size=1024),
    tokenizer_schedule=replace(EMOJI.tokenizer_schedule, steps=3_000),
    transformer_schedule=replace(EMOJI.transformer_schedule, steps=3_000, early_steps=0),
    data="emoji-16",
)

# A thousand things in eight styles: the geometry of the emoji models, wider.
THINGS_TOKENIZER = replace(EMOJI_TOKENIZER, channels=96)
THINGS = replace(
    EMOJI,
    tokenizer=THINGS_TOKENIZER,
    transformer=replace(EMOJI_TRANSFORMER, width=192, depth=8, num_classes=1004, num_styles=8),
    tokenizer_schedule=Schedule(steps=3_200, batch_size=32, lr=2.5e-3, weight_decay=0.01, clip=1.0),
    # the six coarsest scales, 147 of 547 tokens, decide what the picture shows: two steps in three train them alone, in larger
    # batches of the same cost. (Where all early steps did so, the finest scales forgot.)
    transformer_schedule=Schedule(
        steps=2_300, batch_size=16, lr=1e-3, muon_lr=0.02, ema=0.998, early_steps=1_900, early_batch=64, full_every=3
    ),
    alternate_share=0.15,
    balance=0.0,
    data="things",
)

RECIPES: dict[str, Recipe] = {
    "things-64": THINGS,
    "fashion-28": FASHION,
    "fashion-28-bounded": replace(FASHION, transformer=BOUNDED, alternate_share=0.2),
    "emoji-64": EMOJI,
    "emoji-32": EMOJI_32,
    "emoji-16": EMOJI_16,
    # both stages within ten minutes on two CPU cores, for use in class
    "fashion-28-quick": replace(
        FASHION,
        tokenizer=replace(FASHION_TOKENIZER, vocab_size=512),
        transformer=replace(FASHION_TRANSFORMER, depth=4, width=128, heads=4),
        tokenizer_schedule=replace(FASHION.tokenizer_schedule, steps=1_500),
        transformer_schedule=replace(FASHION.transformer_schedule, steps=2_000, ema=0.998),
        validate_every=500,
    ),
}


# -- the two stages ------------------------------------------------------------------------------------------------


def load_data(recipe: Recipe, folder: Path | str | None) -> ImageData:
    """The recipe's data set, or a folder of pictures at the recipe's size."""
    if folder is None:
        return data.load(recipe.data)
    t = recipe.tokenizer
    result = data.load_folder(folder, t.image_size, t.image_channels)
    print(result.report(), file=sys.stderr)
    return result


def _check_pictures(option: str, tokenizer: TokenizerConfig, preset: str) -> None:
    """Raises ValueError naming the option whose tokenizer does not take the pictures of the preset's data set."""
    takes, has = (
        f"{t.image_size} x {t.image_size} pixels in {'grey' if t.image_channels == 1 else 'colour'}"
        for t in (tokenizer, RECIPES[preset].tokenizer)
    )
    if takes != has:
        raise ValueError(
            f"{option}: takes pictures of {takes}, but those of preset {preset!r} are {has}; name a folder of pictures with "
            "--data, or choose another --tokenizer or --preset"
        )


def flips_of(images: ImageData, indices: torch.Tensor) -> torch.Tensor | None:
    """Which of some training images may be mirrored."""
    return None if images.flips is None else images.flips[indices]


def tokenize_views(tokenizer: VQVAE, images: ImageData, views: int) -> torch.Tensor:
    """Token ids of the training images as they are, then of `views` - 1 changed versions, one after the other: (views * N, L)."""
    parts = [tokenize_images(tokenizer, images.train_images, progress=True)]
    for view in range(1, views):
        changed = augment(images.train_images, torch.Generator().manual_seed(view), images.flips)
        changed = ((changed + 1) * 127.5).round().to(torch.uint8)
        parts.append(tokenize_images(tokenizer, changed, progress=True))
    return torch.cat(parts)


def _start_from(model: VQVAE | VAR, other: VQVAE | VAR, name: Path | str) -> None:
    """Copies the weights of `other`; raises ValueError where it was built otherwise.

    Other scales are allowed: of a transformer, those with a side in common keep what they learned of level and position.
    """
    ours, theirs = model.state_dict(), other.state_dict()
    if isinstance(model, VAR) and theirs["pos_1LC"].shape[2] == ours["pos_1LC"].shape[2]:
        position, level = ours["pos_1LC"].clone(), ours["lvl_embed.weight"].clone()
        for k, side in enumerate(model.pyramid.patch_nums):
            if side in other.pyramid.patch_nums:
                known = other.pyramid.patch_nums.index(side)
                position[:, model.pyramid.slices[k]] = theirs["pos_1LC"][:, other.pyramid.slices[known]]
                level[k] = theirs["lvl_embed.weight"][known]
        theirs |= {"pos_1LC": position, "lvl_embed.weight": level}
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = (tuple(s[key].shape) if key in s else "absent" for s in (ours, theirs))
        if a != b:
            raise ValueError(f"start = {str(name)!r}: its {key} is {b}, where this preset has {a}; must be built alike")
    model.load_state_dict(theirs)


def _first_weights(model: torch.nn.Module, start: Path | str | None) -> list[torch.Tensor]:
    """What a run's identity needs of the model it started from; nothing for random weights, which follow from the seed."""
    return [] if start is None else [tensor for _, tensor in sorted(model.state_dict().items())]


def _announce(stage: str, model: torch.nn.Module) -> None:
    size = sum(p.numel() for p in model.parameters())
    print(f"{stage}: {size:,} parameters, {torch.get_num_threads()} threads", file=sys.stderr)


def recipe_for(preset: str, folder: Path | str | None = None) -> Recipe:
    """A preset by name; with a folder of pictures, the same recipe in colour."""
    recipe = RECIPES[validate.one_of("preset", preset, RECIPES)]
    return replace(recipe, tokenizer=replace(recipe.tokenizer, image_channels=3)) if folder is not None else recipe


def class_weights(labels: torch.Tensor, balance: float) -> torch.Tensor:
    """How often to see each picture, labels (N,) -> float (N,): n^-balance for one of a class of n."""
    return labels.bincount()[labels].float().pow(-balance)


def train_tokenizer(
    preset: str,
    out: Path | str,
    folder: Path | str | None = None,
    precision: str = "auto",
    start: Path | str | None = None,
    compiled: bool = False,
    minutes: float | None = None,
    **change,
) -> bool:
    """Stage one. Leaves `tokenizer/` in `out`: weights, configuration, log, and the state a stopped run resumes from.

    `start` names a model (or folder) whose tokenizer the run starts from, instead of random weights. `compiled` passes encoder
    and decoder through torch.compile. `minutes` ends this sitting early; the same call goes on. `change` goes to
    `Schedule.changed`. Returns whether the schedule has ended.
    """
    reuse_memory()
    recipe = recipe_for(preset, folder)
    out = writable_folder("out", out) / "tokenizer"
    images = load_data(recipe, folder)
    schedule = recipe.tokenizer_schedule.changed(**change)
    torch.manual_seed(schedule.seed)
    model = VQVAE(recipe.tokenizer)
    if start is not None:
        _start_from(model, checkpoints.load_tokenizer(start), start)
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
    if recipe.decoder_schedule is None:
        having = [name for name, known in RECIPES.items() if known.decoder_schedule]
        raise ValueError(f"preset = {preset!r}: has no schedule for the decoder alone; these have: {validate.listed(having)}")
    out = writable_folder("out", out)
    model = checkpoints.load(out / "model", calibrated=False)
    if folder is None:
        _check_pictures(f"out = {str(out)!r}, with its model", model.config.tokenizer, preset)
    images = load_data(recipe, folder)
    schedule = recipe.decoder_schedule
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


def train_transformer(
    preset: str,
    out: Path | str,
    folder: Path | str | None = None,
    tokenizer: Path | str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    start: Path | str | None = None,
    minutes: float | None = None,
    **change,
) -> bool:
    """Stage two. Needs the tokenizer of stage one, from `out` or from `tokenizer` (a folder or a shipped model).

    Leaves `transformer/` (log and resumable state) and `model/`, the finished checkpoint, in `out`. `compiled` passes the model
    through torch.compile, which needs a C++ compiler, takes a minute to start and saves a fifth of each step on a CPU. `start`
    names a model (or folder) whose transformer the run starts from, instead of random weights. `minutes`, `change` and the
    result as in `train_tokenizer`.
    """
    reuse_memory()
    recipe = recipe_for(preset, folder)
    out = writable_folder("out", out)
    if tokenizer is None and not (out / "tokenizer" / checkpoints.WEIGHTS).exists():
        raise ValueError(
            f"out = {str(out)!r}: has no finished tokenizer; run `python -m var_mini train tokenizer --preset {preset} "
            f"--out {out}` first, or name another one with --tokenizer"
        )
    named = tokenizer if tokenizer is not None else out / "tokenizer"
    quantizing = checkpoints.load_tokenizer(named)
    if folder is None:
        _check_pictures(f"tokenizer = {str(named)!r}", quantizing.config, preset)
    if quantizing.config != recipe.tokenizer:
        recipe = replace(recipe, tokenizer=quantizing.config)  # the tokenizer on hand decides the geometry
    images = load_data(recipe, folder)
    t = replace(recipe.transformer, num_classes=len(images.class_names), num_styles=len(images.style_names))
    schedule = recipe.transformer_schedule.changed(**change)
    torch.manual_seed(schedule.seed)
    model = VAR(t, recipe.tokenizer.pyramid, recipe.tokenizer.vocab_size, recipe.tokenizer.z_channels)
    if start is not None:
        _start_from(model, checkpoints.load(start, calibrated=False).transformer, start)
    alternate = int(schedule.steps * (1 - recipe.alternate_share)) if recipe.alternate_share else None
    objective = TransformerObjective(
        model, quantizing.quantize, alternate, schedule.is_early, recipe.coarse_scales, schedule.seed
    )
    if compiled:
        model.compile(dynamic=False)  # few shapes: two numbers of scales, two kernels
    weights = [tensor for _, tensor in sorted(quantizing.state_dict().items())]
    how = (alternate, recipe.views, recipe.coarse_scales, recipe.balance)
    weights += _first_weights(model, start)
    identity = digest(t, how, images.class_names, images.train_images, images.train_conditions, *weights)
    trainer = Trainer(objective, schedule, out / "transformer", precision, identity=identity)
    objective.process = trainer.accelerator.process_index
    quantizing.to(trainer.accelerator.device)
    ids = tokenize_views(quantizing, images, recipe.views)
    measured = len(images.test_images) > 0
    test_ids = tokenize_images(quantizing, images.test_images[:VALIDATION_IMAGES]) if measured else None
    _announce("transformer", model)

    def validation(model):
        kernels = ("exact", "poly") if recipe.alternate_share else ("exact",)
        result = {}
        for kernel in kernels:
            with torch.compiler.set_stance("force_eager"):  # other shapes, and too few calls to be worth compiling
                measured = cross_entropy(model, quantizing.quantize, test_ids, images.test_conditions[:VALIDATION_IMAGES], kernel)
            suffix = "" if kernel == "exact" else f"_{kernel}"
            result[f"test_cross_entropy{suffix}"] = measured["cross_entropy"]
        return result

    seen = class_weights(images.train_labels.repeat(recipe.views), recipe.balance) if recipe.balance else None
    conditions = torch.cat([images.train_conditions] * recipe.views).to(trainer.accelerator.device)
    ids = ids.to(trainer.accelerator.device)

    def batch(indices, _):
        return [take(ids, indices), take(conditions, indices)]

    checks = validation if measured else None
    ended = trainer.run(len(ids), batch, recipe.validate_every, checks, weights=seen, minutes=minutes)
    name = preset if folder is None else images.name
    names = (images.class_names, images.name, recipe.sampling, images.class_groups, images.style_names)
    config = ModelConfig(name, recipe.tokenizer, t, *names)
    if trainer.accelerator.is_main_process:
        with trainer.finished() as averaged:
            checkpoints.save(Model(config, quantizing, averaged), out / "model")
            for stage in ("tokenizer", "transformer"):
                log = out / stage / "log.csv"
                if log.exists():
                    shutil.copy(log, out / "model" / f"{stage}_log.csv")
    return ended
