"""What attention has to compute and to keep at every scale, as plain numbers that a picture in true proportion is drawn from.

Counted for one image without guidance: pairs of the training mask and of the steps of generation, the numbers and bytes of
the growing cache, and those of the state that a low-rank back end keeps in its place. var_mini/ui/views/Masks.js draws them.
"""

from __future__ import annotations

from .. import checkpoints
from ..attention import AttentionSpec
from ..config import PATCH_NUMS_256, PATCH_NUMS_512, TransformerConfig
from ..cost.complexity import pooled_ends
from ..cost.ladder import PATCH_NUMS_1024
from ..pyramid import ScalePyramid

NUMBER_BYTES = 4  # float32
# pyramids of VAR without weights, as `var-256`: patch_nums, and the published model whose heads they are counted with
PUBLISHED = {
    "var-256": (PATCH_NUMS_256, "var_d16"),
    "var-512": (PATCH_NUMS_512, "var_d36"),
    "var-1024": (PATCH_NUMS_1024, "var_d36"),
}


def memory(pyramid: ScalePyramid, transformer: TransformerConfig, attention: str | AttentionSpec) -> dict:
    """JSON values: `scales` with what each one asks and keeps, and what is said of all of them.

    Cache and state are given per head as rows x columns of numbers: a cached token is a row of its key and its value, 2 d
    numbers; a feature of a low-rank state is a row of d + 1. Bytes are those of all layers and heads.
    `smaller_from` is the first scale (from 0) at which the state takes less memory than the cache, None where none does.
    Raises ValueError for `auto`, and where the state would be too large to make sense.
    """
    spec, t = AttentionSpec.parse(attention), transformer
    if spec.method == "auto":
        raise ValueError("attention = 'auto': must be a definite back end; VAR.resolve chooses one")
    rank = spec.rank(t.head_dim)
    ends = [where.stop for where in pyramid.slices]
    kept_rows = {
        "exact": ends,
        "pool": pooled_ends(pyramid, spec.factor),
        "local": pyramid.counts,
        "budget": [min(end, spec.budget) for end in ends],
    }
    rows = kept_rows.get(spec.method, [rank] * len(ends))
    columns = t.head_dim + 1 if rank else 2 * t.head_dim
    scales = []
    for side, queries, keys, kept in zip(pyramid.patch_nums, pyramid.counts, ends, rows):
        beside = kept if spec.method == "pool" else 0  # the log-counts of pooled keys, which all heads of a layer share
        scales.append(
            {
                "side": side,
                "queries": queries,
                "keys": keys,
                "cache_bytes": NUMBER_BYTES * t.depth * t.heads * keys * 2 * t.head_dim,
                "state_rows": kept,
                "state_bytes": NUMBER_BYTES * t.depth * (t.heads * kept * columns + beside),
            }
        )
    return {
        "attention": str(spec),
        "method": spec.method,
        "constant": rank is not None,
        "tokens": pyramid.tokens,
        "pairs": pyramid.attention_pairs(),
        "layers": t.depth,
        "heads": t.heads,
        "head_dim": t.head_dim,
        "cache_columns": 2 * t.head_dim,
        "state_columns": columns,
        "scales": scales,
        "smaller_from": next((k for k, s in enumerate(scales) if s["state_bytes"] < s["cache_bytes"]), None),
    }


def published(name: str, attention: str | AttentionSpec) -> dict:
    """The same of one of PUBLISHED, with the `name` that is shown of it."""
    patch_nums, model = PUBLISHED[name]
    numbers = memory(ScalePyramid(patch_nums), checkpoints.load_config(model).transformer, attention)
    return numbers | {"name": f"VAR {name.removeprefix('var-')} px"}
