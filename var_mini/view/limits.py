"""The tables of docs/limits.md, made from the stored JSON of the experiments in var_mini/theory; none is typed by hand.

`python -m var_mini.view.limits` makes them anew in the page.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from statistics import mean

from ..checkpoints import ASSETS

PLACES = {  # experiment -> (arXiv number, the statement in one line, what is compared with what, what it does not show)
    "var_pass": (
        "2501.04377",
        "With d = O(log n), a pass takes n^(2+o(1)) while entries stay o(√log n); for every δ > 0 there is a C: at C√log n, "
        "no n^(4-δ) unless SETH fails",
        "pairs counted one by one; float64 loops in NumPy; cubic kernel in closed form",
        "The threshold: √log of the tokens is 2.4 at n = 16 and 3.3 at n = 256. An error that grows with R is not hardness",
    ),
    "circuits": (
        "2501.04299",
        "VAR with constantly many layers and scales, width O(n) and poly(n)-bit numbers lies in TC0; so, unless TC0 = NC1, it "
        "solves no NC1-complete problem",
        "whole-number attention; every input for small n; sympy's derived series",
        "Anything at fixed n, and TC0 ≠ NC1. F20 is solvable, hence in TC0, and training fails on it all the same: failing to "
        "learn proves nothing",
    ),
    "lora": (
        "2406.03136",
        "With d = O(log L) and norms below one threshold, gradients of LoRA are approximated in almost linear time; above it, no "
        "sub-quadratic algorithm unless SETH fails",
        "explicit formula in float64 with its L x L matrices, which tests compare with autograd",
        "The threshold, and the paper's own algorithm: the chain is ours. One random task, one seed",
    ),
    "tensor_attention": (
        "2310.04064",
        "With d = O(log n), attention over pairs of keys takes n^(1+o(1)) while entries stay o((log n)^(1/3)); for every δ > 0 "
        "there is a C: at C(log n)^(1/3), no n^(3-δ) unless SETH fails",
        "three loops over the definition; search over all triples",
        "That a pairwise head cannot learn Match3: failing to train is no proof (that is communication complexity, "
        "arXiv 2306.02896)",
    ),
    "forecasting": (
        "2412.06061",
        "In the NTK regime two-layer attention does not learn the residual feature across changes of sign; a linear residual "
        "model does",
        "recurrence of the sine; autograd for the features; brute force for the hull",
        "The paper's own model. Ordinary attention of four heads with positions escapes; our frozen heads without positions do "
        "not even fit their training windows; the lemmas are ours, not its proof",
    ),
    "fixed_points": (
        "2410.11279",
        "A condition for several fixed points of looped networks, with networks that have 2^d robust ones",
        "all sign patterns enumerated; roots and radius in closed form",
        "The paper's definitions, which we did not read. Our 2^d is pure product structure: d switches",
    ),
}


def limits_table(folder: Path | str) -> str:
    """Paper, statement, what was measured, oracle, and what it does not show: one row an experiment."""
    lines = ["| paper | statement | measured here | oracle | what it does not show |", "| --- |" + " --- |" * 4]
    for name, (number, statement, oracle, not_shown) in PLACES.items():
        measured = _MEASURED[name](_stored(folder, f"limits-{name}"))
        link = f"[{number}](https://arxiv.org/abs/{number}), `{name}`"
        lines.append(f"| {link} | {statement} | {measured} | {oracle} | {not_shown} |")
    return "\n".join(lines)


ERRORS = {  # experiment -> (what the table shows, key of the bound, key of the error, name of the bound)
    "var_pass": ("whole pass, n = 16: largest error of the last logits", "bound", "logits", "R ="),
    "tensor_attention": ("pairs of keys, n = 48: largest error", "bound", "max_error", "entries within"),
    "lora": ("gradient of B, L = 300: relative error", "norm", "relative_error", "largest entry"),
}


def error_table(folder: Path | str, which: str) -> str:
    """Errors of one experiment by bound and degree."""
    title, bound, key, caption = ERRORS[which]
    rows = _stored(folder, f"limits-{which}")["errors"]
    bounds, degrees = sorted({r[bound] for r in rows}), sorted({r["degree"] for r in rows})
    found = {(r[bound], r["degree"]): r[key] for r in rows}
    lines = [f"| {title} | " + " | ".join(f"degree {g}" for g in degrees) + " |", "| --- |" + " --- |" * len(degrees)]
    lines += [f"| {caption} {b:g} | " + " | ".join(f"{found[b, g]:.1e}" for g in degrees) + " |" for b in bounds]
    return "\n".join(lines)


def accuracy_table(folder: Path | str) -> str:
    """What a small transformer and a GRU learn of each group, by position in the sequence."""
    result = _stored(folder, "limits-circuits")
    lines = [
        "| group (orders of its derived series) | "
        + " | ".join(f"{kind}, position {p}" for kind in result["accuracy"] for p in result["positions"])
        + " |",
        "| --- |" + " --- |" * (len(result["accuracy"]) * len(result["positions"])),
    ]
    for group, orders in result["derived"].items():
        cells = [f"{value:.2f}" for accuracy in result["accuracy"].values() for value in accuracy[group]]
        lines.append(f"| {group} ({' → '.join(map(str, orders))}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def training_table(folder: Path | str) -> str:
    """The true loss after training adapters with the exact and with approximate gradients."""
    rows = _stored(folder, "limits-lora")["trained"]
    lines = ["| largest entry at the start | gradient | loss before | loss after | largest entry met |", "| --- |" + " --- |" * 4]
    for r in rows:
        how = "exact" if r["degree"] is None else f"degree {r['degree']}"
        after = f"{r['loss']:.2g}" + (" (diverged)" if r["diverged"] else "")
        lines.append(f"| {r['norm']:g} | {how} | {r['loss_before']:.2g} | {after} | {r['largest']:.2g} |")
    return "\n".join(lines)


def forecasting_table(folder: Path | str) -> str:
    """Every forecaster on changes of sign that training did not show it."""
    result = _stored(folder, "limits-forecasting")
    rows = [("persistence", [result["persistence"]]), ("linear residual model", [result["linear_residual"]])]
    rows += [(f"NTK features, {name} logits", [found]) for name, found in result["parity"].items()]
    rows += list(result["trained"].items())
    lines = [
        "| forecaster | error on sign changes, as a share of saying 0 | right signs | error in training |",
        "| --- |" + " --- |" * 3,
    ]
    for name, runs in rows:
        cells = [", ".join(f"{run[key]:.2g}" for run in runs if key in run) for key in ("nmse", "sign_accuracy", "train_nmse")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def coupling_table(folder: Path | str) -> str:
    """Attracting points that are left when coordinates are coupled."""
    rows = _stored(folder, "limits-fixed_points")["coupling"]
    lines = ["| coupling c, d = 8 | " + " | ".join(f"{r['strength']:g}" for r in rows) + " |", "| --- |" + " --- |" * len(rows)]
    cells = [", ".join(map(str, r["found"])) for r in rows]
    lines.append("| limits found, three random matrices | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def practice_table(folder: Path | str, name: str = "practice") -> str:
    """Theory's and practice's approximations at their share of exact attention's pairs, from `practice.json`."""
    result = _stored(folder, name)
    lines = [
        f"| `{result['model']}`, {result['images']} held-out images | pairs, share of exact | cross-entropy | over exact "
        "| time of one image |",
        "| --- |" + " --- |" * 4,
    ]
    exact = result["rows"][0]["seconds"]
    for r in result["rows"]:
        shown = f"`{r['method']}`" + (f", adapted {r['adapted_steps']} steps" if r["adapted_steps"] else "")
        over = f"{r['excess']:+.3f} ± {r['excess_error']:.3f}" if r is not result["rows"][0] else ""
        lines.append(f"| {shown} | {r['pairs_share']:.0%} | {r['cross_entropy']:.3f} | {over} | {r['seconds'] / exact:.2f}x |")
    best = ", ".join(f"{w['pairs_share']:.0%}: `{w['method']}`" for w in result["winners"])
    return "\n".join([*lines, "", f"Least cross-entropy without further training, by budget of pairs: {best}."])


