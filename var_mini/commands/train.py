"""train: one stage of training."""

from __future__ import annotations

from pathlib import Path

from .. import checkpoints, validate
from ..attention.spec import MAX_LANDMARKS, MIN_LANDMARKS
from ..files import writable_folder
from ..training.recipes import DEFAULT, RECIPES
from .common import whole

_RUN = {"preset", "data", "out", "start"}  # every stage that makes a run
_SITTING = {"precision", "compile", "grey", "steps", "batch_size", "lr", "minutes"}
TAKES = {  # stage -> its options
    "tokenizer": _RUN | _SITTING | {"patch_nums"},
    "transformer": _RUN | _SITTING | {"tokenizer", "finish"},
    "transformer --lora-rank": _RUN | {"lora_rank", "lora_steps", "precision"},
    "decoder": {"preset", "data", "out", "precision"},
    "landmarks": {"preset", "data", "out", "landmarks"},  # of the model of the run that --preset or --out names
    "landmarks --model": {"model", "data", "out", "landmarks"},
    "classifier": {"data", "out"},
    "ranker": {"data", "out"},
}


def add(commands) -> None:
    """Adds the command to the parser."""
    p = commands.add_parser("train", help="train one stage")
    p.add_argument("stage", choices=("tokenizer", "transformer", "decoder", "landmarks", "classifier", "ranker"))
    p.add_argument("--model", help="checkpoint to calibrate, for landmarks (default: the run's own model)")
    p.add_argument("--landmarks", default="16,32,64", help=f"landmarks per head, {MIN_LANDMARKS} to {MAX_LANDMARKS}, with commas")
    known = ", ".join(RECIPES)
    p.add_argument("--preset", help=f"shapes and schedule: {known} (default: those of --start, else {DEFAULT})")
    p.add_argument(
        "--data", help="a folder of pictures whose sub-folders are classes, or train/ and val/; for classifier and ranker a name"
    )
    p.add_argument("--out", type=Path, help="folder for the run (default runs/PRESET)")
    p.add_argument("--tokenizer", help="checkpoint whose tokenizer the transformer uses (default: the run's own)")
    p.add_argument("--start", help="checkpoint whose weights the tokenizer or the transformer starts from (default: random ones)")
    p.add_argument(
        "--finish", action="store_true", help="last run of the transformer --start: unchanged whole pictures, low rate"
    )
    p.add_argument("--lora-rank", type=int, help="of the transformer: adapters of this rank for the model --start")
    p.add_argument("--lora-steps", type=int, default=1000, help="steps of --lora-rank")
    p.add_argument("--precision", default="auto", choices=("auto", "no", "bf16"))
    p.add_argument("--compile", action="store_true", help="torch.compile for both stages; needs a C++ compiler")
    p.add_argument("--patch-nums", help="of the tokenizer: sides of the token maps, with commas, such as 1,2,3,4,6,8")
    p.add_argument(
        "--grey", action="store_true", help="with --data: read the pictures as grey (otherwise colour, whatever the preset)"
    )
    p.add_argument("--steps", type=int, help="steps of the tokenizer or the transformer (default: the preset's)")
    p.add_argument("--batch-size", type=int, help="examples of a step, over all processes together (default: the preset's)")
    p.add_argument("--lr", type=float, help="peak learning rate (default: the preset's; Muon's changes in proportion)")
    p.add_argument("--minutes", type=float, help="stop after so many minutes and save; the same command goes on")
    p.set_defaults(run=run, defaults={name: p.get_default(name) for name in set().union(*TAKES.values())})


def run(options) -> None:
    from ..training.stopping import between_steps

    _check_options(options)
    if options.minutes is not None:
        validate.number("minutes", options.minutes, 0, 60 * 24 * 365, low_open=True)
    start, adapter = options.start, options.stage == "transformer" and options.lora_rank is not None
    if start is not None and not (adapter and start in checkpoints.OFFICIAL):  # adapters alone are for published models, too
        checkpoints.find(start, "start")
    if options.preset is None and start is None:
        options.preset = DEFAULT
    if options.preset is not None:
        named = options.preset
    elif options.data or start is None:
        named = Path(options.data).resolve().name
    else:
        named = checkpoints.load_config(start).name
    if adapter:
        named += "-adapter"
    with between_steps():
        _train_stage(options, options.out or Path("runs") / named)


def _check_options(options) -> None:
    """Raises ValueError naming the first option that the stage would leave aside."""
    stage = options.stage
    if stage == "transformer" and options.lora_rank is not None:
        stage += " --lora-rank"
    if stage == "landmarks" and options.model is not None:
        stage += " --model"
    takes = TAKES[stage]
    if stage == "transformer --lora-rank" and options.start is not None:
        stage, takes = stage + " --start", takes - {"preset"}  # either names the model that is adapted
    for name, default in sorted(options.defaults.items()):
        if name not in takes and getattr(options, name) != default:
            raise ValueError(f"{name} = {validate.shown(getattr(options, name))}: is no option of train {stage}")


def _train_stage(options, out: Path) -> None:
    from ..training import stages

    how = {name: getattr(options, name) for name in ("precision", "start", "minutes", "steps", "batch_size", "lr", "grey")}
    how["compiled"] = options.compile
    if options.stage == "tokenizer":
        sides = options.patch_nums and tuple(whole("patch_nums", text) for text in options.patch_nums.split(","))
        ended = stages.train_tokenizer(options.preset, out, options.data, patch_nums=sides, **how)
        print("finished" if ended else "stopped; the same command goes on")
    elif options.stage == "transformer" and options.lora_rank is not None:
        from ..training.lora import train_adapter

        base = options.start or options.preset
        train_adapter(base, out, options.data, options.lora_rank, options.lora_steps, options.precision)
        adapter = out / "adapter.safetensors"
        print(f"finished; try: python -m var_mini generate --model {base} --adapter {adapter} --out image.png")
        print(f"or see both on the page: python -m demo --model {out / 'model'}")
    elif options.stage == "transformer":
        ended = stages.train_transformer(options.preset, out, options.data, options.tokenizer, finish=options.finish, **how)
        state = "finished" if ended else "stopped; the same command goes on"
        print(f"{state}; try: python -m var_mini generate --model {out / 'model'} --class=#0 --out image.png")
    elif options.stage == "decoder":
        stages.train_decoder(options.preset or DEFAULT, out, options.data, options.precision)
    elif options.stage == "landmarks":
        from ..training.landmarks import train_landmarks

        counts = [whole("landmarks", text) for text in options.landmarks.split(",")]
        model = options.model or out / "model"
        print(f"landmarks in {train_landmarks(model, options.out if options.model else None, options.data, counts)}")
    else:
        _train_classifier(options)


def _train_classifier(options) -> None:
    from .. import data
    from ..training.classifier import train_classifier
    from ..training.judge import RANKER, train_judge

    ranker = options.stage == "ranker"
    name = validate.one_of("data", options.data or ("things" if ranker else "fashion-mnist"), data.REGISTRY)
    place = options.out or checkpoints.ASSETS / "classifiers" / (f"{name}-ranker" if ranker else name)
    place, images = writable_folder("out", place), data.load(name)
    if images.train_styles is None and not ranker:
        print(f"test accuracy {train_classifier(images, place):.4f}")
    else:
        found = train_judge(images, place, **(RANKER if ranker else {}))
        print(", ".join(f"{key} {value:.4f}" for key, value in found.items()))
