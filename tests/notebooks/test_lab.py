"""The widgets of lesson 3 in a real JupyterLab: a slider moves and the picture changes, a clicked token is answered."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from notebooks.source import FOLDER, read, sources

SECONDS = 300  # a busy machine takes its time to start a kernel and to load a model


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on an empty folder: (address, folder)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, folder = secrets.token_hex(8), tmp_path / "lessons"
    folder.mkdir()
    places = {
        name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    environment = {
        **os.environ,
        **places,
        "PYTHONPATH": str(FOLDER.parent),
        "JUPYTER_PATH": str(Path(sys.prefix) / "share/jupyter"),
    }
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.5)
        yield address, token, folder
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def with_widgets() -> nbformat.NotebookNode:
    """The cells of lesson 3 that make its widgets: set-up, imports, one run, and what grading skips."""
    notebook = read(next(source for source in sources() if source.stem.startswith("03_")), "student")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    run = nbformat.v4.new_code_cell("trace = model.trace(5, 1)")
    notebook.cells = [*code[:2], run, *(cell for cell in code if "skip-grading" in cell.metadata.get("tags", []))]
    return notebook


def run_all(page, address: str, token: str, cells: int) -> None:
    """Run > Run All Cells once the notebook has its kernel: before, JupyterLab asks which one to take, and forgets the cells."""
    end = time.monotonic() + SECONDS
    while not any(
        session["path"] == "widgets.ipynb" and session["kernel"]["execution_state"] == "idle"
        for session in page.request.get(f"{address}/api/sessions?token={token}").json()
    ):
        assert time.monotonic() < end, "no kernel came"
        page.wait_for_timeout(500)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first.wait_for(state="attached")
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").first.click()
    page.locator(".jp-InputPrompt", has_text=f"[{cells}]").first.wait_for()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_slider_picture_and_token_in_jupyterlab(lab, browser, tmp_path):
    address, token, folder = lab
    notebook = with_widgets()
    nbformat.write(notebook, folder / "widgets.ipynb")
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(SECONDS * 1000)
    try:
        page.goto(f"{address}/lab/tree/widgets.ipynb?token={token}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        run_all(page, address, token, len(notebook.cells))
        picture = page.locator("img.widget-image, .widget-image img").first
        picture.wait_for()
        before = picture.get_attribute("src")
        slider = page.locator(".widget-slider").filter(has_text="guidance").locator(".noUi-handle")
        slider.focus()
        slider.press("ArrowRight")
        page.wait_for_function("([img, before]) => img.src !== before", arg=[picture.element_handle(), before])

        page.wait_for_selector(".vx[data-scales='5']")
        attends = ".vx .vu-attention .vu-hint:last-child"
        frame = page.locator(".vx [data-map='3']")
        frame.scroll_into_view_if_needed()
        frame.click(position={"x": 30, "y": 30})
        page.wait_for_selector(".vx[data-attention='shown']")
        told = page.locator(attends).inner_text()
        assert told.count("%") == 5  # the largest weight, and the shares of the four scales up to 5 by 5
        page.locator(".vx .vu-lines path").first.wait_for(state="attached")
        frame.press("Escape")
        frame.press("ArrowRight")
        frame.press("Enter")
        page.wait_for_function(
            "([where, told]) => (document.querySelector(where)?.innerText ?? told) !== told", arg=[attends, told]
        )
        page.locator(".vx .vu-dice").click()  # the kernel draws another seed
        page.wait_for_selector(".vx[data-shown='5']:not(:has(.vu-pinned))")
        page.locator(".vx .vu-more summary").click()
        page.get_by_role("button", name="Compute it").click()
        page.wait_for_selector(".vx .vu-blocks")
    finally:
        page.screenshot(path=os.environ.get("LAB_SCREENSHOT", tmp_path / "lab.png"))
        page.close()
