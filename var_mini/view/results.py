"""Tables of the docs and of assets/results, made from the stored JSON of the commands, so that none is typed by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

# label, key, format, target as printed (empty where there is none)
QUALITY = (
    ("test PSNR", "psnr_db", "{:.2f} dB", "≥ 27.0 dB"),
    ("codebook", "codebook_used", "{:.2%}", "100 %"),
    ("test cross-entropy, nats per token", "cross_entropy", "{:.3f}", ""),
    ("class accuracy of drawn images", "class_accuracy", "{:.1%}", "≥ 88 %"),
    ("the same CNN on real test images", "classifier_real_accuracy", "{:.1%}", "≥ 91 %"),
    ("Frechet distance, drawn images", "frechet_samples", "{:.4f}", "≤ 0.06"),
    ("Frechet distance, reconstructions", "frechet_reconstructions", "{:.4f}", "≤ 0.015"),
    ("Frechet distance, real training images", "frechet_train", "{:.4f}", ""),
    ("memorised", "memorised_share", "{:.1%}", ""),
)
SPEED = (
    ("one guided image", "seconds_batch1", "{:.1f} ms", "≤ 40 ms"),
    ("one image in a batch of 16", "seconds_per_image_batch16", "{:.1f} ms", ""),
    ("share of attention", "attention_share", "{:.0%}", ""),
    ("share of the rest of the transformer", "transformer_share", "{:.0%}", ""),
    ("share of the decoder", "decoder_share", "{:.0%}", ""),
    ("share of the machine's GEMM peak", "gemm_peak_share", "{:.0%}", ""),
)

MEMORY = ("state_bytes", "reserve_bytes", "peak_bytes")

FASHION = ("fashion-28", "fashion-28-bounded")

# of a model of things and styles: label, key of drawn pictures, key of real held-out pictures, target
THINGS = (
    ("the thing is first, trained pairs", "concept_top1", "real_concept_top1", ""),
    ("the thing is among the first five, trained pairs", "concept_top5", "real_concept_top5", "≥ 85 % of real"),
    ("the thing is first, held-out pairs", "concept_top1_heldout_pairs", "real_concept_top1", ""),
    ("the thing is among the first five, held-out pairs", "concept_top5_heldout_pairs", "real_concept_top5", "≥ 85 % of real"),
    ("the style is right, trained pairs", "style_accuracy", "real_style_accuracy", "≥ 90 %"),
    ("the style is right, held-out pairs", "style_accuracy_heldout_pairs", "real_style_accuracy", ""),
    ("near copies of training pictures", "near_copy_share", "near_copy_share_real", ""),
)


def table(folder: Path | str, models: tuple[str, ...]) -> str:
    """A Markdown table of quality and speed from `evaluate-NAME.json` and `generate-NAME.json` in `folder`."""
    quality = [_stored(folder, f"evaluate-{name}") for name in models]
    speed = [_stored(folder, f"generate-{name}") for name in models]
    lines = ["| | " + " | ".join(f"`{name}`" for name in models) + " | target |", "| --- |" + " --- |" * (len(models) + 1)]
    for shown, results, factor in ((QUALITY, quality, 1), (SPEED, speed, 1000)):
        for label, key, form, target in shown:
            scale = factor if key.startswith("seconds") else 1
            values = " | ".join(form.format(result[key] * scale) for result in results)
            lines.append(f"| {label} | {values} | {target} |")
    machine = speed[0]["machine"]
    lines += [
        "",
        f"`python -m var_mini evaluate --model NAME --json` and `python -m var_mini bench generate --model NAME --json`, on "
        f"{machine['processor']}, torch {machine['torch']}, {machine['date']}; times with {machine['threads']} threads.",
    ]
    return "\n".join(lines)


def things_table(folder: Path | str, model: str = "things-64") -> str:
    """What a judge makes of drawn pictures of things in styles, beside what it makes of real held-out ones."""
    stored = _stored(folder, f"evaluate-{model}")
    lines = ["| what a judge says | drawn | real, held out | target |", "| --- | --- | --- | --- |"]
    lines += [f"| {label} | {stored[key]:.1%} | {stored[real]:.1%} | {target} |" for label, key, real, target in THINGS]
    lines += [
        f"| relative Frechet distance | {stored['frechet_samples']:.3f} | {stored['frechet_train']:.3f} (training) | ≤ 0.10 |",
        f"| cross-entropy of held-out pairs, nats per token | {stored['cross_entropy']:.3f} | | |",
        f"| PSNR of held-out pairs | {stored['psnr_db']:.2f} dB | | ≥ 27.0 dB |",
        f"| codes used | {stored['codebook_used']:.1%} | | ≥ 98 % |",
        "",
        f"`python -m var_mini evaluate --model {model} --samples {stored['samples']} --json`, "
        f"so many drawn pictures of trained pairs, {stored['machine']['date']}.",
    ]
    return "\n".join(lines)


def best_of_table(folder: Path | str, model: str = "things-64") -> str:
    """What a judge sees in the best of several drawings, from `best-of-NAME.json`."""
    stored = _stored(folder, f"best-of-{model}")
    lines = ["| pairs | drawings | thing first | among the first five | style right |", "| --- |" + " --- |" * 4]
    for row in stored["rows"]:
        told = " | ".join(f"{row[key]:.1%}" for key in ("concept_top1", "concept_top5", "style_accuracy"))
        lines.append(f"| {row['pairs']} | best of {row['best_of']} | {told} |")
    return "\n".join(lines).replace("best of 1 |", "1 |")


def error_table(folder: Path | str, model: str) -> str:
    """What every attention back end does to a model, from `error-NAME.json`."""
    result = _stored(folder, f"error-{model}")
    lines = [
        f"| `{model}` | error: median of the last scale | largest | tokens equal to exact's | class accuracy "
        "| Frechet distance | fallbacks to exact |",
        "| --- |" + " --- |" * 6,
    ]
    for name, b in result["backends"].items():
        numbers = f"{b['median_error_last_scale']:.2g} | {b['max_error']:.2g} | {b['token_agreement']:.0%}"
        drawn = f"{b['class_accuracy']:.1%} | {b['frechet_samples']:.4f} | {b['fallback_share']:.2%}"
        lines.append(f"| `{name}` | {numbers} | {drawn} |")
    return "\n".join(lines)


def ladder_table(folder: Path | str) -> str:
    """Time, share of attention and state of trained models at several resolutions, from `ladder.json`."""
    lines = [
        "| model | last map | tokens | parameters | attention | one image | share of attention | state |",
        "| --- |" + " --- |" * 7,
    ]
    for row in _stored(folder, "ladder")["rows"]:
        cells = [f"`{row['model']}`", f"{row['side']}×{row['side']}", f"{row['tokens']:,}", f"{row['parameters'] / 1e6:.1f} M"]  # noqa: RUF001
        cells += [f"`{row['attention']}`", _milliseconds(row["seconds"]), f"{row['attention_share']:.0%}"]
        lines.append("| " + " | ".join([*cells, f"{row['state_bytes'] / 1000:,.0f} kB"]) + " |")
    return "\n".join(lines)


def ablation_table(folder: Path | str, stage: str) -> str:
    """Short runs of equal time that differ in one thing, from `ablation-things-STAGE.csv`."""
    measure, form = {"tokenizer": ("psnr_test", "{:.2f} dB"), "transformer": ("test_cross_entropy", "{:.3f} nats")}[stage]
    with open(Path(folder) / f"ablation-things-{stage}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"| {stage} | parameters | steps | pictures | seconds | held-out pairs |", "| --- |" + " --- |" * 5]
    for row in rows:
        cells = [f"{int(row['parameters']) / 1e6:.2f} M", f"{int(row['steps']):,}", f"{int(row['images']):,}"]
        cells.append(f"{float(row['seconds']):.0f}")
        lines.append("| " + " | ".join([row["variant"], *cells, form.format(float(row[measure]))]) + " |")
    return "\n".join(lines)


def scaling_table(folder: Path | str, what: str, head_dim: int) -> str:
    """Speed-up over exact attention with a KV cache at every side, and fitted exponents, from `scaling.json`."""
    result = _stored(folder, "scaling")
    rows = {(r["side"], r["method"]): r for r in result["rows"] if r["what"] == what and r["head_dim"] == head_dim}
    fits = {e["method"]: e for e in result["exponents"] if e["what"] == what and e["head_dim"] == head_dim}
    sides, methods = sorted({side for side, _ in rows}), list(dict.fromkeys(method for _, method in rows))
    title = "attention of one layer" if what == "attention" else "whole transformer"
    lines = [
        f"| {title}, head dimension {head_dim}: side (tokens) | "
        + " | ".join(f"{side} ({rows[side, 'exact']['tokens']:,})" for side in sides)
        + " | time ~ n^e, e = |",
        "| --- |" + " --- |" * (len(sides) + 1),
    ]
    for method in methods:
        cells = [
            _milliseconds(rows[side, method]["median_s"])
            if method == "exact"
            else f"{rows[side, method]['speedup_vs_exact']:.2g}x"
            for side in sides
        ]
        fit = fits[method]
        cells.append(f"{fit['exponent']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})")
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def memory_table(folder: Path | str, side: int = 64) -> str:
    """What one layer's state, its reserve and the whole loop take at one side, from `scaling.json`."""
    rows = [r for r in _stored(folder, "scaling")["rows"] if r["what"] == "attention" and r["side"] == side]
    dims, methods = sorted({r["head_dim"] for r in rows}), list(dict.fromkeys(r["method"] for r in rows))
    columns = [f"d = {d}: {name}" for d in dims for name in ("state", "reserve", "peak of the loop")]
    lines = [f"| side {side} ({rows[0]['tokens']:,} tokens) | " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " --- |" * len(columns))
    for method in methods:
        sizes = [r[key] for d in dims for r in rows if (r["head_dim"], r["method"]) == (d, method) for key in MEMORY]
        lines.append(f"| `{method}` | " + " | ".join("" if not size else f"{size / 1000:,.0f} kB" for size in sizes) + " |")
    return "\n".join(lines)


