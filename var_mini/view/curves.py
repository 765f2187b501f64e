"""Figures of the benches, drawn from the JSON that the commands print and the repository stores, never from typed numbers."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from .. import validate
from ..files import FIGURE_ENDINGS, writable_file

# Okabe and Ito's colours, which colour-blind readers can tell apart; a method has one colour in every figure
COLOURS = {
    "exact": "#000000",
    "exact-uncached": "#7f7f7f",
    "poly-2": "#D55E00",
    "poly-2-calibrated": "#E69F00",
    "poly-4": "#A0410D",
    "poly-4-calibrated": "#C28100",
    "landmark-16": "#7FC8F0",
    "landmark-32": "#56B4E9",
    "landmark-64": "#0072B2",
    "landmark-128": "#00456B",
    "pool-2": "#009E73",
    "pool-4": "#7BCDB0",
    "raster": "#B5659A",
    "raster-cached": "#CC79A7",
    "var": "#7f7f7f",
    "var-cached": "#000000",
    "var-poly-2": "#D55E00",
    "var-landmark-32": "#56B4E9",
}
FAMILIES = {"poly": "#D55E00", "landmark": "#0072B2", "performer": "#CC79A7", "taylor": "#E69F00", "nystrom": "#009E73"}
OTHER = "#999999"
PUBLISHED = {16: "256 px", 32: "512 px", 64: "1024 px"}  # last maps of the published models


def check_plot(what: str, path: Path) -> None:
    """Raises ValueError where `plot` would fail: before a long measurement, not after it."""
    validate.one_of("plot of bench", what, FIGURES)
    writable_file("plot", path, FIGURE_ENDINGS)


def plot(what: str, result: dict, path: Path) -> None:
    """Draws the result of `bench what` into a PNG or SVG file."""
    check_plot(what, path)
    FIGURES[what](result).savefig(path)


def scaling_figure(result: dict) -> Figure:
    """Seconds against side, log-log: attention alone above, the whole transformer below, a column per head dimension."""
    kinds, dims = ("attention", "transformer"), sorted({row["head_dim"] for row in result["rows"]})
    figure = Figure(figsize=(5.6 * len(dims), 8.6), dpi=110, layout="constrained")
    axes = figure.subplots(len(kinds), len(dims), squeeze=False, sharex=True, sharey="row")
    titles = {"attention": "attention of one layer", "transformer": "whole transformer"}
    for line, what in enumerate(kinds):
        for column, head_dim in enumerate(dims):
            axis = axes[line, column]
            rows = [r for r in result["rows"] if r["what"] == what and r["head_dim"] == head_dim]
            fits = {e["method"]: e for e in result["exponents"] if e["what"] == what and e["head_dim"] == head_dim}
            curves = {
                m: sorted((r["side"], r["median_s"], r["spread_s"]) for r in rows if r["method"] == m) for m in _methods(rows)
            }
            for method, points in curves.items():
                fit = fits.get(method)
                label = f"{method}  n^{fit['exponent']:.2f} ± {(fit['high'] - fit['low']) / 2:.2f}" if fit else method
                x, y, spread = zip(*points)
                style = {"color": COLOURS.get(method, OTHER), "linestyle": "--" if method.endswith("uncached") else "-"}
                axis.errorbar(x, y, yerr=[s / 2 for s in spread], marker="o", markersize=4, linewidth=1.6, label=label, **style)
            axis.set_title(f"{titles[what]}, head dimension {head_dim}", fontsize=11)
            _log_axes(axis, sorted({r["side"] for r in rows}))
            axis.legend(fontsize=8, frameon=False, loc="upper left")
            if line == len(kinds) - 1:
                tokens = {r["side"]: r["tokens"] for r in rows}
                axis.set_xlabel("side of the last token map (tokens of all scales)")
                axis.set_xticklabels([f"{side}\n({tokens[side]:,})" for side in sorted(tokens)], fontsize=8)
            for side, name in PUBLISHED.items():
                if side in {r["side"] for r in rows}:
                    axis.axvline(side, color="0.85", linewidth=0.8, zorder=0)
                    axis.text(side, 0.01, f" {name}", transform=axis.get_xaxis_transform(), fontsize=7, color="0.5")
        axes[line, 0].set_ylabel("seconds, one image")
    _footer(figure, result, f"weights: {result['weights']}; fits over the upper half of the sides, 95 % intervals")
    return figure


def raster_figure(result: dict) -> Figure:
    """Seconds and sequential steps against side: raster order and next-scale prediction on the same blocks."""
    figure = Figure(figsize=(10.4, 4.8), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    rows, fits = result["rows"], {e["method"]: e for e in result["exponents"]}
    for method in _methods(rows):
        points = sorted((r["side"], r["seconds"], r["steps"]) for r in rows if r["method"] == method and r["seconds"] is not None)
        if not points:
            continue
        fit = fits.get(method)
        label = f"{method}  n^{fit['exponent']:.2f} (theory, attention alone: {fit['theory']})" if fit else method
        x, seconds, steps = zip(*points)
        style = {"color": COLOURS.get(method, OTHER), "linestyle": "--" if method in ("raster", "var") else "-"}
        left.plot(x, seconds, marker="o", markersize=4, label=label, **style)
        if method.endswith("-cached"):
            right.plot(x, steps, marker="o", markersize=4, label=method.removesuffix("-cached"), **style)
    for axis, name in ((left, "seconds, one image"), (right, "sequential steps")):
        _log_axes(axis, sorted({r["side"] for r in rows}))
        axis.set_xlabel("side of the last token map")
        axis.set_ylabel(name)
        axis.legend(fontsize=8, frameon=False, loc="upper left")
    _footer(figure, result, "random weights")
    return figure


def peers_figure(result: dict) -> Figure:
    """Error against seconds, one panel per number of tokens and head dimension: ours filled, peers hollow."""
    rows = result["rows"]
    sizes, dims = sorted({r["tokens"] for r in rows}), sorted({r["head_dim"] for r in rows})
    bound = min(r["logit_bound"] for r in rows)
    figure = Figure(figsize=(4.2 * len(sizes), 3.9 * len(dims)), dpi=110, layout="constrained")
    axes = figure.subplots(len(dims), len(sizes), squeeze=False, sharey=True)
    for line, head_dim in enumerate(dims):
        for column, tokens in enumerate(sizes):
            axis = axes[line, column]
            shown = [r for r in rows if (r["tokens"], r["head_dim"], r["logit_bound"]) == (tokens, head_dim, bound)]
            for family in dict.fromkeys(r["method"].partition("-")[0] for r in shown):
                members = sorted((r["seconds"], r["error"], r["peer"]) for r in shown if r["method"].partition("-")[0] == family)
                x, y, peer = zip(*members)
                if family == "exact":
                    axis.axvline(x[0], color="0.6", linewidth=1, label="exact (error: rounding)")
                    continue
                style = {"marker": "D", "fillstyle": "none", "linestyle": ":"} if peer[0] else {"marker": "o"}
                axis.plot(x, y, color=FAMILIES.get(family, OTHER), label=family, linewidth=1, **style)
            axis.set(xscale="log", yscale="log", title=f"{tokens:,} tokens, head dimension {head_dim}, logits within {bound:g}")
            axis.title.set_fontsize(9)
            axis.margins(x=0.25)
        axes[line, 0].set_ylabel("relative output error")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=7, frameon=False, fontsize=9)
    _footer(
        figure, result, "left and below is better; filled: this project; hollow: other packages; a line joins ranks of one method"
    )
    return figure


def error_figure(result: dict) -> Figure:
    """Attention error of every layer and head, and what it does to the images, one row per back end."""
    backends = result["backends"]
    names = list(backends)
    figure = Figure(figsize=(10.4, 0.42 * len(names) + 1.5), dpi=110, layout="constrained")
    errors, agreement, accuracy, frechet = figure.subplots(1, 4, sharey=True, width_ratios=(2.2, 1, 1, 1))
    for row, name in enumerate(names):
        values, colour = backends[name], COLOURS.get(name, OTHER)
        flat = [e for layer in values["error"] for head in layer for e in head[1:] if e > 0]
        spread = [row + 0.28 * math.sin(2.4 * i) for i in range(len(flat))]
        errors.scatter(flat, spread, s=3, color=colour, alpha=0.35, linewidths=0)
        if values["median_error_last_scale"] > 0:
            errors.plot(values["median_error_last_scale"], row, marker="|", markersize=16, markeredgewidth=2, color=colour)
        for axis, key, form in (
            (agreement, "token_agreement", "{:.0%}"),
            (accuracy, "class_accuracy", "{:.1%}"),
            (frechet, "frechet_samples", "{:.4f}"),
        ):
            axis.barh(row, values[key], color=colour, height=0.55)
            axis.text(values[key], row, " " + form.format(values[key]), va="center", fontsize=8)
    errors.set_yticks(range(len(names)), names)
    errors.invert_yaxis()
    errors.set(
        xscale="log",
        title="relative error of the attention output: every layer, head and scale\n"
        "but the first, whose one key leaves no choice; bar: median of the last",
    )
    for axis, title in (
        (agreement, "tokens equal to\nexact's"),
        (accuracy, "class accuracy"),
        (frechet, "Frechet distance\n(relative)"),
    ):
        axis.set_title(title)
        axis.margins(x=0.45)
        axis.set_xticks([])
    for axis in (errors, agreement, accuracy, frechet):
        axis.title.set_fontsize(9)
        axis.spines[["top", "right"]].set_visible(False)
    _footer(figure, result, f"{result['model']}, {result['samples']:,} images per back end from the same seeds")
    return figure


def laws_figure(result: dict) -> Figure:
    """Held-out loss against the size of the blocks, log-log, and the fitted law."""
    figure = Figure(figsize=(6.4, 3.9), dpi=110, layout="constrained")
    axis, rows, fit = figure.subplots(), result["rows"], result["fit"]
    sizes, losses = [row["parameters"] for row in rows], [row["cross_entropy"] for row in rows]
    axis.errorbar(sizes, losses, yerr=[2 * row["standard_error"] for row in rows], fmt="o", color="#0072B2", label="trained here")
    for row in rows:
        axis.annotate(f" width {row['width']}", (row["parameters"], row["cross_entropy"]), fontsize=8, va="bottom")
    ends = sizes[0] / 1.3, sizes[-1] * 1.3
    along = [ends[0] * (ends[1] / ends[0]) ** (i / 60) for i in range(61)]
    alpha = result["alpha"]
    interval = f"{alpha['low']:.2f} to {alpha['high']:.2f}"
    told = f"E + a N^-alpha: E = {fit['floor']:.2f}, alpha = {fit['alpha']:.2f} ({interval})"
    axis.plot(along, [fit["floor"] + fit["factor"] * n ** -fit["alpha"] for n in along], color="#D55E00", label=told)
    axis.set(xscale="log", yscale="log", xlabel="N: weights of the blocks", ylabel="held-out cross-entropy, nats per token")
    axis.yaxis.set_major_locator(MaxNLocator(6))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:.2f}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    note = f"{result['tokens']:,} tokens each, one seed; bars: two standard errors; interval: resampled pictures alone"
    _footer(figure, result, note)
    return figure


def _methods(rows: list[dict]) -> list[str]:
    return list(dict.fromkeys(r["method"] for r in rows))


def _log_axes(axis, sides: list[int]) -> None:
    axis.set(xscale="log", yscale="log")
    axis.xaxis.set_major_locator(FixedLocator(sides))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xticklabels([str(side) for side in sides])
    axis.grid(axis="y", color="0.92")
    axis.spines[["top", "right"]].set_visible(False)


def _footer(figure: Figure, result: dict, note: str) -> None:
    machine = result.get("machine", {})
    facts = {**machine, "threads": result.get("threads_timed") or machine.get("threads")}
    text = "{processor}, {device}, threads: {threads}, torch {torch}, {date}".format(**facts) if machine else ""
    parts = [part for part in (note, text) if part]
    fits = len(". ".join(parts)) < 18 * figure.get_figwidth()  # characters of this size
    figure.supxlabel((". " if fits else "\n").join(parts), fontsize=7.5, color="0.4")


FIGURES = {"error": error_figure, "scaling": scaling_figure, "peers": peers_figure, "raster": raster_figure, "laws": laws_figure}
