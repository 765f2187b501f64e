"""Saving and loading models: this project's checkpoints, and the published weights of VAR.

A checkpoint is a folder with `model.safetensors` (both parts, prefixed `tokenizer.` and `transformer.`), `config.json` and,
once calibrated, `calibration.safetensors` (landmarks and coefficients of the low-rank back ends, and the fingerprint of the
weights that they belong to). Published weights are state dicts in .pth files; they are read with `weights_only`, so no code in
them can run. Either kind is compared with what its configuration needs, name by name and shape by shape, before a value is read
or memory of that size is asked for. What other trainers wrap names in (`module.`, `_orig_mod.`, any prefix, dicts in dicts) is
found and taken off.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.resources import files
from itertools import islice
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from . import validate
from .config import PATCH_NUMS_512, ModelConfig, Sampling, TokenizerConfig, TransformerConfig
from .files import atomic_write, read_json
from .model import Model
from .precision import device_of, dtype_of, fingerprint
from .tokenizer import VQVAE


def _assets() -> Path:
    """The folder of shipped models, samples and results: var_mini/assets where the package was installed, else the repository's.

    The first exists in an installed package alone, so a copy of the repository always uses its own.
    """
    installed = Path(str(files("var_mini"))) / "assets"
    return installed if installed.is_dir() else installed.parent.parent / "assets"


ASSETS = _assets()
CONFIG, WEIGHTS, CALIBRATION = "config.json", "model.safetensors", "calibration.safetensors"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
HEADER_FLOATS = ("F16", "BF16", "F32", "F64")  # the same as a safetensors header calls them
PARTS = ("tokenizer", "transformer")
WRAPPERS = ("module", "_orig_mod")  # what DistributedDataParallel and torch.compile put into names


# -- this project's checkpoints ------------------------------------------------------------------------------------


def save(model: Model, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
    """Writes a checkpoint folder. Weights are stored as `dtype` (float16 halves the size) and computed in float32.

    A calibration that lies there stays, unless it says that it was made for other weights: then it is removed, with a warning.
    """
    parts = {"tokenizer": model.tokenizer, "transformer": model.transformer}
    _write(Path(folder), parts, model.config.to_dict(), dtype)
    path = Path(folder) / CALIBRATION
    if path.is_file() and _is_of_others(path, model.transformer):
        path.unlink()  # whoever reads the file alone, as the page does, would offer its tables
        warnings.warn(f"{path} was made for the weights that were here before, and is removed; {_remake(folder)}", stacklevel=2)


def save_tokenizer(tokenizer: VQVAE, folder: Path | str) -> None:
    """Writes a tokenizer alone: what stage one of training hands to stage two. Weights stay float32."""
    _write(Path(folder), {"tokenizer": tokenizer}, {"tokenizer": asdict(tokenizer.config)}, torch.float32)


def load(
    name: str | Path, device: torch.device | str = "cpu", calibrated: bool = True, dtype: torch.dtype | str = torch.float32
) -> Model:
    """Loads a shipped model by name, a checkpoint folder by path, or a published model (`var_d16` ...) by name.

    `device` "auto" is the GPU where there is one; what is drawn comes back on the CPU. Landmarks and coefficients come along
    where the folder has them, unless `calibrated` is False; those that say they were made for other weights are left aside, with
    a warning. `dtype` bfloat16 or float16 makes most weights 16-bit (see `precision`): bfloat16 is fast on processors with units
    for it (AMX), both are on GPUs.

    Raises ValueError where there is no such model, or where the files are truncated, foreign or do not fit.
    """
    if str(name) in OFFICIAL:
        return load_official(str(name), device=device, dtype=dtype)
    device = device_of(device)
    dtype_of(dtype)  # refused before files are read
    config, folder = load_config(name), find(name)
    with _shapes_alone():
        model = Model.build(config)
    _fill({"tokenizer": model.tokenizer, "transformer": model.transformer}, folder / WEIGHTS)
    path = folder / CALIBRATION
    if calibrated and path.is_file():
        if _is_of_others(path, model.transformer):
            warnings.warn(f"{path} was made for other weights, and is left aside; {_remake(folder)}", stacklevel=2)
        else:
            _load_calibration(model, path)
    return model.eval().to(device, dtype)


class _Unfilled(TorchFunctionMode):
    """Inside, nothing is filled with values: what would do so returns its tensor as it is.

    On the meta device such values do not exist anyway, but torch imports its compiler, for a second or more, to compute none.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.__name__, kwargs or {}
        if name in ("rand", "randn"):
            return torch.empty(*args, **kwargs)
        if name == "div" or (name.endswith("_") and not name.startswith("_") and name != "requires_grad_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextlib.contextmanager
def _shapes_alone() -> Iterator[None]:
    """Modules built here take no memory and no random numbers; a file gives them their values."""
    with torch.device("meta"), _Unfilled():
        yield


def load_config(name: str | Path) -> ModelConfig:
    """The configuration of a model, without its weights. Takes the same names as `load`."""
    if str(name) in OFFICIAL:
        return official_config(str(name))
    return ModelConfig.from_dict(read_json(find(name) / CONFIG))


def load_tokenizer(name: str | Path, argument: str = "tokenizer") -> VQVAE:
    """Only the tokenizer of a checkpoint, by the name of a shipped model or by its folder. `argument` is what errors call it."""
    if str(name) in OFFICIAL:
        raise ValueError(f"{argument} = {str(name)!r}: published models cannot be trained further here; name a checkpoint folder")
    folder = find(name, argument)
    config = read_json(folder / CONFIG)
    config = TokenizerConfig.from_dict(config.get("tokenizer") if isinstance(config, dict) else None)
    with _shapes_alone():
        tokenizer = VQVAE(config)
    _fill({"tokenizer": tokenizer}, folder / WEIGHTS)
    return tokenizer.eval()


def save_calibration(model: Model, folder: Path | str) -> None:
    """Writes the landmarks (float16) and coefficients (float32) of a calibrated model beside its weights, and whose they are."""
    kept = model.transformer.calibration
    tensors = {
        f"{kind}.{number}": table.to("cpu", dtype).contiguous()
        for kind, dtype in (("landmarks", torch.float16), ("coefficients", torch.float32))
        for number, table in getattr(kept, kind).items()
    }
    with atomic_write(Path(folder) / CALIBRATION) as path:
        save_file(tensors, path, {PARTS[1]: _of_transformer(model.transformer)})


def _of_transformer(transformer: nn.Module) -> str:
    return fingerprint(sorted(transformer.state_dict().items()))


def _is_of_others(path: Path, transformer: nn.Module) -> bool:
    """Whether a calibration file says that its tables belong to other weights; older files do not say whose they are."""
    try:
        with safe_open(path, framework="pt") as file:
            made_for = (file.metadata() or {}).get(PARTS[1])
    except (OSError, SafetensorError):
        return False  # reading its tables will say what is wrong with it
    return made_for is not None and made_for != _of_transformer(transformer)


def _remake(folder: Path | str) -> str:
    return f"`python -m var_mini train landmarks --model {folder}` makes one"


def _load_calibration(model: Model, path: Path) -> None:
    setters = {"landmarks": model.transformer.set_landmarks, "coefficients": model.transformer.set_coefficients}
    for key, table in _read_tensors(path).items():
        kind, _, number = key.partition(".")
        sizes = {"landmarks": list(table.shape[2:3]), "coefficients": [d - 1 for d in table.shape[2:3]]}.get(kind)
        if not sizes or number != str(sizes[0]):
            raise ValueError(f"{path} has a table of no known kind: {validate.shown(key)} of shape {tuple(table.shape)}")
        if table.dtype not in FLOATS or not torch.isfinite(table).all():
            raise ValueError(f"{path}: {key} is not a finite floating-point table")
        if not table.numel():
            raise ValueError(f"{path} does not fit: {key} is empty, of shape {tuple(table.shape)}")
        if kind == "landmarks" and (table.float().norm(dim=-1) - 1).abs().max() > 0.01:  # float16 rounds them a little
            raise ValueError(f"{path}: {key} has a landmark that is no unit vector")
        try:
            setters[kind](table)
        except ValueError as error:
            raise ValueError(f"{path} does not fit: {error}") from None


def _write(folder: Path, parts: dict[str, nn.Module], config: dict, dtype: torch.dtype) -> None:
    tensors = {
        f"{part}.{name}": tensor.detach().to("cpu", dtype).contiguous()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS) as path:
        save_file(tensors, path)
    with atomic_write(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=1) + "\n")


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None


