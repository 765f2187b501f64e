"""Saving and loading models: this project's checkpoints, and the published weights of VAR.

A checkpoint is a folder with `model.safetensors` (both parts, prefixed `tokenizer.` and `transformer.`), `config.json` and,
once calibrated, `calibration.safetensors` (landmarks and coefficients of the low-rank back ends). Published weights are
state dicts in .pth files; they are read with `weights_only`, so no code in them can run, and every name and shape is checked
before anything is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from . import validate
from .config import PATCH_NUMS_512, ModelConfig, Sampling, TokenizerConfig, TransformerConfig
from .model import Model
from .precision import dtype_of
from .tokenizer import VQVAE


def _assets() -> Path:
    """The folder of shipped models, samples and results: var_mini/assets where the package was installed, else the repository's.

    The first exists in an installed package alone, so a copy of the repository always uses its own.
    """
    installed = Path(str(files(__package__))) / "assets"
    return installed if installed.is_dir() else installed.parent.parent / "assets"


ASSETS = _assets()
CONFIG, WEIGHTS, CALIBRATION = "config.json", "model.safetensors", "calibration.safetensors"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed onto it when the block ends well and removed when it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# -- this project's checkpoints ------------------------------------------------------------------------------------


def save(model: Model, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
    """Writes a checkpoint folder. Weights are stored as `dtype` (float16 halves the size) and computed in float32."""
    parts = {"tokenizer": model.tokenizer, "transformer": model.transformer}
    _write(Path(folder), parts, model.config.to_dict(), dtype)


def save_tokenizer(tokenizer: VQVAE, folder: Path | str) -> None:
    """Writes a tokenizer alone: what stage one of training hands to stage two. Weights stay float32."""
    _write(Path(folder), {"tokenizer": tokenizer}, {"tokenizer": asdict(tokenizer.config)}, torch.float32)


def load(
    name: str | Path, device: torch.device | str = "cpu", calibrated: bool = True, dtype: torch.dtype | str = torch.float32
) -> Model:
    """Loads a shipped model by name, a checkpoint folder by path, or a published model (`var_d16` ...) by name.

    Landmarks and coefficients come along where the folder has them, unless `calibrated` is False. `dtype` bfloat16 or float16
    makes most weights 16-bit (see `precision`): bfloat16 is fast on processors with units for it (AMX), both are on GPUs.

    Raises ValueError where there is no such model, or where the files are truncated, foreign or do not fit.
    """
    if str(name) in OFFICIAL:
        return load_official(str(name), device=device, dtype=dtype)
    dtype_of(dtype)  # refused before files are read
    config, folder = load_config(name), find(name)
    with _values_from_file():
        model = Model.build(config)
    parts = _read_parts(folder)
    for part, module in (("tokenizer", model.tokenizer), ("transformer", model.transformer)):
        _load_checked(module, parts[part], f"{folder / WEIGHTS} ({part})")
    if calibrated and (folder / CALIBRATION).is_file():
        _load_calibration(model, folder / CALIBRATION)
    return model.eval().to(device, dtype)


@contextlib.contextmanager
def _values_from_file() -> Iterator[None]:
    """Modules built here have initial values that a file replaces; the global generator is left as it was.

    On the meta device they would have none, but torch imports its compiler for arithmetic there, which takes seconds.
    """
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        yield


def load_config(name: str | Path) -> ModelConfig:
    """The configuration of a model, without its weights. Takes the same names as `load`."""
    if str(name) in OFFICIAL:
        return official_config(str(name))
    return ModelConfig.from_dict(_read_config(find(name)))


def load_tokenizer(name: str | Path) -> VQVAE:
    """Only the tokenizer of a checkpoint, by the name of a shipped model or by its folder."""
    if str(name) in OFFICIAL:
        raise ValueError(f"tokenizer = {str(name)!r}: published models cannot be trained further here; name a checkpoint folder")
    folder = find(name)
    config = _read_config(folder)
    config = TokenizerConfig.from_dict(config.get("tokenizer") if isinstance(config, dict) else None)
    with _values_from_file():
        tokenizer = VQVAE(config)
    _load_checked(tokenizer, _read_parts(folder)["tokenizer"], f"{folder / WEIGHTS} (tokenizer)")
    return tokenizer.eval()


def save_calibration(model: Model, folder: Path | str) -> None:
    """Writes the landmarks (float16) and coefficients (float32) of a calibrated model beside its weights."""
    tensors = {
        f"{kind}.{number}": table.to("cpu", dtype).contiguous()
        for kind, dtype in (("landmarks", torch.float16), ("coefficients", torch.float32))
        for number, table in model.transformer.calibrated(kind).items()
    }
    with atomic_write(Path(folder) / CALIBRATION) as path:
        save_file(tensors, path)


def _load_calibration(model: Model, path: Path) -> None:
    setters = {"landmarks": model.transformer.set_landmarks, "coefficients": model.transformer.set_coefficients}
    for key, table in _read_tensors(path).items():
        kind, _, number = key.partition(".")
        sizes = {"landmarks": list(table.shape[2:3]), "coefficients": [d - 1 for d in table.shape[2:3]]}.get(kind)
        if not sizes or number != str(sizes[0]):
            raise ValueError(f"{path} has a table of no known kind: {validate.shown(key)} of shape {tuple(table.shape)}")
        if table.dtype not in FLOATS or not torch.isfinite(table).all():
            raise ValueError(f"{path}: {key} is not a finite floating-point table")
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


def _read_config(folder: Path) -> object:
    try:
        return json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:  # ValueError: neither UTF-8 nor JSON
        raise ValueError(f"{folder / CONFIG} is not a readable JSON file: {error}") from None


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None


def _read_parts(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of a checkpoint file, by part."""
    tensors = _read_tensors(folder / WEIGHTS)
    parts: dict[str, dict[str, torch.Tensor]] = {"tokenizer": {}, "transformer": {}}
    for key, tensor in tensors.items():
        part, _, rest = key.partition(".")
        if part not in parts:
            raise ValueError(f"{folder / WEIGHTS} has a tensor of no known part: {validate.shown(key)}")
        parts[part][rest] = tensor
    return parts


