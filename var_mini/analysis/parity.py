"""Parity with the official VAR implementation, on arrays that it produced with weights known by rule.

A golden file (.npz) holds the official outputs for a small configuration. The weights are not stored: every tensor is
filled from a random generator seeded with its official name, so any implementation with the same names can be
compared number by number.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..config import ModelConfig, TokenizerConfig, TransformerConfig
from ..generation import Sampling
from ..model import Model

TOLERANCE = 2e-4
HALF = ("pos_start", "pos_1LC", "class_emb.weight", "lvl_embed.weight", "quantize.embedding.weight")


def fill_by_rule(module: nn.Module) -> None:
    """Overwrites every parameter with values that follow from its name and shape alone."""
    filled = {name: torch.from_numpy(rule(name, tuple(t.shape))) for name, t in module.state_dict().items()}
    module.load_state_dict(filled)


def rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of one tensor, float32."""
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("scale_mul_1H11"):
        x = math.log(4) + 0.3 * x
    elif len(shape) == 1:
        x = 1 + 0.1 * x if "norm" in name and name.endswith("weight") else 0.1 * x
    elif name in HALF or name.endswith("ada_gss"):
        x = 0.5 * x
    else:
        x = x / math.sqrt(math.prod(shape[1:]))
    return x.astype(np.float32)


def model_of(meta: dict) -> Model:
    """The model a golden file was made with, weights by rule."""
    tokenizer = TokenizerConfig(
        patch_nums=tuple(meta["patch_nums"]), vocab_size=meta["vocab_size"], z_channels=meta["z_channels"], channels=meta["ch"]
    )
    transformer = TransformerConfig(
        depth=meta["depth"],
        width=meta["width"],
        heads=meta["heads"],
        head_dim=meta["width"] // meta["heads"],
        num_classes=meta["num_classes"],
        shared_adaln=meta["shared_adaln"],
        attn_l2_norm=meta["attn_l2_norm"],
    )
    model = Model.build(ModelConfig("golden", tokenizer, transformer))
    fill_by_rule(model.tokenizer)
    fill_by_rule(model.transformer)
    return model.eval()


def read_golden(path: Path | str) -> tuple[dict, dict[str, np.ndarray]]:
    """Meta and arrays of a golden file. Raises ValueError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        if meta["top_k"] != 1:
            raise ValueError(f"top_k = {meta['top_k']}: must be 1, since only greedy generation can be compared")
        return meta, arrays
    except Exception as error:  # numpy and zipfile raise many kinds for a file that is no .npz
        raise ValueError(f"{path} is not a golden file: {error or type(error).__name__}") from None


@torch.inference_mode()
def compare(path: Path | str) -> dict:
    """Runs everything the golden file records and compares.

    Returns `ok`, `ids_equal`, `generated_ids_equal` and `max_abs` {array name: largest absolute difference, None where
    the shapes differ or a value is not finite}. Raises ValueError where the file is not sound.
    """
    meta, golden = read_golden(path)
    try:
        model = model_of(meta)
        ours = _outputs(model, meta, golden)
        floats = {name: difference(ours[name], golden[name]) for name in ours if ours[name].dtype.kind == "f"}
        ids_equal = bool(np.array_equal(ours["token_ids"], golden["token_ids"]))
        generated_ids_equal = bool(np.array_equal(ours["generated_ids"], golden["generated_ids"]))
    except KeyError as error:
        raise ValueError(f"{path} lacks the entry {error}") from None
    except (TypeError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"{path} has an entry that does not fit the others: {error}") from None
    ok = ids_equal and generated_ids_equal and all(d is not None and d <= TOLERANCE for d in floats.values())
    return {"ok": ok, "ids_equal": ids_equal, "generated_ids_equal": generated_ids_equal, "max_abs": floats}


def difference(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Largest absolute difference; None where the shapes differ or a value is not finite."""
    if ours.shape != theirs.shape:
        return None
    largest = float(np.abs(ours - theirs).max(initial=0.0))
    return largest if math.isfinite(largest) else None


def _outputs(model: Model, meta: dict, golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    image, label = torch.from_numpy(golden["image"]), torch.from_numpy(golden["label"])
    tokenizer, transformer = model.tokenizer, model.transformer
    f = tokenizer.encode(image)
    quantized = tokenizer.quantize.quantize(f)
    var_input = tokenizer.quantize.teacher_forcing_input(quantized.f_hat)
    sampling = Sampling(guidance=meta["cfg"], top_k=meta["top_k"])
    steps = list(model.generate(label.tolist(), [0] * len(label), sampling, keep_logits=True))
    tensors = {
        "encoder_features": f,
        "token_ids": torch.cat(quantized.token_ids, 1),
        "var_input": var_input,
        "reconstruction": tokenizer.decode(quantized.f_hat[-1]),
        "partial_means": torch.stack([tokenizer.decode(f_hat).mean() for f_hat in quantized.f_hat]),
        "teacher_forced_logits": transformer(label, var_input),
        "guided_logits": torch.cat([step.recorded("logits") for step in steps], 1),
        "generated_ids": torch.cat([step.token_ids for step in steps], 1),
        "generated_image": steps[-1].image,
    }
    return {name: tensor.numpy() for name, tensor in tensors.items()}