def raster_table(folder: Path | str) -> str:
    """Raster order against next-scale prediction, from `raster.json`."""
    result = _stored(folder, "raster")
    rows = {(r["side"], r["method"]): r for r in result["rows"]}
    fits = {e["method"]: e for e in result["exponents"]}
    sides, methods = sorted({side for side, _ in rows}), list(dict.fromkeys(method for _, method in rows))
    last = sides[-1]
    lines = [
        "| side of the last map | "
        + " | ".join(map(str, sides))
        + f" | steps at {last} | pairs at {last} | measured e | theory |",
        "| --- |" + " --- |" * (len(sides) + 4),
    ]
    for method in methods:
        row = rows[last, method]
        cells = ["" if rows[s, method]["seconds"] is None else _milliseconds(rows[s, method]["seconds"]) for s in sides]
        cells += [f"{row['steps']:,}", f"{row['pairs']:,}" if row["pairs"] else ""]
        cells += [f"{fits[method]['exponent']:.2f}", str(fits[method]["theory"])] if method in fits else ["", ""]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    ratios = " | ".join(
        f"{result['speedup_vs_cached_raster'][str(s)]:.1f}x" if str(s) in result["speedup_vs_cached_raster"] else ""
        for s in sides
    )
    lines.append(f"| `raster-cached` over `var-cached` | {ratios} | | | | |")
    return "\n".join(lines)


