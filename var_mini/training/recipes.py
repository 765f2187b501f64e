"""Training presets: data, shapes and schedules of every model this repository trains; stages.py carries them out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import checkpoints, validate
from ..config import Sampling, TokenizerConfig, TransformerConfig
from .schedule import Schedule

DEFAULT = "fashion-28"


@dataclass(frozen=True)
class Recipe:
    """All that decides what a training run produces."""

    tokenizer: TokenizerConfig
    transformer: TransformerConfig
    tokenizer_schedule: Schedule
    transformer_schedule: Schedule
    decoder_schedule: Schedule | None = None  # of the decoder alone, once the token maps are settled
    finish_schedule: Schedule | None = None  # of a last run of stage two, which sees whole pictures just as they are
    data: str = "fashion-mnist"
    mse_weight: float = 1.0
    alternate_share: float = 0.0  # last share of the transformer's steps that alternate exact and degree-2 kernel
    augmented: bool = False  # whether stage one sees changed pictures (see augment.py)
    views: int = 1  # how many versions of each picture stage two learns; all but the first are changed ones, and told to be
    plain: int = 1  # how often the first counts, against once for each of the others
    coarse_scales: int = 1  # the early steps (see Schedule) of stage two train so many coarsest scales alone
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

# A thousand things in eight styles at 64 px: 4x downsampling at once by a space-to-depth stem of 4, since all convolutions at
# 16x16 reconstruct best in a given time (assets/results/ablation-things-tokenizer.csv).
THINGS_TOKENIZER = replace(
    FASHION_TOKENIZER,
    patch_nums=(1, 2, 3, 4, 6, 9, 12, 16),
    image_channels=3,
    stem=4,
    channels=96,
    channel_mult=(1,),
)
THINGS = Recipe(
    THINGS_TOKENIZER,
    replace(BOUNDED, heads=4, head_dim=16, width=192, depth=8, num_classes=1004, num_styles=8),
    tokenizer_schedule=Schedule(steps=3_200, batch_size=32, lr=2.5e-3, weight_decay=0.01, clip=1.0),
    # the six coarsest scales, 147 of 547 tokens, decide what the picture shows: every other step trains them alone, in larger
    # batches of the same cost. (Where all early steps did so, the finest scales forgot.) The shipped model started (`--start`)
    # from earlier runs, see assets/things-64.
    transformer_schedule=Schedule(
        steps=6_900, batch_size=8, lr=8e-4, muon_lr=0.016, warmup=150, ema=0.998, early_steps=5_865, early_batch=32, full_every=2
    ),
    coarse_scales=6,
    decoder_schedule=Schedule(steps=3_000, batch_size=16, lr=1.5e-3, weight_decay=0.01, clip=1.0),
    finish_schedule=Schedule(steps=3_400, batch_size=8, lr=4e-4, muon_lr=0.008, warmup=100, ema=0.999),
    data="things",
    mse_weight=8.0,
    alternate_share=0.15,
    augmented=True,
    views=9,
    plain=3,
    sampling=Sampling(guidance=3.0, top_p=0.3),  # the judge recognises most, in the right style, among twelve settings
)

# The same pictures smaller, for the comparison of resolutions: last maps of 8x8 and 4x4, and fewer codes, as they show less.
THINGS_32 = replace(
    THINGS,
    tokenizer=replace(THINGS_TOKENIZER, patch_nums=(1, 2, 3, 4, 6, 8), vocab_size=2048, channels=64),
    transformer=replace(THINGS.transformer, width=144, depth=6),
    tokenizer_schedule=replace(THINGS.tokenizer_schedule, steps=3_000),
    transformer_schedule=Schedule(steps=4_500, batch_size=32, lr=1e-3, muon_lr=0.02, ema=0.998),
    coarse_scales=1,
    decoder_schedule=None,
    finish_schedule=None,
    data="things-32",
)
THINGS_16 = replace(
    THINGS_32,
    tokenizer=replace(THINGS_32.tokenizer, patch_nums=(1, 2, 3, 4), vocab_size=1024, channels=48),
    transformer=replace(THINGS_32.transformer, width=128),
    transformer_schedule=replace(THINGS_32.transformer_schedule, steps=2_000, batch_size=96),
    data="things-16",
)

RECIPES: dict[str, Recipe] = {
    "things-64": THINGS,
    "things-32": THINGS_32,
    "things-16": THINGS_16,
    "fashion-28": FASHION,
    "fashion-28-bounded": replace(FASHION, transformer=BOUNDED, alternate_share=0.2),
    # both stages within ten minutes on two CPU cores (measured without bfloat16 units), for use in class
    "fashion-28-quick": replace(
        FASHION,
        tokenizer=replace(FASHION_TOKENIZER, vocab_size=512),
        transformer=replace(FASHION_TRANSFORMER, depth=4, width=128, heads=4),
        tokenizer_schedule=replace(FASHION.tokenizer_schedule, steps=950),
        transformer_schedule=replace(FASHION.transformer_schedule, steps=1_200, ema=0.998),
        validate_every=500,
    ),
}


def finishing(recipe: Recipe, start: Path | str | None) -> Recipe:
    """The recipe of a last run of stage two. Raises ValueError without a model to start from, or where the preset has none."""
    if start is None:
        raise ValueError("finish = True: must come with a trained model that the run starts from (--start)")
    if recipe.finish_schedule is None:
        having = validate.listed([name for name, known in RECIPES.items() if known.finish_schedule])
        raise ValueError(f"finish = True: the preset has no such run; these have: {having}")
    return replace(recipe, transformer_schedule=recipe.finish_schedule, views=1, plain=1)


def recipe_for(
    preset: str | None,
    folder: Path | str | None = None,
    start: Path | str | None = None,
    patch_nums: tuple[int, ...] | None = None,
    grey: bool = False,
) -> Recipe:
    """A preset by name, or for None the one that the model `start` is named after, at that model's shapes.

    With a folder of pictures it is in colour, unless `grey`; `patch_nums` gives other scales, and so another picture size.
    Raises ValueError where there is no such preset or model, and for grey pictures of a data set that is in colour.
    """
    if start is not None:
        checkpoints.find(start, "start")
    if preset is None and start is not None:
        known = checkpoints.load_config(start)
        if known.name not in RECIPES:
            raise ValueError(f"preset = None: {validate.shown(known.name)} is the name of no preset; name one with --preset")
        recipe = replace(RECIPES[known.name], tokenizer=known.tokenizer, transformer=known.transformer)
    else:
        recipe = RECIPES[validate.one_of("preset", preset if preset is not None else DEFAULT, RECIPES)]
    tokenizer = recipe.tokenizer
    if folder is not None:
        tokenizer = replace(tokenizer, image_channels=1 if grey else 3)
    elif grey and tokenizer.image_channels != 1:
        raise ValueError("grey = True: must come with a folder of pictures (--data); the data set of this preset is in colour")
    if patch_nums is not None:
        tokenizer = replace(tokenizer, patch_nums=patch_nums)
    return replace(recipe, tokenizer=tokenizer)
