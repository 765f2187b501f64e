"""A notebook exported by nbconvert: opened from a file, with no kernel and no server, its explorer draws what Python draws."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from var_mini import checkpoints
from var_mini.view.images import to_uint8
from var_mini.view.widget import explorer

# what an exported page fetches to show any widget at all, here out of packages; anywidget's own comes with its Python package
PACKAGES = {"requirejs@2.3.7": "require.js", "@jupyter-widgets/html-manager@1.0.14": "dist/embed-amd.js"}
VIEW, STATE = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("view", "state"))
CALLS = {"require.min.js": "require.js", "embed-amd.js": "embed-amd.js", "anywidget": "index.js"}
PIXELS = """() => {
  const canvas = document.querySelector('.vu-big'), { width, height } = canvas;
  return [...canvas.getContext('2d').getImageData(0, 0, width, height).data].filter((_, i) => i % 4 < 3);
}"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[str, Path]:
    """Name -> script of those that widgets need."""
    folder, npm = tmp_path_factory.mktemp("scripts"), shutil.which("npm")
    anywidget = pytest.importorskip("anywidget")
    if npm is None:
        pytest.skip("npm is not installed")
    for package, script in PACKAGES.items():
        done = subprocess.run([npm, "pack", "--silent", package], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm could not bring {package}")
        with tarfile.open(folder / done.stdout.split()[-1]) as archive:
            archive.extract(f"package/{script}", folder, filter="data")
    found = [folder / "package" / script for script in PACKAGES.values()]
    return {path.name: path for path in [*found, Path(anywidget.__file__).parent / "nbextension" / "index.js"]}


def exported(widget, folder: Path) -> Path:
    """The page that nbconvert makes of a notebook whose one output is the widget, saved with its state."""
    nbformat, nbconvert = pytest.importorskip("nbformat"), pytest.importorskip("nbconvert")
    embed = pytest.importorskip("ipywidgets.embed")
    told = embed.embed_data(views=[widget], drop_defaults=False)
    output = nbformat.v4.new_output("display_data", {VIEW: told["view_specs"][0]})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("explorer", outputs=[output])])
    notebook.metadata["widgets"] = {STATE: told["manager_state"]}
    page = folder / "lesson.html"
    page.write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return page


@pytest.mark.slow
def test_an_exported_notebook_opened_from_a_file_draws_the_picture_that_python_draws(browser, scripts, tmp_path):
    model = checkpoints.load("fashion-28")
    lesson = exported(explorer(model, model.trace(7, 0), engine="browser"), tmp_path)

    def answer(route):
        name = next((name for part, name in CALLS.items() if part in route.request.url), None)
        if name:
            route.fulfill(path=scripts[name], content_type="text/javascript")
        elif route.request.url.startswith(("file:", "blob:", "data:")):
            route.continue_()
        else:
            route.abort()

    context = browser.new_context(locale="en-US", reduced_motion="reduce")
    try:
        context.set_default_timeout(300_000)
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(lesson.as_uri())
        page.click(".vx .vu-dice")
        page.wait_for_function("() => !/seed 0 /.test(document.querySelector('.vu-large .vu-hint').textContent)")
        page.wait_for_selector(".vx .vu-dice")  # and not Stop: the run is whole
        seed = int(re.search(r"seed (\d+)", page.inner_text(".vu-large .vu-hint"))[1])
        drawn = np.array(page.evaluate(PIXELS), np.int16).reshape(28, 28, 3)
    finally:
        context.close()
    expected = to_uint8(model.trace(7, seed).steps[-1].image[0])
    np.testing.assert_allclose(drawn, expected, atol=1)
