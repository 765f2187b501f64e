"""A checkpoint for the engine in JavaScript: `model.json` beside the unchanged weights and landmarks.

The JSON holds the configuration, and all that is easier to take from here than to compute again in a browser: the matrices of
bicubic enlarging and of averaging, the phi of every scale, a colour for every code, and the hashes of the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

from .. import checkpoints
from ..attention.choose import POLY_BOUND
from ..config import ModelConfig
from ..files import atomic_write
from ..tokenizer.colours import code_colours
from ..tokenizer.quantizer import phi_index

FORMAT = "var-mini-browser-1"
CONFIG = "model.json"
DIGITS = 9  # of a decimal number that gives a float32 back exactly
PANEL = 8  # the engine's product works on so many columns at a time


def export(name: str | Path, folder: Path | str) -> dict:
    """Writes the files of a model, by its name or folder, into FOLDER/NAME; returns its entry in the list of models.

    Raises ValueError where there is no such model, or the engine cannot compute it: it needs shared AdaLN, unit queries and keys,
    a tokenizer without attention, and widths that are multiples of 8.
    """
    source, config = checkpoints.find(name), checkpoints.load_config(name)
    check_config(config)
    target = Path(folder) / config.name
    target.mkdir(parents=True, exist_ok=True)
    files = [checkpoints.WEIGHTS]
    if (source / checkpoints.CALIBRATION).is_file():
        files.append(checkpoints.CALIBRATION)
    for file in files:
        shutil.copyfile(source / file, target / file)
    described = description(config, source)
    with atomic_write(target / CONFIG) as path:
        path.write_text(json.dumps(described, separators=(",", ":")))
    facts = {file: _facts(target / file) for file in (CONFIG, *files)}
    return {
        **outline(config),
        "attentions": ["exact", "poly-2", *(f"landmark-{m}" for m in described["landmarks"])],
        "download_kb": round(sum(fact["bytes"] for fact in facts.values()) / 1000),
        "files": facts,
    }


def outline(config: ModelConfig) -> dict:
    """What the front end must know of a model before it is loaded, by its configuration alone."""
    t, c, s = config.tokenizer, config.transformer, config.sampling
    return {
        "name": config.name,
        "shown": config.name,
        "patch_nums": list(config.pyramid.patch_nums),
        "size": t.image_size,
        "codes": t.vocab_size,
        "layers": c.depth,
        "heads": c.heads,
        "tokens": config.pyramid.tokens,
        "class_names": [config.class_name(label) for label in range(c.num_classes)],
        "class_groups": list(config.class_groups),
        "style_names": [config.style_name(style) for style in range(c.num_styles)],
        "sampling": {"guidance": s.guidance, "temperature": s.temperature, "top_k": s.top_k, "top_p": s.top_p},
        "bounded": c.scale_cap <= POLY_BOUND,
    }


def description(config: ModelConfig, source: Path) -> dict:
    """The content of `model.json`."""
    t, values = config.tokenizer, config.to_dict()
    side = config.pyramid.side
    with safe_open(source / checkpoints.WEIGHTS, framework="pt") as file:
        colours = code_colours(file.get_tensor("tokenizer.quantize.embedding.weight").float())
    return {
        "format": FORMAT,
        **values,
        **{name: outline(config)[name] for name in ("class_names", "style_names")},
        "phi_of_scale": phi_index(config.pyramid, t.phi_count),
        "bicubic": [_listed(bicubic_matrix(small, side)) for small in config.pyramid.patch_nums],
        "area": [_listed(area_matrix(side, small)) for small in config.pyramid.patch_nums],
        "landmarks": _landmarks(source / checkpoints.CALIBRATION),
        "colours": base64.b64encode(colours.tobytes()).decode(),
    }


def bicubic_matrix(small: int, side: int) -> torch.Tensor:
    """M of shape (side, small): a map X of side `small` is enlarged to M X M^T, as `F.interpolate` does it."""
    columns = torch.eye(small).view(1, small, small, 1)  # as channels
    return F.interpolate(columns, size=(side, 1), mode="bicubic")[0, :, :, 0].T


def area_matrix(side: int, small: int) -> torch.Tensor:
    """M of shape (small, side): a map X is averaged to M X M^T."""
    return F.interpolate(torch.eye(side)[None], size=small, mode="area")[0].T


def _listed(matrix: torch.Tensor) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in matrix.flatten().tolist()]


def _landmarks(path: Path) -> list[int]:
    """How many landmarks a head may have, from the names of the tables in a calibration file."""
    if not path.is_file():
        return []
    with safe_open(path, framework="pt") as file:
        return sorted(int(key.partition(".")[2]) for key in file.keys() if key.startswith("landmarks."))  # noqa: SIM118


def _facts(path: Path) -> dict:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def check_config(config: ModelConfig) -> None:
    """Raises ValueError where the engine cannot compute such a model."""
    t, c = config.tokenizer, config.transformer
    if not (c.shared_adaln and c.attn_l2_norm) or t.attention:
        raise ValueError(
            f"model = {config.name!r}: the engine in JavaScript needs shared AdaLN, unit queries and keys, and a tokenizer "
            "without attention"
        )
    for name, value in (("width", c.width), ("head_dim", c.head_dim), ("vocab_size", t.vocab_size)):
        if value % PANEL:
            raise ValueError(f"{name} = {value}: must be a multiple of {PANEL} for the engine in JavaScript")
