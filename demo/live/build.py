"""Builds the static site: the page, the engine, the models, their recorded runs, and what makes it work without a network."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.resources import files
from pathlib import Path

from PIL import Image

from var_mini import checkpoints, ui
from var_mini.generation import Trace
from var_mini.ui.export import check_config, export
from var_mini.view.images import code_colours, enlarge, token_map
from var_mini.view.payload import payload

PAGE = Path(str(files(__package__))) / "page"
ENGINES = Path(str(files(ui))) / "engines"
TRACES = checkpoints.ASSETS / "traces"
MARK = ".var-mini-site"  # stands in a folder that was built here and may be built again
ICON_MODEL, ICON_SIDES = "fashion-28", (192, 512)


def build(out: Path | str, names: list[str] | None = None) -> Path:
    """Writes the site into `out`, which must be new, empty, or a site built before. All paths in it are relative.

    names   of models or their folders; all shipped ones by default, the smallest first
    Raises ValueError where the folder holds something else, or the engine cannot compute a model.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise ValueError(f"out = {str(out)!r}: holds files that are no site built here; name a new or an empty folder")
    names = names or checkpoints.available()
    for name in names:
        check_config(checkpoints.load_config(name))  # before anything is written
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(PAGE, out, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ENGINES, out / "engines")
    (out / MARK).touch()
    (out / ".nojekyll").touch()  # GitHub Pages would leave out some names otherwise
    models = [export(name, out / "models") for name in names]
    models.sort(key=lambda model: model["download_kb"])
    (out / "runs").mkdir()
    for model in models:
        model["recorded"] = _record(model["name"], out)
    _write(out / "models" / "index.json", {"models": models})
    _icons(out)
    _service_worker(out)
    return out


def _record(name: str, out: Path) -> bool:
    """The recorded run of a model as JSON; False where there is none."""
    path = TRACES / f"{name}.trace"
    if not path.exists():
        return False
    codebook = checkpoints.load_tokenizer(name).quantize.embedding.weight
    _write(out / "runs" / f"{name}.json", payload(Trace.load(path), checkpoints.load_config(name), codebook))
    return True


def _write(path: Path, value) -> None:
    path.write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


def _icons(out: Path) -> None:
    """The last token map of a recorded run, enlarged, with the margin that round icons need."""
    colours = code_colours(checkpoints.load_tokenizer(ICON_MODEL).quantize.embedding.weight)
    grid = token_map(Trace.load(TRACES / f"{ICON_MODEL}.trace").steps[-1].token_ids[0], colours)
    for side in ICON_SIDES:
        inner = side * 7 // 10
        icon = Image.new("RGB", (side, side), "#10131a")
        icon.paste(Image.fromarray(enlarge(grid, inner)), ((side - inner) // 2, (side - inner) // 2))
        icon.save(out / f"icon-{side}.png")


def _service_worker(out: Path) -> None:
    """Puts the list of files to keep, and a version that changes with any of them, before the service worker's code."""
    kept = sorted(path for path in out.rglob("*") if path.is_file() and not _left_out(path.relative_to(out)))
    digest = hashlib.sha256()
    for path in kept:
        digest.update(path.relative_to(out).as_posix().encode() + path.read_bytes())
    site = {"version": digest.hexdigest()[:16], "files": ["./", *(path.relative_to(out).as_posix() for path in kept)]}
    script = out / "sw.js"
    script.write_text(f"const SITE = {json.dumps(site)};\n" + script.read_text(encoding="utf-8"), encoding="utf-8")


def _left_out(path: Path) -> bool:
    """Models are kept by the engine, when asked for; the service worker itself by the browser."""
    return (
        path.name.startswith(".")
        or path.name == "sw.js"
        or path.suffix == ".wat"
        or (path.parts[0] == "models" and path.name != "index.json")
    )