def _fill(modules: dict[str, nn.Module], path: Path) -> None:
    """Reads a checkpoint file into its parts, checked by the file's header first."""
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            found = {name: tuple(s.get_shape()) if s.get_dtype() in HEADER_FLOATS else None for name, s in slices.items()}
            needed = {
                f"{part}.{name}": tuple(tensor.shape)
                for part, module in modules.items()
                for name, tensor in module.state_dict().items()
            }
            others = tuple(f"{part}." for part in PARTS if part not in modules)
            names = _fitting(needed, found, others, str(path))
            tensors = {name: file.get_tensor(stored) for name, stored in names.items()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None
    for part, module in modules.items():
        own = {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
        _assign(module, own, f"{path} ({part})")


def available() -> list[str]:
    """Names of the shipped models."""
    return sorted(p.parent.name for p in ASSETS.glob(f"*/{CONFIG}") if (p.parent / WEIGHTS).exists())


def find(name: str | Path, argument: str = "model") -> Path:
    """The folder of a checkpoint, by the name of a shipped model or by its path.

    Raises ValueError where there is none, which calls the name `argument`; only a model to draw with may be a published one.
    """
    with contextlib.suppress(OSError, ValueError):  # too long for a path, or a NUL in it
        for folder in (ASSETS / str(name), Path(str(name))):
            if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
                return folder
    known = validate.listed(available() + (sorted(OFFICIAL) if argument == "model" else []))
    given = validate.shown(str(name) if isinstance(name, Path) else name)
    raise ValueError(f"{argument} = {given}: must be one of {known}, or a folder with {CONFIG} and {WEIGHTS}")


def _fitting(needed: dict[str, tuple], found: dict[str, tuple | None], others: tuple[str, ...], where: str) -> dict[str, str]:
    """Needed names -> names in the file, compared by shape (None: no floating-point numbers, which fits nothing).

    Names that begin with one of `others` belong to parts that are not asked for. Raises ValueError naming what is missing,
    extra or misshapen, the first ten.
    """
    stored = _unwrapped(found, needed, where)
    faults = [f"missing {name}" for name in needed if name not in stored]
    for name, original in stored.items():
        shape = found[original]
        if name not in needed:
            faults += [] if name.startswith(others) else [f"extra {original}"]
        elif shape is None:
            faults.append(f"{name} is not a dense floating-point tensor")
        elif shape != needed[name]:
            faults.append(f"{name} has shape {shape}, must be {needed[name]}")
    if faults:
        raise ValueError(f"{where} does not fit: {validate.listed(faults, '; ')}")
    return {name: stored[name] for name in needed}


def _unwrapped(found: Iterable[str], needed: dict[str, tuple], where: str) -> dict[str, str]:
    """Names without what other trainers put around them -> names in the file."""
    stored: dict[str, str] = {}
    for name in found:
        short = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if short in stored:
            raise ValueError(f"{where} has {short} twice: {validate.listed([stored[short], name])}")
        stored[short] = name
    if needed.keys() & stored.keys():
        return stored
    for anchor in islice(needed, 3):  # no name fits: another one may, behind a prefix
        ends = sorted((name for name in stored if name.endswith(f".{anchor}")), key=len)
        if ends:
            prefix = ends[0].removesuffix(anchor)
            return {name.removeprefix(prefix): full for name, full in stored.items() if name.startswith(prefix)}
    return stored


def _assign(module: nn.Module, tensors: dict[str, torch.Tensor], where: str) -> None:
    """Gives a module on the meta device the values of a file, in float32. Raises ValueError where one is not finite."""
    faults = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if faults:
        raise ValueError(f"{where} does not fit: has values that are not finite: {validate.listed(faults)}")
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)


# -- published weights ---------------------------------------------------------------------------------------------

HUB_REPOSITORY = "FoundationVision/var"
TOKENIZER_FILE = "vae_ch160v4096z32.pth"
# name -> (depth, patch_nums or None for 256 px, shared AdaLN)
OFFICIAL = {
    "var_d16": (16, None, False),
    "var_d20": (20, None, False),
    "var_d24": (24, None, False),
    "var_d30": (30, None, False),
    "var_d36": (36, PATCH_NUMS_512, True),
}
# buffers of the published modules that this project computes where it needs them
BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")


def official_config(name: str) -> ModelConfig:
    """Configuration of a published model: width 64 * depth, head dimension 64, 1,000 ImageNet classes."""
    depth, patch_nums, shared = OFFICIAL[validate.one_of("model", name, OFFICIAL)]
    tokenizer = TokenizerConfig(patch_nums=patch_nums) if patch_nums else TokenizerConfig()
    transformer = TransformerConfig(depth=depth, width=64 * depth, heads=depth, shared_adaln=shared)
    sampling = Sampling(guidance=4.0, top_k=900, top_p=0.95)
    return ModelConfig(name, tokenizer, transformer, data="imagenet-1k", sampling=sampling)


def load_official(
    name: str, folder: Path | str | None = None, device: torch.device | str = "cpu", dtype: torch.dtype | str = torch.float32
) -> Model:
    """Loads published VAR weights, `var_d16` to `var_d36`.

    Reads `{name}.pth` and `vae_ch160v4096z32.pth` from `folder` (by default the folder that the environment variable
    VAR_WEIGHTS names), or else downloads them from the Hub repository FoundationVision/var and keeps them in the Hub's
    cache. Raises ValueError naming every tensor that is missing, extra or misshapen, and where a file is absent or cannot
    be downloaded.
    """
    config, device, dtype = official_config(name), device_of(device), dtype_of(dtype)
    with _shapes_alone():
        model = Model.build(config)
    for module, file in ((model.tokenizer, TOKENIZER_FILE), (model.transformer, f"{name}.pth")):
        path = _official_file(file, folder)
        load_official_state(module, path)
    return model.eval().to(device, dtype)


def load_official_state(module: nn.Module, path: Path | str) -> None:
    """Reads one published state dict into `module`, checked."""
    try:
        zipped = zipfile.is_zipfile(path)  # files of older torch versions are not, and cannot be memory-mapped
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # torch raises many kinds for truncated, foreign and unsafe files
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is not a readable state dict of tensors: {first}") from None
    needed = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    own = _state_dict(state, needed, str(path))
    shapes = {name: tuple(t.shape) if t.dtype in FLOATS and t.layout == torch.strided else None for name, t in own.items()}
    names = _fitting(needed, shapes, (), str(path))
    _assign(module, {name: own[stored] for name, stored in names.items()}, str(path))


def _state_dict(state: object, needed: dict[str, tuple], where: str) -> dict[str, torch.Tensor]:
    """The state dict in a file, which may lie in a dict of other things, such as `trainer/var_wo_ddp`."""
    found = dict(_state_dicts(state))
    if not found:
        raise ValueError(f"{where} is not a state dict: must map names to tensors")
    fits = {path: len(needed.keys() & _unwrapped(own, needed, where).keys()) for path, own in found.items()}
    best = [path for path in fits if fits[path] == max(fits.values())]
    if len(best) > 1:
        raise ValueError(f"{where} has {len(best)} state dicts that fit alike: {validate.listed(best)}; must have one")
    return {name: t for name, t in found[best[0]].items() if name.rpartition(".")[2] not in BUFFERS}


def _state_dicts(state: object, path: str = "", depth: int = 4) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """All dicts of names and tensors in dicts, each with the keys that lead to it."""
    if not isinstance(state, dict) or not state:
        return
    if all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()):
        yield path or "the file itself", state
    elif depth:
        for key, value in state.items():
            yield from _state_dicts(value, f"{path}/{key}" if path else str(key), depth - 1)


def _official_file(file: str, folder: Path | str | None) -> Path:
    folder = folder if folder is not None else os.environ.get("VAR_WEIGHTS")
    if folder:
        path = Path(folder) / file
        if not path.is_file():
            raise ValueError(f"folder = {str(folder)!r}: has no file {file}")
        return path
    from huggingface_hub import hf_hub_download  # only needed for published weights

    try:
        return Path(hf_hub_download(HUB_REPOSITORY, file))
    except Exception as error:  # network, authentication, disk: many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} could not be downloaded from the Hub repository {HUB_REPOSITORY}: {first}") from None
