"""JSON schemas of what every bench prints: the keys by which the project measures itself. Keys may be added, not renamed."""

import json

import jsonschema

POSITIVE = {"type": "number", "exclusiveMinimum": 0}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
NUMBER = {"type": "number"}


def rows(**properties) -> dict:
    return {"type": "array", "minItems": 1, "items": {"type": "object", "required": list(properties), "properties": properties}}


def whole(**properties) -> dict:
    return {"type": "object", "required": list(properties), "properties": properties}


def or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


BACKEND = whole(
    median_error={"type": "number", "minimum": 0},
    max_error={"type": "number", "minimum": 0},
    token_agreement=SHARE,
    class_accuracy=SHARE,
    frechet_samples={"type": "number", "minimum": 0},
    fallback_share=SHARE,
)
EXPONENT = {"exponent": NUMBER, "low": NUMBER, "high": NUMBER, "method": TEXT}
SCHEMAS = {
    "generate": whole(
        seconds_batch1=POSITIVE,
        seconds_per_image_batch16=POSITIVE,
        attention_share=SHARE,
        transformer_share=SHARE,
        decoder_share=SHARE,
        gemm_peak_share=SHARE,
    ),
    "error": whole(
        backends={"type": "object", "required": ["exact"], "minProperties": 2, "additionalProperties": BACKEND},
        model=TEXT,
        samples=COUNT,
    ),
    "ladder": whole(
        rows=rows(
            model=TEXT,
            image_size=COUNT,
            side=COUNT,
            tokens=COUNT,
            attention=TEXT,
            seconds=POSITIVE,
            spread_s={"type": "number", "minimum": 0},
            attention_share=SHARE,
            state_bytes=COUNT,
        ),
        repeats=COUNT,
    ),
    "scaling": whole(
        rows=rows(
            head_dim=COUNT,
            side=COUNT,
            tokens=COUNT,
            method=TEXT,
            what={"enum": ["attention", "transformer"]},
            median_s=POSITIVE,
            spread_s={"type": "number", "minimum": 0},
            speedup_vs_exact=POSITIVE,
            state_bytes=COUNT,
            peak_bytes=or_null(COUNT),
        ),
        exponents={"type": "array", "items": {"type": "object", "required": [*EXPONENT, "head_dim"], "properties": EXPONENT}},
        weights=TEXT,
    ),
    "train": whole(
        seconds=whole(forward=POSITIVE, loss=POSITIVE, backward=POSITIVE, optimizers=POSITIVE, data=POSITIVE),
        images_per_second=POSITIVE,
        optimizer_share=SHARE,
        preset=TEXT,
        stage={"enum": ["transformer", "tokenizer"]},
        batch_size=COUNT,
    ),
    "peers": whole(
        rows=rows(
            tokens=COUNT,
            head_dim=COUNT,
            logit_bound=POSITIVE,
            method=TEXT,
            peer={"type": "boolean"},
            error={"type": "number", "minimum": 0},
            seconds=POSITIVE,
        ),
    ),
    "raster": whole(
        rows=rows(side=COUNT, method=TEXT, steps=COUNT, pairs=or_null(COUNT), seconds=or_null(POSITIVE)),
        exponents={"type": "array", "items": {"type": "object", "required": [*EXPONENT, "theory"], "properties": EXPONENT}},
        speedup_vs_cached_raster={"type": "object", "additionalProperties": POSITIVE},
    ),
}
MACHINE = whole(processor=TEXT, threads=COUNT, device=TEXT, torch=TEXT, date=TEXT)


def check(name: str, result: dict, machine: bool = False) -> None:
    """Raises jsonschema.ValidationError unless `result` is what `bench name` prints (with `machine`: facts included)."""
    result = json.loads(json.dumps(result, allow_nan=False))  # as it is printed: no NaN, string keys
    jsonschema.validate(result, SCHEMAS[name])
    if machine:
        jsonschema.validate(result["machine"], MACHINE)