def available() -> list[str]:
    """Names of the shipped models."""
    return sorted(p.parent.name for p in ASSETS.glob(f"*/{CONFIG}") if (p.parent / WEIGHTS).exists())


def find(name: str | Path) -> Path:
    """The folder of a checkpoint, by the name of a shipped model or by its path."""
    with contextlib.suppress(OSError, ValueError):  # too long for a path, or a NUL in it
        for folder in (ASSETS / str(name), Path(str(name))):
            if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
                return folder
    known = ", ".join(available() + sorted(OFFICIAL))
    given = validate.shown(str(name) if isinstance(name, Path) else name)
    raise ValueError(f"model = {given}: must be one of {known}, or a folder with {CONFIG} and {WEIGHTS}")


def _load_checked(module: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """load_state_dict after naming every missing, extra, misshapen or non-finite tensor. `module` may be on meta."""
    wanted = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    faults = [f"missing {name}" for name in wanted if name not in state]
    faults += [f"extra {name}" for name in state if name not in wanted]
    for name, tensor in state.items():
        if name in wanted and tuple(tensor.shape) != wanted[name]:
            faults.append(f"{name} has shape {tuple(tensor.shape)}, must be {wanted[name]}")
        elif tensor.dtype not in FLOATS or tensor.layout != torch.strided or not torch.isfinite(tensor).all():
            faults.append(f"{name} is not a dense, finite floating-point tensor")
    if faults:
        raise ValueError(f"{where} does not fit: {'; '.join(faults)}")
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)


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
    config, dtype = official_config(name), dtype_of(dtype)
    with torch.device("meta"):
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
    if not isinstance(state, dict) or not all(isinstance(n, str) and isinstance(t, torch.Tensor) for n, t in state.items()):
        raise ValueError(f"{path} is not a state dict: must map names to tensors")
    own = {name: t for name, t in state.items() if name.rpartition(".")[2] not in BUFFERS}
    _load_checked(module, own, str(path))


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
