"""JSON schemas of a part's file and of gpu.json."""

from tests.cost.schemas import COUNT, NUMBER, POSITIVE, SHARE, TEXT, or_null, whole

CHECK = whole(name=TEXT, ok={"type": "boolean"}, detail={"type": "string"})
SKIPPED = {"type": "array", "items": whole(what=TEXT, why=TEXT)}
PART = whole(
    part=TEXT,
    dry={"type": "boolean"},
    state=TEXT,
    seconds={"type": "number", "minimum": 0},
    checks={"type": "array", "items": CHECK},
    skipped=SKIPPED,
    result={"type": "object"},
)


def listed(**properties) -> dict:
    return {"type": "array", "minItems": 1, "items": whole(**properties)}


ENDED = whole(dry={"type": "boolean"}, state=TEXT, seconds=NUMBER, ok={"type": "boolean"}, checks=COUNT, skipped=SKIPPED)
GPU = whole(
    parts={"type": "object", "additionalProperties": ENDED},
    machine=whole(processor=TEXT, threads=COUNT, device=TEXT, torch=TEXT, date=TEXT),
    facts=whole(device=TEXT, torch=TEXT, triton=or_null(TEXT), python=TEXT, flops_per_s={"type": "object"}, bytes_per_s=POSITIVE),
    kernels=whole(ok={"type": "boolean"}, max_error={"type": "number", "minimum": 0}, repeats_equal={"type": "boolean"}),
    generate={"type": "object", "minProperties": 1, "additionalProperties": {"type": "object", "additionalProperties": SHARE}},
    scaling=whole(
        roofline=TEXT,
        rows=listed(
            what={"enum": ["attention", "transformer"]},
            method=TEXT,
            implementation=TEXT,
            dtype={"enum": ["bfloat16", "float32"]},
            side=COUNT,
            tokens=COUNT,
            head_dim=COUNT,
            batch_heads=COUNT,
            median_s=POSITIVE,
            spread_s={"type": "number", "minimum": 0},
            peak_bytes=or_null(COUNT),
            predicted_s=POSITIVE,
            roofline_share=POSITIVE,
            speedup_vs_best_sdpa=or_null(POSITIVE),
        ),
    ),
    speed=whole(
        rows=listed(
            model=TEXT,
            attention=TEXT,
            batch=COUNT,
            eager_s=POSITIVE,
            graph_s=or_null(POSITIVE),
            speedup=or_null(POSITIVE),
            ids_equal=or_null(SHARE),
            images_per_second=POSITIVE,
        ),
    ),
    train=whole(
        rows=listed(
            preset=TEXT,
            stage={"enum": ["tokenizer", "transformer"]},
            batch=COUNT,
            compiled={"type": "boolean"},
            precision={"enum": ["no", "bf16"]},
            images_per_second=POSITIVE,
            peak_bytes=or_null(COUNT),
            loss=NUMBER,
        ),
    ),
)
