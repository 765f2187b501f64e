"""The parts' files as one object, in the layout of assets/results/gpu.json, and as a table."""

from __future__ import annotations

import json
from pathlib import Path

from . import PARTS


def merged(folder: Path) -> dict:
    """What the part files of a folder hold: the results by the name of the part, and how each part ended under `parts`."""
    whole: dict = {"parts": {}}
    for name in PARTS:
        try:
            part = json.loads((folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            continue
        failed = [f"{check['name']}: {check['detail']}" for check in part["checks"] if not check["ok"]]
        finished = part["state"] == "finished"
        facts = {key: part[key] for key in ("dry", "state", "seconds", "skipped")}
        whole["parts"][name] = facts | {"ok": finished and not failed, "checks": len(part["checks"]), "failed": failed}
        whole[name] = part["result"]
    if "generate" in whole:  # the shares alone; how ids differ stands beside
        whole["generate_details"] = found = whole["generate"].get("models", {})
        whole["generate"] = {m: {name: row["share_equal"] for name, row in rows.items()} for m, rows in found.items()}
    if "facts" in whole:
        whole["machine"] = whole["facts"].get("machine", {})
    return whole


def table(whole: dict, names: list[str]) -> str:
    """One line a part: how it ended, its checks, and its main figure."""
    lines = []
    for name in names:
        part = whole["parts"][name]
        passed = f"{part['checks'] - len(part['failed'])}/{part['checks']} checks"
        skipped = f", {len(part['skipped'])} left out" if part["skipped"] else ""
        mark = "ok    " if part["ok"] else "FAILED"
        lines.append(f"{name:9} {mark} {part['seconds']:7.1f} s  {passed}{skipped}  {_headline(name, whole)}")
        if part["state"] != "finished":
            lines.append(f"{'':9} {part['state']}")
        lines += [f"{'':9} {failed}" for failed in part["failed"]]
    return "\n".join(lines)


def _headline(name: str, whole: dict) -> str:
    found = whole[name]
    rows = found.get("rows", []) if name != "generate" else []
    if name == "facts":
        return f"{found.get('device')}, torch {found.get('torch')}, triton {found.get('triton')}"
    if name == "kernels" and "max_error" in found:
        return f"largest error {found['max_error']:.3g}, repeats {'equal' if found['repeats_equal'] else 'DIFFER'}"
    if name == "generate" and found:
        shares = [share for backends in found.values() for share in backends.values()]
        return f"ids equal: {min(shares):.1%} at least, of {len(shares)} model and back end pairs" if shares else ""
    if name == "scaling" and (best := [r for r in rows if r["method"] != "exact" and r["speedup_vs_best_sdpa"]]):
        top = max(best, key=lambda row: row["speedup_vs_best_sdpa"])
        side = f"side {top['side']}, head dimension {top['head_dim']}"
        return f"{len(rows)} rows; {top['method']} at best {top['speedup_vs_best_sdpa']:.3g}x the fastest SDPA ({side})"
    if name == "speed" and (graphed := [r["speedup"] for r in rows if r["batch"] == 1 and r["speedup"]]):
        return f"graphs at batch 1: {min(graphed):.2f}x to {max(graphed):.2f}x eager"
    if name == "train" and rows:
        return f"up to {max(row['images_per_second'] for row in rows):,.0f} images/s"
    return ""
