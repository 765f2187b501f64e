"""`python -m demo.measure`: how fast the page is, measured in a real browser on this machine; one JSON object on the last line.

Every time is taken inside the page, by its own clock: first paint from the start of navigation until the recorded run's token
maps are on their canvases, a click from the press of the pointer until what it asks for is on the page. Each is the median of
several repetitions; their interquartile range stands beside it under the same name with `_spread`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import torch

from var_mini import checkpoints, validate
from var_mini.cost.machine import machine_facts

from . import memory, wording

COMMAND = "Serves the page and measures it in a real browser; prints one JSON object on the last line."
MODEL_HELP = "model chosen at first, whose figures stand under the plain keys (default: %(default)s)"
REPEAT_HELP = "repetitions of every figure (default: %(default)s)"
MEMORY_HELP = "measure the server's memory instead: before and after so many runs of different settings, by every shipped model"
COMMAND_ERROR = "demo.measure: {error}"
NO_PLAYWRIGHT = "the package playwright is not installed: pip install -r requirements-dev.txt"
NO_BROWSER = "no browser: neither {system} nor Playwright's own is there; apt install chromium, or playwright install chromium"
NOT_SERVED = "the server did not answer within {seconds:g} s; its last lines: {lines}"
SERVER_ENDED = "the server ended with code {code}; its last lines: {lines}"

SYSTEM_CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 1800.0  # seconds that a server may take to start on a busy machine
END_LIMIT = 120.0  # and to end
PAGE_LIMIT_MS = 120_000
SETTLE_MS = 500  # before a click: the page holds a stream open, so its network is never idle
VIEWPORT = {"width": 1280, "height": 900}
MOST_REPEATS = 100

# Runs in every page before anything of it: notes when the first maps are painted, and when the pointer goes down.
WATCH = """
window.vmTimes = { painted: null, pressed: null, done: null };
addEventListener('pointerdown', () => { vmTimes.pressed = performance.now(); }, true);
window.vmWait = (ready) => new Promise((resolve) => {
  const look = () => (ready() ? resolve(performance.now()) : requestAnimationFrame(look));
  look();
});
window.vmExplorer = () => document.querySelector('#vm-explorer .vx-root')?.explorer;
window.vmView = () => document.querySelector('#vm-explorer .vx');
vmWait(() => Number(vmView()?.dataset.drawn) > 0).then((now) => { vmTimes.painted = now; });
"""
# true once the run of a seed stands whole on the page
DRAWN = "() => { const run = vmExplorer().run(); return run.settings.seed === %d && run.scales.length === run.sides.length; }"
SHOWN = "() => vmView().dataset.attention === 'shown'"


def main(argv: list[str] | None = None) -> int:
    """Prints the figures. Returns 2 after one line on stderr where something that they need is missing."""
    parser = argparse.ArgumentParser(prog="python -m demo.measure", description=COMMAND)
    parser.add_argument("--model", default="fashion-28", help=MODEL_HELP)
    parser.add_argument("--repeat", default=5, type=int, help=REPEAT_HELP)
    parser.add_argument("--memory", nargs="?", type=int, const=memory.SETTINGS, metavar="RUNS", help=MEMORY_HELP)
    options = parser.parse_args(argv)
    try:
        if options.memory is None:
            result = measure(options.model, options.repeat)
        else:
            validate.integer("memory", options.memory, 1, memory.MOST)
            with serve(options.model) as server:
                result = memory.grown(server.url, server.process_id, options.memory, _progress)
    except (ValueError, OSError, RuntimeError) as error:
        print(COMMAND_ERROR.format(error=error), file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


def measure(model: str, repeat: int = 5) -> dict:
    """All figures of the command. Raises ValueError for bad arguments, RuntimeError where there is no browser or no server."""
    repeat = validate.integer("repeat", repeat, 1, MOST_REPEATS)
    checkpoints.load_config(model)
    by_name = model in checkpoints.available() or model in checkpoints.OFFICIAL
    name = model if by_name else str(Path(model).resolve())  # the server may run in another folder
    with open_browser() as browser:
        with serve(name) as server:
            cold = server.start_s
        starts = []
        for _ in range(repeat - 1):
            with serve(name) as server:
                starts.append(server.start_s)
        with serve(name) as server:
            starts.append(server.start_s)
            figures, watched = _visit(browser, server.url, name, repeat)
        version = browser.version
    outside = [url for url in watched.requested if not _inside(url, server.url)]
    return {
        **_median("server_start_s", starts),
        "server_first_start_s": cold,
        **figures,
        "outside_requests": len(outside),
        "outside_urls": sorted(set(outside)),
        "console_errors": len(watched.complaints),
        "console_texts": watched.complaints,
        "repetitions": repeat,
        "model": model,
        "browser": version,
        "machine": machine_facts("cuda" if torch.cuda.is_available() else "cpu"),
    }


def _inside(url: str, base: str) -> bool:
    return urlparse(url).netloc == urlparse(base).netloc or url.startswith(("data:", "blob:", "about:"))


def _median(name: str, values: list[float]) -> dict:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {name: statistics.median(values), f"{name}_spread": high - low}


# -- server ----------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    url: str
    process_id: int
    start_s: float  # from the start of the process until the page is answered


@contextlib.contextmanager
def serve(model: str) -> Iterator[Server]:
    """The page in a process of its own on a free port, ended at the end. Raises RuntimeError where it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "demo", "--port", str(port), "--model", model]
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            while not _answers(url):
                code = process.poll()
                if code is not None or time.perf_counter() - begin > START_LIMIT:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").strip()[-2000:]
                    told = NOT_SERVED if code is None else SERVER_ENDED
                    raise RuntimeError(told.format(code=code, seconds=START_LIMIT, lines=lines))
                time.sleep(0.02)
            yield Server(url, process.pid, time.perf_counter() - begin)
        finally:
            process.terminate()
            try:
                process.wait(END_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


# -- browser ---------------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """What the pages asked for and complained about."""

    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_browser():
    """Chromium: Debian's, or else Playwright's own. Raises RuntimeError where there is neither."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError(NO_PLAYWRIGHT) from None
    with sync_playwright() as driver:
        path = SYSTEM_CHROMIUM if Path(SYSTEM_CHROMIUM).exists() else driver.chromium.executable_path
        if not Path(path).exists():
            raise RuntimeError(NO_BROWSER.format(system=SYSTEM_CHROMIUM))
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        except Error as error:
            raise RuntimeError(str(error).splitlines()[0]) from None
        finally:
            browser.close()


def _open(browser, url: str, watched: Watched):
    page = browser.new_context(viewport=VIEWPORT, locale="en-US").new_page()
    page.set_default_timeout(PAGE_LIMIT_MS)
    page.on("request", lambda request: watched.requested.append(request.url))
    page.on("console", lambda entry: watched.complaints.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.add_init_script(WATCH)
    page.goto(url)
    return page


def _visit(browser, url: str, model: str, repeat: int) -> tuple[dict, Watched]:
    """First paints, each by a visitor with an empty cache, then the clicks of one visitor."""
    watched, paints = Watched(), []
    recorded = model in checkpoints.available()
    for _ in range(repeat + 1 if recorded else 0):
        page = _open(browser, url, watched)
        page.wait_for_function("vmTimes.painted !== null")
        paints.append(page.evaluate("vmTimes.painted") / 1000)
        page.context.close()
        _progress(f"first paint {paints[-1]:.3f} s")
    page = _open(browser, url, watched)
    page.wait_for_function("vmView() && vmExplorer()")
    page.wait_for_timeout(SETTLE_MS)
    names = [model, *(name for name in checkpoints.available() if name != model)]
    clicks, first, tokens = {}, {}, []
    for i, name in enumerate(names):
        if i:
            _choose(page, name)
        first[name], *clicks[name] = [_generate(page, seed) for seed in range(1000, 1001 + repeat)]
        _progress(f"{name}: first click {first[name]:.3f} s, then {statistics.median(clicks[name]):.3f} s")
        if not i:
            _token_click(page)  # the first one warms up
            tokens = [_token_click(page) for _ in range(repeat)]
    page.wait_for_timeout(SETTLE_MS)
    page.context.close()
    figures = {
        **(_median("first_paint_s", paints[1:]) if paints else {"first_paint_s": None}),
        "first_paint_of_first_visitor_s": paints[0] if paints else None,
        **_median("click_to_final_s", clicks[model]),
        "click_to_final_by_model": {name: statistics.median(values) for name, values in clicks.items()},
        "click_to_final_by_model_spread": {name: _median("x", values)["x_spread"] for name, values in clicks.items()},
        "first_click_to_final_by_model": first,  # loads the model, too
        **_median("token_click_s", tokens),
    }
    return figures, watched


def _choose(page, name: str) -> None:
    """Chooses another model in the list, and waits until the page shows its recorded run, or its empty strip."""
    page.evaluate("() => { window.vmBefore = vmExplorer().run(); }")
    page.locator("#vm-tab-draw").get_by_label(wording.text("model"), exact=True).click()
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_function("vmExplorer().run() !== vmBefore")
    page.wait_for_timeout(SETTLE_MS)


def _generate(page, seed: int) -> float:
    """Seconds from the press of Generate until the last scale of the run with this seed is on the page."""
    number = page.locator("#vm-tab-draw input[type=number]").first
    number.fill(str(seed))
    number.press("Tab")
    page.evaluate(f"() => {{ vmTimes.done = null; vmWait({DRAWN % seed}).then((now) => {{ vmTimes.done = now; }}); }}")
    page.locator("#vm-generate").click()
    page.wait_for_function("vmTimes.done !== null")
    return page.evaluate("vmTimes.done - vmTimes.pressed") / 1000


def _token_click(page) -> float:
    """Seconds from the press on a token of the last map until its attention is drawn on the maps."""
    frame = page.locator("#vm-explorer .vx-frame").last
    frame.scroll_into_view_if_needed()
    page.evaluate("() => { delete vmView().dataset.attention; vmTimes.done = null; }")
    page.evaluate(f"() => {{ vmWait({SHOWN}).then((now) => {{ vmTimes.done = now; }}); }}")
    box = frame.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_function("vmTimes.done !== null")
    return page.evaluate("vmTimes.done - vmTimes.pressed") / 1000


def _progress(text: str) -> None:
    print(f"demo.measure: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