TABLES = {
    "limits": limits_table,
    "pass-errors": partial(error_table, which="var_pass"),
    "pair-errors": partial(error_table, which="tensor_attention"),
    "gradient-errors": partial(error_table, which="lora"),
    "groups": accuracy_table,
    "training": training_table,
    "forecasting": forecasting_table,
    "coupling": coupling_table,
    "practice": practice_table,
}
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(text: str, folder: Path | str) -> str:
    """A Markdown page with every table between `<!-- table: NAME -->` and `<!-- end -->` made anew from `folder`."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](folder)}\n\n{found[3]}", text)


# -- what was measured, one line an experiment -------------------------------------------------------------------------


def _var_pass(r: dict) -> str:
    errors = {(e["bound"], e["degree"]): e["logits"] for e in r["errors"]}
    shares, layers = r["pairs_over_n4"], r["decoder"]["layers"]
    exact, fast = (r[key]["last"] for key in ("exact", "low_rank"))
    return (
        f"Pairs {shares['doubling']:.3f} n⁴ on doubling sides (64/45 = {64 / 45:.3f}), {shares['official']:.2f} n⁴ on the "
        f"official ladder. Time of a pass ~ n^{exact:.1f} exact, n^{fast:.1f} with degree 4. Largest error at degree 4: "
        f"{errors[1.0, 4]:.0e} at R = 1, {errors[3.0, 4]:.1g} at R = 3. In a trained decoder of width {layers[0]['channels']}, "
        f"degree 2 needs {layers[0]['features']} features for {layers[0]['cells']} cells; PSNR "
        f"{r['decoder']['psnr_exact']:.2f} dB becomes {r['decoder']['psnr_low_rank']:.2f} dB"
    )


def _circuits(r: dict) -> str:
    heads, accuracy = r["heads"], r["accuracy"]["transformer"]
    depths = " and ".join(sorted({str(h["depth"]) for h in heads}))
    last = {group: values[-1] for group, values in accuracy.items()}
    return (
        f"One head of n = {heads[0]['n']} to {heads[-1]['n']} keys: depth {depths} always, {heads[0]['gates']} to "
        f"{heads[-1]['gates']} gates, right on {min(h['equal'] for h in heads):.0%} of 2,000 random inputs each. Trained, "
        f"position {r['positions'][-1]}: " + ", ".join(f"{group} {value:.2f}" for group, value in last.items()) + " (chance 0.20)"
    )


def _lora(r: dict) -> str:
    errors = {(e["norm"], e["degree"]): e["relative_error"] for e in r["errors"]}
    worst = [f"degree {t['degree']} at {t['norm']:g}" for t in r["trained"] if t["diverged"]]
    return (
        f"Relative error at degree 4: {errors[1.0, 4]:.0e} with entries up to 1, {errors[4.0, 4]:.0e} up to 4, "
        f"{errors[6.0, 4]:.1g} up to 6. Time ~ L^{r['explicit']['last']:.1f} explicit, L^{r['chain']['last']:.1f} by the "
        f"chain. Training diverged with: {', '.join(worst) or 'none'}"
    )


def _tensor(r: dict) -> str:
    errors, learned = {(e["bound"], e["degree"]): e["max_error"] for e in r["errors"]}, r["learned"]
    sharp = [c["accuracy"] for c in r["constructed"] if c["beta_share"] == 1.0]
    return (
        f"Largest error at degree 4: {errors[1.0, 4]:.0e} with entries within 1, {errors[3.0, 4]:.1g} within 3. Time ~ "
        f"n^{r['exact']['last']:.1f} exact, n^{r['features']['last']:.1f} with features. Match3 by construction: "
        f"accuracy {min(sharp):.3f}; trained: three at once {learned['tensor']:.2f}, pairwise {learned['pairwise']:.2f}, "
        f"majority {learned['majority']:.2f}"
    )


def _forecasting(r: dict) -> str:
    accuracy = {name: mean(run["sign_accuracy"] for run in runs) for name, runs in r["trained"].items()}
    return (
        f"Right signs on sign changes: linear residual {r['linear_residual']['sign_accuracy']:.2f}, one head "
        f"{accuracy['1 head']:.2f}, two heads {accuracy['2 heads']:.2f}, eight heads {accuracy['8 heads']:.2f}, "
        f"**four-head block with positions {accuracy['4-head block with positions']:.2f}** (means of {r['seeds']} seeds)"
    )


def _fixed(r: dict) -> str:
    all_found = all(c["found"] == c["expected"] for c in r["counts"])
    largest = r["counts"][-1]
    found = "exactly 2^d limits" if all_found else "not always 2^d limits"
    noise = ", ".join(f"{n['escaped']:.2%} at {n['eps']:g}" for n in r["noise"])
    return (
        f"From random starts {found} for d = 1 to {largest['d']} and {len(r['fixed_points'])} activations. Radius of the cubic "
        f"{r['radius']['cubic']:.5f} (1/(3√3) = {r['radius_formula']:.5f}); with uniform noise orbits escape {noise}"
    )


_MEASURED = {
    "var_pass": _var_pass,
    "circuits": _circuits,
    "lora": _lora,
    "tensor_attention": _tensor,
    "forecasting": _forecasting,
    "fixed_points": _fixed,
}


def _stored(folder: Path | str, name: str) -> dict:
    return json.loads((Path(folder) / f"{name}.json").read_text())


def main() -> None:
    page = ASSETS.parent / "docs" / "limits.md"
    page.write_text(refreshed(page.read_text(encoding="utf-8"), ASSETS / "results"), encoding="utf-8")


if __name__ == "__main__":
    main()
