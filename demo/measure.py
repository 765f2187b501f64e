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

from . import DEFAULT_MODEL, front, memory

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
MOST_REPEATS = 100

VIEWPORTS = {"1280x800": (1280, 800), "1440x900": (1440, 900), "1920x1080": (1920, 1080), "390x844": (390, 844)}
PLAYS_S = (4.0, 9.0)  # how long the run that plays when the page opens may take

# Runs in every page before anything of it: notes when the first map is painted, every scale that is shown, the largest
# contentful paint, and when the pointer goes down.
WATCH = """
window.vmTimes = { painted: null, pressed: null, done: null, first: null, shown: [], largest: null };
addEventListener('pointerdown', () => { vmTimes.pressed = performance.now(); }, true);
window.vmWait = (ready) => new Promise((resolve) => {
  const look = () => (ready() ? resolve(performance.now()) : requestAnimationFrame(look));
  look();
});
window.vmView = () => document.querySelector('#vm-first');
window.vmRun = () => window.varMini?.run();
vmWait(() => Number(vmView()?.dataset.shown) > 0).then((now) => { vmTimes.painted = now; });
(function note() {
  const shown = Number(vmView()?.dataset.shown ?? 0), last = vmTimes.shown.at(-1);
  if (shown && last?.scale !== shown) vmTimes.shown.push({ scale: shown, at: performance.now() });
  requestAnimationFrame(note);
})();
new PerformanceObserver((list) => { vmTimes.largest = list.getEntries().at(-1).startTime; })
  .observe({ type: 'largest-contentful-paint', buffered: true });
"""
# true once the whole run of a seed has arrived on the page
DRAWN = "() => { const run = vmRun(); return run.settings.seed === %d && run.scales.length === run.sides.length; }"
FIRST = "() => vmRun().settings.seed === %d && Number(vmView().dataset.shown) > 0"
SHOWN = "() => vmView().dataset.attention === 'shown'"
PLAYED = "() => { const view = vmView(); return view && Number(view.dataset.shown) === Number(view.dataset.scales); }"
# whether the large picture and, on a wide screen, the whole pyramid can be seen without scrolling
IN_SIGHT = """() => ['.vu-frame', ...(innerWidth > 820 ? ['.vu-pyramid'] : [])].every((selector) => {
  const box = document.querySelector(`#vm-first ${selector}`).getBoundingClientRect();
  return box.width > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
})"""


