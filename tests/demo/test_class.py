"""A class on one page: how it is started for others, the place in the queue, and Stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from demo import __main__ as command
from demo import app, measure, models, wording
from tests.demo.visits import DRAWN
from var_mini.model import Model

ROOT = Path(__file__).parents[2]
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


@pytest.mark.parametrize(
    ("arguments", "launched"),
    [
        ([], ("things-64", "127.0.0.1", 7860, False)),
        (["--share", "--port", "8123"], ("things-64", "127.0.0.1", 8123, True)),
        (["--host", "0.0.0.0", "--model", "fashion-28-bounded"], ("fashion-28-bounded", "0.0.0.0", 7860, False)),
    ],
)
def test_only_who_asks_opens_the_page_to_others(arguments, launched, monkeypatch):
    calls = []
    monkeypatch.setattr(command, "check_address", lambda *_: None)
    monkeypatch.setattr(app, "launch", lambda *given: calls.append(given[:4]))
    assert command.main(arguments) == 0 and calls == [launched]


@pytest.mark.slow
def test_a_server_that_is_ended_leaves_nothing_behind(tmp_path, monkeypatch):
    """As a service manager ends it, by SIGTERM: no process, no folder of uploads."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with measure.serve("fashion-28") as server:
        assert len(list(tmp_path.glob("var-mini-*"))) == 1 and Path(f"/proc/{server.process_id}").exists()
    assert not list(tmp_path.glob("var-mini-*")) and not Path(f"/proc/{server.process_id}").exists()


ENDED = """
import os, signal, gradio
from demo import app
from demo.__main__ import main
gradio.Blocks.launch = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
{start}
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["main(['--model', 'fashion-28', '--port', '{port}'])", "app.launch('fashion-28')"])
def test_it_is_ended_in_order_however_it_was_started(tmp_path, start):
    """By the installed command or as a Space starts it, and not only by python -m demo."""
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"} | {"TMPDIR": str(tmp_path)}
    code = ENDED.format(start=start.format(port=app.free_port("127.0.0.1")))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=600)
    assert done.returncode != -signal.SIGTERM, done.stderr
    assert not list(tmp_path.glob("var-mini-*"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("variables", "shown", "absent"),
    [
        ([], "--host 127.0.0.1 --port 7860", "--share"),
        (["SHARE=1"], "--share", "0.0.0.0"),
        (["SHARE=0", "HOST=0.0.0.0", "PORT=9000"], "--host 0.0.0.0 --port 9000", "--share"),
    ],
)
def test_make_demo_passes_its_variables_on(variables, shown, absent):
    told = subprocess.run(["make", "-n", "demo", *variables], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in told.splitlines() if "-m demo" in line]
    assert shown in line and absent not in line


@pytest.mark.slow
def test_who_waits_sees_the_place_and_stop_lets_the_next_one_in(visit, tiny, monkeypatch):
    loaded, go_on = models.load_model(tiny), threading.Event()

    def halting(*args, **options):
        for step in Model.generate(loaded.model, *args, **options):
            yield step
            go_on.wait(600)

    first, second, third = visit(), visit(locale="zh-CN"), visit()
    monkeypatch.setattr(loaded.model, "generate", halting)
    first.locator("#vm-new").click()
    first.wait_for_selector("#vm-first[data-drawn='1']")
    assert first.locator("#vm-waiting [role=status]").inner_text() == ""  # it is drawing, not waiting
    second.locator("#vm-new").click()
    line = second.locator("#vm-waiting [role=status]")
    line.filter(has_text=wording.text("class_place", "zh", place=1, all=1)).wait_for()
    third.locator("#vm-new").click()
    third.wait_for_function("document.querySelector('#vm-waiting [role=status]').textContent.includes('number 2 of 2')")
    first.locator(".vu-bar .vu-primary").click()  # it says Stop meanwhile
    go_on.set()
    monkeypatch.undo()
    for page in (second, third):
        page.wait_for_function(DRAWN)
        page.wait_for_function("document.querySelector('#vm-waiting [role=status]').textContent === ''")
    assert first.evaluate("varMini.run().scales.length") == 1
