"""Builds the static site: the front end, the engine, the models, their recorded runs and pictures, and what makes it work without
a network. Needs no Gradio.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from html import escape
from importlib.resources import files
from pathlib import Path

from PIL import Image
from safetensors import safe_open

from var_mini import checkpoints
from var_mini.analysis.editing import nearest_classes
from var_mini.generation import Trace
from var_mini.ui.export import check_config, export
from var_mini.ui.modules import FOLDER, imported
from var_mini.view.images import code_colours, enlarge, token_map

from .. import DEFAULT_MODEL, credits, links, thumbnails
from . import figures

PAGE = Path(str(files(__package__))) / "page"
HOST, WORKER = "hosts/static.js", "engines/worker.js"
# what no script imports
LICENCES = ("vendor/LICENSE-preact.txt", "vendor/LICENSE-htm.txt", "names/LICENSE-unicode.txt")
NAMES = "names/zh.json"
BESIDE = ("style.css", "words.json", "words/masks.json", NAMES, "engines/product.wasm", *LICENCES)
PLACE = "<!-- links -->"  # in index.html: what the browser should ask for at once
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
    for file in {*imported(HOST), *imported(WORKER), *BESIDE}:
        (out / "ui" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / file, out / "ui" / file)
    (out / MARK).touch()
    (out / ".nojekyll").touch()  # GitHub Pages would leave out some names otherwise
    (out / "licences.txt").write_text(credits.licences(), encoding="utf-8")
    made = {name: _model(name, out) for name in names}
    models = sorted(made.values(), key=lambda model: model["download_kb"])
    first = next((model for model in models if model["name"] == DEFAULT_MODEL), models[0])
    told = {"measured": figures.measured(), "raster": figures.raster()}
    _write(out / "models" / "index.json", {"model": first["name"], "models": models} | told)
    shutil.copyfile(figures.RESULTS / "limits-curves.json", out / "limits.json")
    _write(out / "masks.json", figures.counted({name: model["attentions"] for name, model in made.items()}))
    _icons(out)
    _index(out, first)
    _service_worker(out, first)
    return out


def _model(name: str, out: Path) -> dict:
    """Writes a model, its recorded run and its thumbnails; returns what the front end must know of it."""
    model = export(name, out / "models") | links.beginning(name)
    if model["recorded"]:
        _write(_run(out, model), links.recorded(name))
    model["near"] = _near(name)
    told = thumbnails.write(name, out / "thumbnails")
    told["files"] = {kind: [f"thumbnails/{file}" for file in names] for kind, names in told["files"].items()}
    return model | {"thumbnails": told}


def _near(name: str) -> list[int]:
    """Of every class a like one of its group, which an edit draws in its place."""
    config = checkpoints.load_config(name)
    with safe_open(checkpoints.find(name) / checkpoints.WEIGHTS, framework="pt") as file:
        embedded = file.get_tensor("transformer.class_emb.weight").float()
    return nearest_classes(embedded, config.class_groups, list(range(len(embedded) - 1)))


def _run(out: Path, model: dict) -> Path:
    return out / "runs" / f"{model['name']}.json"


def _write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


def _icons(out: Path) -> None:
    """The last token map of a recorded run, enlarged, with the margin that round icons need."""
    colours = code_colours(checkpoints.load_tokenizer(ICON_MODEL).quantize.embedding.weight)
    grid = token_map(Trace.load(links.RECORDED / f"{ICON_MODEL}.trace").steps[-1].token_ids[0], colours)
    for side in ICON_SIDES:
        inner = side * 7 // 10
        icon = Image.new("RGB", (side, side), "#10131a")
        icon.paste(Image.fromarray(enlarge(grid, inner)), ((side - inner) // 2, (side - inner) // 2))
        icon.save(out / f"icon-{side}.png")


def _index(out: Path, first: dict) -> None:
    """Puts links into the page's head, so that the browser asks for all at once and not for one after the other."""
    data = ["ui/words.json", "models/index.json", *([_run(Path(), first).as_posix()] if first["recorded"] else [])]
    tags = [f'<link rel="modulepreload" href="ui/{escape(name)}">' for name in imported(HOST)]
    tags += [f'<link rel="preload" as="fetch" crossorigin href="{escape(name)}">' for name in data]
    page = out / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace(PLACE, "\n".join(tags)), encoding="utf-8")


def _service_worker(out: Path, first: dict) -> None:
    """Puts lists of files before the service worker's code, those to keep at once and those to keep when they were asked for, and
    a version that changes with any of them.
    """
    kept = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file() and not _left_out(path.relative_to(out)))
    digest = hashlib.sha256()
    for path in kept:
        digest.update(path.as_posix().encode() + (out / path).read_bytes())
    style = first["first"]["style"] or 0
    at_once = {_run(Path(), first).as_posix(), *first["thumbnails"]["files"].get("first", [])[style : style + 1]}
    asked_for = [path for path in kept if path.parts[0] in ("runs", "thumbnails") or path == Path("ui") / NAMES]
    later = [path.as_posix() for path in asked_for if path.as_posix() not in at_once]
    files = ["./", *(path.as_posix() for path in kept if path.as_posix() not in later)]
    site = {"version": digest.hexdigest()[:16], "files": files, "later": later}
    script = out / "sw.js"
    script.write_text(f"const SITE = {json.dumps(site)};\n" + script.read_text(encoding="utf-8"), encoding="utf-8")


def _left_out(path: Path) -> bool:
    """Models are kept by the engine, when asked for; the service worker itself by the browser."""
    return path.name.startswith(".") or path.name == "sw.js" or (path.parts[0] == "models" and path.name != "index.json")