def peers_table(folder: Path | str) -> str:
    """Each peer's configuration, and what of ours is both more accurate and faster, from `peers.json`."""
    result = _stored(folder, "peers")
    rows = {(r["tokens"], r["head_dim"], r["logit_bound"], r["method"]): r for r in result["rows"]}
    sizes = sorted({r["tokens"] for r in result["rows"]})
    bound, head_dim = min(r["logit_bound"] for r in result["rows"]), max(r["head_dim"] for r in result["rows"])
    lines = [
        f"| head dimension {head_dim}, logits within {bound:g} | "
        + " | ".join(f"{n:,} tokens: error, time" for n in sizes)
        + " |",
        "| --- |" + " --- |" * len(sizes),
    ]
    for method in dict.fromkeys(r["method"] for r in result["rows"] if r["head_dim"] == head_dim):
        found = [rows[n, head_dim, bound, method] for n in sizes]
        name = f"{method} (peer)" if found[0]["peer"] else f"`{method}`"
        lines.append(f"| {name} | " + " | ".join(f"{r['error']:.2g}, {_milliseconds(r['seconds'])}" for r in found) + " |")
    total, beaten = len(result["beaten"]), sum(b["by"] is not None for b in result["beaten"])
    return "\n".join(
        [
            *lines,
            "",
            f"Of {total} comparisons (every size, head dimension and bound) one of ours is more accurate and faster in {beaten}.",
        ]
    )


def live_table(folder: Path | str) -> str:
    """The models drawn in a browser beside torch, one thread each: times, and runs with the very ids of torch."""
    lines = ["| model | attention | equal runs | browser | torch | loaded in | at most |", "| --- |" + " --- |" * 6]
    stored = _stored(folder, "live")
    for name, model in stored["models"].items():
        for attention, run in model["attention"].items():
            equal, ties = f"{run['ids_equal']} of {run['runs']}", run["near_ties"]
            equal += f" and {ties} near tie{'s' * (ties > 1)}" if ties else ""
            cells = [f"`{name}`", f"`{attention}`", equal, _milliseconds(run["seconds"]), _milliseconds(run["torch_seconds"])]
            lines.append("| " + " | ".join([*cells, _milliseconds(model["load_s"]), f"{model['memory_mb']:.0f} MB"]) + " |")
    machine = stored["machine"]
    lines += [
        "",
        f"`python -m demo.live --check --json`, on {machine['processor']}, torch {machine['torch']}, {machine['date']}.",
    ]
    return "\n".join(lines)


def all_tables(folder: Path | str) -> list[str]:
    """Every table of the docs and of assets/results/README.md."""
    scaling = [scaling_table(folder, what, d) for what in ("attention", "transformer") for d in (8, 16)]
    errors = [error_table(folder, name) for name in ("fashion-28-bounded", "fashion-28")]
    memory, raster, peers = memory_table(folder), raster_table(folder), peers_table(folder)
    things = [
        things_table(folder),
        best_of_table(folder),
        ladder_table(folder),
        *(ablation_table(folder, stage) for stage in ("tokenizer", "transformer")),
    ]
    return [table(folder, FASHION), *things, *errors, *scaling, memory, raster, peers, live_table(folder)]


def _stored(folder: Path | str, name: str) -> dict:
    return json.loads((Path(folder) / f"{name}.json").read_text())


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
