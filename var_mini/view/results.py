"""The README's table of results, made from the stored JSON of the commands, so that no figure is typed by hand."""

from __future__ import annotations

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


def table(folder: Path | str, models: list[str]) -> str:
    """A Markdown table of quality and speed from `evaluate-NAME.json` and `generate-NAME.json` in `folder`."""
    folder = Path(folder)
    quality = [json.loads((folder / f"evaluate-{name}.json").read_text()) for name in models]
    speed = [json.loads((folder / f"generate-{name}.json").read_text()) for name in models]
    lines = ["| | " + " | ".join(f"`{name}`" for name in models) + " | target |", "| --- |" + " --- |" * (len(models) + 1)]
    for rows, results, factor in ((QUALITY, quality, 1), (SPEED, speed, 1000)):
        for label, key, form, target in rows:
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