def main(argv: list[str] | None = None) -> int:
    """Prints the figures. Returns 2 after one line on stderr where something that they need is missing."""
    parser = argparse.ArgumentParser(prog="python -m demo.measure", description=COMMAND)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=MODEL_HELP)
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
            figures["picture_in_first_screen"] = {size: _in_sight(browser, server.url, size, watched) for size in VIEWPORTS}
        version = browser.version
    outside = [url for url in watched.requested if not _inside(url, server.url)]
    return {
        **_median("server_start_s", starts),
        "server_first_start_s": cold,
        **figures,
        "bundle_kb": front.bundle() / 1000,
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


def _open(browser, url: str, watched: Watched, size: tuple[int, int] = VIEWPORTS["1280x800"], **options):
    viewport = {"width": size[0], "height": size[1]}
    page = browser.new_context(viewport=viewport, locale="en-US", **options).new_page()
    page.set_default_timeout(PAGE_LIMIT_MS)
    page.on("request", lambda request: watched.requested.append(request.url))
    page.on("console", lambda entry: watched.complaints.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.add_init_script(WATCH)
    page.goto(url)
    return page


def _visit(browser, url: str, model: str, repeat: int) -> tuple[dict, Watched]:
    """First paints, each by a visitor with an empty cache, then the clicks of one visitor."""
    watched, paints, largest = Watched(), [], []
    for _ in range(repeat + 1):
        page = _open(browser, url, watched)
        page.wait_for_function("vmTimes.painted !== null && vmTimes.largest !== null")
        paints.append(page.evaluate("vmTimes.painted") / 1000)
        page.wait_for_timeout(SETTLE_MS)
        largest.append(page.evaluate("vmTimes.largest") / 1000)
        page.context.close()
        _progress(f"first paint {paints[-1]:.3f} s, largest {largest[-1]:.3f} s")
    page = _open(browser, url, watched)
    page.wait_for_function(PLAYED)
    plays = _plays(page.evaluate("vmTimes.shown"), page.evaluate("vmRun().sides.length"))
    page.wait_for_timeout(SETTLE_MS)
    names = [model, *(name for name in checkpoints.available() if name != model)]
    clicks, first, begun, tokens = {}, {}, [], []
    for i, name in enumerate(names):
        if i:
            _choose(page, name)
        times = [_draw(page, seed) for seed in range(1000, 1001 + repeat)]
        first[name], *clicks[name] = [final for final, _ in times]
        _progress(f"{name}: first click {first[name]:.3f} s, then {statistics.median(clicks[name]):.3f} s")
        if not i:
            begun = [scale for _, scale in times[1:]]
            _token_click(page)  # the first one warms up
            tokens = [_token_click(page) for _ in range(repeat)]
    page.wait_for_timeout(SETTLE_MS)
    page.context.close()
    figures = {
        **_median("first_paint_s", paints[1:]),
        "first_paint_of_first_visitor_s": paints[0],
        **_median("lcp_s", largest[1:]),
        "plays_on_load": plays,
        **_median("click_to_first_scale_s", begun),
        **_median("click_to_final_s", clicks[model]),
        "click_to_final_by_model": {name: statistics.median(values) for name, values in clicks.items()},
        "click_to_final_by_model_spread": {name: _median("x", values)["x_spread"] for name, values in clicks.items()},
        "first_click_to_final_by_model": first,  # loads the model, too
        **_median("token_click_s", tokens),
    }
    return figures, watched


def _plays(shown: list[dict], scales: int) -> bool:
    """Whether the scales came one after the other, at a pace that can be followed."""
    took = (shown[-1]["at"] - shown[0]["at"]) / 1000 * scales / (scales - 1)  # the first one has its time, too
    return [one["scale"] for one in shown] == list(range(1, scales + 1)) and PLAYS_S[0] <= took <= PLAYS_S[1]


def _in_sight(browser, url: str, size: str, watched: Watched) -> bool:
    """Whether the picture is seen without scrolling once the run stands there; with reduced motion it does at once."""
    page = _open(browser, url, watched, VIEWPORTS[size], reduced_motion="reduce")
    page.wait_for_function(PLAYED)
    page.wait_for_timeout(SETTLE_MS)
    seen = page.evaluate(IN_SIGHT)
    page.context.close()
    return seen


def _choose(page, name: str) -> None:
    """Chooses another model in the settings, and waits until the page shows its recorded run."""
    page.locator("#vm-settings").click()
    page.locator(".vu-settings select").first.select_option(name)
    page.keyboard.press("Escape")
    page.wait_for_function("(name) => vmRun()?.settings.model === name", arg=name)
    page.wait_for_function(PLAYED)
    page.wait_for_timeout(SETTLE_MS)


def _draw(page, seed: int) -> tuple[float, float]:
    """Seconds from the press of Draw until the whole run with this seed has arrived, and until its first scale is shown."""
    page.locator("#vm-settings").click()
    page.locator(".vu-settings input[type=number]").fill(str(seed))
    page.evaluate(f"""() => {{
      Object.assign(vmTimes, {{ done: null, first: null }});
      vmWait({DRAWN % seed}).then((now) => {{ vmTimes.done = now; }});
      vmWait({FIRST % seed}).then((now) => {{ vmTimes.first = now; }});
    }}""")
    page.locator(".vu-settings .vu-primary").click()
    page.wait_for_function("vmTimes.done !== null && vmTimes.first !== null")
    times = page.evaluate("[vmTimes.done - vmTimes.pressed, vmTimes.first - vmTimes.pressed].map((ms) => ms / 1000)")
    page.locator("#vm-settings").click()  # closes the settings
    page.wait_for_function(PLAYED)
    return tuple(times)


def _token_click(page) -> float:
    """Seconds from the press on a token of the last map until its attention is drawn on the maps."""
    page.evaluate("() => { varMini.acts.leave(true); vmTimes.done = null; }")
    page.evaluate(f"() => {{ vmWait({SHOWN}).then((now) => {{ vmTimes.done = now; }}); }}")
    box = page.locator("#vm-first [data-map]").last.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_function("vmTimes.done !== null")
    return page.evaluate("vmTimes.done - vmTimes.pressed") / 1000


def _progress(text: str) -> None:
    print(f"demo.measure: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
