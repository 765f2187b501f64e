"""The front end's logic by Node's own test runner, its vendored module, and what the server gives of it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio
import numpy as np
import pytest
from PIL import Image

import demo
from demo import front, links, models, thumbnails
from tests.demo.asgi import ask
from var_mini import checkpoints
from var_mini.data import samples, things
from var_mini.ui import bundle
from var_mini.view.images import to_uint8

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_logic_by_node_s_runner():
    done = subprocess.run(["node", "--test", str(HERE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"# pass (\d+)", done.stdout)[1]) >= 18


def test_the_vendored_modules_are_the_pinned_ones():
    readme = (front.FOLDER / "vendor" / "README.md").read_text()
    pinned = dict(re.findall(r"^\| `([\w.-]+\.js)` .* `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (front.FOLDER / "vendor").glob("*.js")}
    assert pinned == there and len(there) == 2


def test_the_notebook_s_bundle_was_made_of_the_modules_as_they_are():
    first, _ = (front.FOLDER / bundle.OUTPUTS["notebook"]).read_text().split("\n", 1)
    assert first == bundle.banner(), "run `python -m var_mini.ui.bundle`"
    digest, names = hashlib.sha256(), {"hosts/notebook.js"}
    while True:  # all that these import, and these
        more = {
            (front.FOLDER / name).parent.joinpath(found).resolve().relative_to(front.FOLDER).as_posix()
            for name in names
            for found in re.findall(r"\bfrom '(\.[^']+)'", (front.FOLDER / name).read_text())
        }
        if more <= names:
            break
        names |= more
    for name in sorted(names):
        digest.update(name.encode() + b"\0" + (front.FOLDER / name).read_bytes() + b"\0")
    assert first.endswith(digest.hexdigest())


@pytest.mark.slow
@pytest.mark.parametrize("name", bundle.OUTPUTS)
def test_what_esbuild_made_is_what_it_makes_now(name):
    try:
        content = bundle.built(name)
    except bundle.NoToolError as error:
        pytest.skip(f"esbuild cannot be had here: {error}")
    assert (front.FOLDER / bundle.OUTPUTS[name]).read_bytes() == content, f"run `python -m var_mini.ui.bundle {name}`"


def test_the_page_preloads_exactly_what_it_imports():
    """Every import of every preloaded script is preloaded, too, and each is imported by one; the bundle stays small. What the
    host imports when a chapter asks for it comes later.
    """
    names = front.modules()
    later = re.findall(r"\bimport\('\.\./([^']+)'\)", (front.FOLDER / front.HOST).read_text())
    assert later and not set(later) & set(names) and all((front.FOLDER / name).is_file() for name in later)
    imported = {front.HOST}
    for name in names:
        path = front.FOLDER / name
        for found in re.findall(r"\bfrom '(\.[^']+)'", path.read_text()):
            imported.add((path.parent / found).resolve().relative_to(front.FOLDER).as_posix())
    assert set(names) == imported and all(f'href="ui/{name}"' in front.head() for name in names)
    assert front.bundle() <= 400_000


def test_what_chapters_load_later_is_there_and_no_part_of_the_first_screen():
    host = front.FOLDER / front.HOST
    later = re.findall(r"\bimport\('(\.[^']+)'\)", host.read_text())
    paths = [(host.parent / name).resolve().relative_to(front.FOLDER).as_posix() for name in later]
    assert paths and all(get(f"/ui/{path}").status == 200 for path in paths)
    assert not set(paths) & set(front.modules())


def get(path: str, query: str = "", method: str = "GET", headers=()):
    async def app(scope, receive, send):
        scope |= {"method": method, "query_string": query.encode()}
        try:
            await front.serve(scope, receive, send)
        except front.RefusedError as refused:
            await front.Response(status_code=refused.status)(scope, receive, send)

    return ask(app, path=path, headers=headers)


@pytest.mark.parametrize("name", ["style.css", "words.json", "hosts/gradio.js", "vendor/preact-htm.js"])
def test_files_are_served_as_they_are(name):
    answer = get(f"/ui/{name}")
    assert answer.status == 200 and answer.body == (front.FOLDER / name).read_bytes()
    assert answer.headers["cache-control"] == "no-cache" and "etag" in answer.headers


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/ui/", ""),
        ("/ui/lib", ""),
        ("/ui/missing.js", ""),
        ("/ui/../view/payload.py", ""),
        ("/ui/..%2f..%2fdemo%2fwords%2fmasks.json", ""),
        ("/ui/vendor/README.md", ""),
        ("/ui//etc/passwd", ""),
        ("/ui/data/", ""),
        ("/ui/data/missing.json", "model=fashion-28"),
        ("/ui/data/run.json", ""),
        ("/ui/data/run.json", "model=/etc"),
        ("/ui/data/first.webp", "model=fashion-28&style=x"),
        ("/ui/data/first.webp", "model=fashion-28&style=9"),
        ("/ui/data/all.webp", "model=fashion-28"),
    ],
)
def test_nothing_else_is_served(path, query):
    assert get(path, query).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_read_only(method):
    assert get("/ui/style.css", method=method).status == 404


def test_the_recorded_run_and_the_models_are_told():
    assert json.loads(get("/ui/data/run.json", "model=fashion-28").body) == links.recorded("fashion-28")
    told = json.loads(get("/ui/data/start.json").body)
    assert [one["name"] for one in told["models"]] == models.offered() and told["model"] == models.default()


def test_a_folder_with_the_name_of_a_shipped_model_has_no_recorded_run(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "fashion-28")
    assert links.recorded(str(folder)) is None and links.first_choice(str(folder)) == (0, 0, None)


def test_thumbnails_are_pictures_of_the_data_set():
    sheet = np.asarray(Image.open(io.BytesIO(get("/ui/data/first.webp", "model=fashion-28").body)).convert("RGB"))
    shown = thumbnails.describe("fashion-28")["first"]
    names = checkpoints.load_config("fashion-28").class_names
    assert len(shown) == 10 and sheet.shape == (64, 640, 3)
    for place, sample in enumerate(samples.load_samples(checkpoints.load_config("fashion-28"))):
        assert names[shown[place]] == sample.name
        own = to_uint8(sample.image)
        assert np.array_equal(sheet[:, 64 * place : 64 * place + 64], own[np.arange(64) * 28 // 64][:, np.arange(64) * 28 // 64])


def test_a_style_that_lacks_a_thing_borrows_its_picture():
    data, name = things.read_things(), "things-64"
    config = checkpoints.load_config(name)
    style = config.style_names.index("fxemoji")
    sheet = np.asarray(Image.open(io.BytesIO(thumbnails.sheet(name, style, True))).convert("RGB"), np.float64)
    assert sheet.shape == (-(-1004 // 32) * 32, 32 * 32, 3)
    for label in (0, 500, 1003):
        has = ((data.thing == label) & (data.style == style)).nonzero().flatten()
        index = int(has[0]) if len(has) else int((data.thing == label).nonzero()[0, 0])
        wanted = data.images[index].permute(1, 2, 0).double().reshape(32, 2, 32, 2, 3).mean((1, 3)).numpy()
        row, column = divmod(label, 32)
        assert np.abs(sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] - wanted).mean() < 6  # the sheet is lossy


def test_a_sheet_is_made_once_for_all_models_of_a_data_set_and_by_one_thread(monkeypatch):
    """However many ask for it at once: every model, any style, from many threads."""
    made, at_once, most = [], [], []

    def webp(pixels, lossless=False):
        at_once.append(1)
        most.append(len(at_once))
        made.append(pixels.shape)
        at_once.pop()
        return b"sheet"

    for kept in (thumbnails._tiles, thumbnails._samples):
        kept.cache_clear()
    monkeypatch.setattr(thumbnails, "_webp", webp)
    monkeypatch.setattr(thumbnails, "_pixels", lambda style: np.zeros((2000, 4, 4, 3), np.uint8))
    try:
        names = [name for name in checkpoints.available() if name.startswith("things-")]
        asked = [(name, style, every) for name in names for style in range(9) for every in (False, True)]
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda one: thumbnails.sheet(*one), 2 * asked)) == {b"sheet"}
        assert len(names) == 3 and len(made) == 9 * 2 and set(most) == {1}
    finally:
        for kept in (thumbnails._tiles, thumbnails._samples):
            kept.cache_clear()


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)])
def test_a_page_of_another_site_cannot_have_its_visitors_ask_for_data(site, status):
    assert get("/ui/data/first.webp", "model=fashion-28", headers={"sec-fetch-site": site}).status == status


def test_what_floats_over_the_page_lies_above_gradio_s_own_layers():
    """Gradio's labels are layers up to --layer-5: at the same height the later one in the page catches the click."""
    sheets = (Path(gradio.__file__).parent / "templates/frontend").rglob("*.css")
    highest = max(int(layer) for sheet in sheets for layer in re.findall(r"--layer-5:\s*(\d+)", sheet.read_text()))
    own = (Path(demo.__file__).parent / "style.css").read_text() + (front.FOLDER / "style.css").read_text()
    floating = re.findall(r"([^{}]*)\{([^}]*position: (?:fixed|sticky; (?:bottom|top): 0)[^}]*)\}", own)
    known = {".vt-dock", "#vm-waiting", "#vm-contents", ".vu-bar", ".vu-panel"}
    assert {selector.split()[-1] for selector, _ in floating} == known
    for selector, rules in floating:
        assert int(re.search(r"z-index: (\d+)", rules)[1]) > highest, selector
