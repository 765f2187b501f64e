"""The site held against Python: the same settings drawn in Chromium, from a static folder under a sub-path, and by torch.

Token ids must be equal. Where they are not, both are forced along Python's ids: logits that differ by more than float32 sums in
another order can explain are a fault, and nearer ones mean that two codes were about equally good (a near tie).
"""

from __future__ import annotations

import base64
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from var_mini import checkpoints, validate
from var_mini.analysis.editing import tokenize_picture
from var_mini.analysis.inspection import attention_row
from var_mini.config import Sampling
from var_mini.cost.machine import machine_facts
from var_mini.data.samples import load_samples
from var_mini.model import Model

from ..measure import open_browser
from ..memory import resident
from .build import build
from .serve import serving
from .unwatched import unwatched

PLACE = "class/var-mini"  # the site lies below the root of its host
ATTENTIONS = ("exact", "poly-2", "landmark-32")
LOGITS, IMAGES, ROWS = 1e-3, 1e-5, 1e-4  # largest differences that are no fault
MOST_SEEDS = 10_000
REST_S = 10  # after which a browser has collected what is no longer needed
LOOK_S = 0.2  # between two looks whether the page is ready
MEMORY_RUNS = 20  # of every kind of attention, in the tab whose memory is measured
OWN_WINDOW = b"--top-chrome-webui"  # in the command of a renderer that draws the browser's own windows, its address bar for one
ROWS_PER_MODE = 4  # attention rows, each of another run, layer, head and token
OPTIONS = (  # name, what is changed in the model's own sampling settings
    ("guidance 0", {"guidance": 0.0}),
    ("temperature 0.7", {"temperature": 0.7}),
    ("top-k 50", {"top_k": 50}),
    ("top-k 1", {"top_k": 1}),
    ("top-p 0.8", {"top_p": 0.8}),
    ("all of them", {"guidance": 1.5, "temperature": 1.3, "top_k": 200, "top_p": 0.95}),
)
SCRIPT = """
async () => {
  const { browserEngine } = await import('./ui/engines/browser.js');
  const bytes = (values) => {
    let text = '';
    const all = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let i = 0; i < all.length; i += 8192) text += String.fromCharCode(...all.subarray(i, i + 8192));
    return btoa(text);
  };
  const engine = browserEngine({ models: 'models/' });
  window.check = {
    load: (name) => timed(() => engine.load(name)),
    draw: async (settings) => {
      const { scales, seconds } = await timed(() => engine.draw(settings, { raw: 'picture' }));
      return { seconds, ids: scales.map((s) => s.ids), picture: bytes(scales.at(-1).picture) };
    },
    logits: async (settings) => (await engine.draw(settings, { raw: 'logits' })).scales.map((s) => bytes(s.logits)),
    row: (settings, ids, place) => {
      const run = { model: settings.model, settings, scales: ids.map((one) => ({ ids: one })) };
      return engine.attention(run, place);
    },
    tokenize: async (name, picture) => (await engine.tokenize(name, picture)).scales.map((s) => s.ids),
  };
  async function timed(work) {
    const begin = performance.now(), result = await work();
    return { ...result, seconds: (performance.now() - begin) / 1000 };
  }
}
"""


@dataclass
class Found:
    """What comparing one model's runs of one kind has brought."""

    runs: int = 0
    equal: int = 0
    near_ties: int = 0
    faults: list[dict] = field(default_factory=list)
    image: float = 0.0
    seconds: list[float] = field(default_factory=list)
    torch_seconds: list[float] = field(default_factory=list)

    def figures(self) -> dict:
        return {
            "runs": self.runs,
            "ids_equal": self.equal,
            "near_ties": self.near_ties,
            "faults": self.faults,
            "image_difference": self.image,
            "seconds": statistics.median(self.seconds),
            "torch_seconds": statistics.median(self.torch_seconds),
        }


def check(names: list[str] | None = None, seeds: int = 40) -> dict:
    """All figures of the command. Raises RuntimeError where there is no browser."""
    seeds = validate.integer("seeds", seeds, 1, MOST_SEEDS)
    names = names or checkpoints.available()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    requested: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as root, open_browser() as browser:
            build(Path(root) / PLACE, names)
            with serving(root) as host:
                url = f"{host}{PLACE}/"
                with unwatched(browser):
                    time.sleep(REST_S)  # its process is still starting
                    blank = _resident_mb(browser)
                models = {}
                for name in names:
                    model = checkpoints.load(name)
                    memory = _memory(browser, url, model, seeds, blank)
                    with _page(browser, url, requested) as page:
                        models[model.config.name] = _model(page, model, seeds, root) | memory
                offline = _offline(browser, url, requested)
            version = browser.version
    finally:
        torch.set_num_threads(threads)
    outside = sorted({address for address in requested if not address.startswith((host, "data:", "blob:"))})
    sound = all(_sound(entry) for entry in models.values()) and offline and not outside
    return {
        "sound": sound,
        "models": models,
        "works_offline_after_first_visit": offline,
        "outside_requests": len(outside),
        "outside_urls": outside,
        "blank_tab_mb": blank,
        "browser": version,
        "machine": machine_facts("cpu") | {"threads": 1},
    }


def _sound(entry: dict) -> bool:
    modes = [*entry["attention"].values(), *entry["options"].values()]
    rows = [mode.get("row_difference", 0.0) for mode in modes]
    return (
        not any(mode["faults"] for mode in modes)
        and max(mode["image_difference"] for mode in modes) <= IMAGES
        and max(rows) <= ROWS
        and entry["tokenized"]["pictures"] == entry["tokenized"]["equal"]
    )


@contextlib.contextmanager
def _page(browser, url: str, requested: list[str]) -> Iterator:
    context = browser.new_context()
    context.set_default_timeout(0)
    page = context.new_page()
    context.on("request", lambda request: requested.append(request.url))
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.evaluate(SCRIPT)
    try:
        yield page
    finally:
        context.close()


def _attentions(model: Model) -> tuple[str, ...]:
    return ATTENTIONS if model.transformer.calibration.landmarks else ATTENTIONS[:2]


def _memory(browser, url: str, model: Model, seeds: int, blank: float) -> dict:
    """Megabytes above a blank tab, of a tab that opens the site, loads the model and draws with every kind of attention."""
    name, most = json.dumps(model.config.name), 0.0
    with unwatched(browser, url) as tab:
        while not tab.evaluate("document.body?.dataset.ready"):
            time.sleep(LOOK_S)
        tab.evaluate(f"({SCRIPT})().then(() => true)")
        tab.evaluate(f"check.load({name})")
        for attention in _attentions(model):
            for seed in range(min(seeds, MEMORY_RUNS)):
                settings = json.dumps(_settings(model, seed, {"attention": attention}))
                tab.evaluate(f"check.draw({settings})")
                most = max(most, _resident_mb(browser) - blank)
        time.sleep(REST_S)
        rested = _resident_mb(browser) - blank
    # at its most while drawing, with what waits to be collected as garbage; and when the tab has stood still for a while
    return {"memory_mb": most, "memory_at_rest_mb": rested}


def _model(page, model: Model, seeds: int, root: str) -> dict:
    config, name = model.config, model.config.name
    loaded = page.evaluate("(name) => check.load(name)", name)
    by_attention = {}
    for attention in _attentions(model):
        found, ids = Found(), {}
        for seed in range(seeds):
            settings = _settings(model, seed, {"attention": attention})
            ids[seed] = _compare(page, model, settings, found)
        by_attention[attention] = found.figures() | {"row_difference": _rows(page, model, attention, ids)}
        _progress(f"{name}, {attention}: {found.equal} of {found.runs} runs with equal ids")
    options = {}
    for label, changes in OPTIONS:
        found = Found()
        for seed in range(1000, 1000 + max(2, seeds // 10)):
            _compare(page, model, _settings(model, seed, {"attention": "exact"} | changes), found)
        options[label] = found.figures()
    options["forced"] = _forced(page, model, max(2, seeds // 10))
    tokenized = _tokenized(page, model)
    index = json.loads((Path(root) / PLACE / "models" / "index.json").read_text())
    return {
        "load_s": loaded["seconds"],
        "webassembly": loaded["fast"],
        "download_kb": next(entry["download_kb"] for entry in index["models"] if entry["name"] == name),
        "tokens": config.pyramid.tokens,
        "attention": by_attention,
        "options": options,
        "tokenized": tokenized,
    }


def _settings(model: Model, seed: int, changes: dict) -> dict:
    """Of a run: every seed with another class, and another style where there are styles."""
    c, s = model.config.transformer, model.config.sampling
    style = {"style": seed % (c.num_styles + 1)} if c.num_styles else {}
    sampling = {"guidance": s.guidance, "temperature": s.temperature, "top_k": s.top_k, "top_p": s.top_p}
    return {"model": model.config.name, "label": 7 * seed % c.num_classes, **style, "seed": seed} | sampling | changes


def _python(model: Model, settings: dict, **options) -> list:
    """The steps that Python draws of a run."""
    sampling = Sampling(*(settings[name] for name in ("guidance", "temperature", "top_k", "top_p")))
    how = {"attention": settings["attention"], "style": settings.get("style")}
    return list(model.generate(settings["label"], settings["seed"], sampling, **how, **options))


def _compare(page, model: Model, settings: dict, found: Found, forced: list | None = None) -> list[list[int]]:
    """Draws a run here and there and counts it in `found`; returns Python's ids. `forced` as `generate` takes it."""
    asked = settings if forced is None else settings | {"forced": _as_json(forced)}
    theirs = page.evaluate("(settings) => check.draw(settings)", asked)
    begin = time.perf_counter()
    steps = _python(model, settings, forced=forced)
    found.torch_seconds.append(time.perf_counter() - begin)
    found.seconds.append(theirs["seconds"])
    found.runs += 1
    ids = [step.token_ids[0].tolist() for step in steps]
    if ids == theirs["ids"]:
        found.equal += 1
        picture = np.frombuffer(base64.b64decode(theirs["picture"]), np.float32)
        found.image = max(found.image, float(np.abs(picture - steps[-1].image[0].flatten().numpy()).max()))
    else:
        difference = _logit_difference(page, model, settings, steps)
        if difference <= LOGITS:
            found.near_ties += 1
        else:
            found.faults.append({"settings": settings, "logit_difference": difference})
    return ids


def _as_json(forced: list) -> list[dict]:
    return [{"ids": ids.tolist(), "where": where.tolist()} for ids, where in forced]


def _logit_difference(page, model: Model, settings: dict, steps: list) -> float:
    """The largest difference of guided logits where both go along Python's ids."""
    everywhere = [(step.token_ids[0], torch.ones_like(step.token_ids[0], dtype=torch.bool)) for step in steps]
    theirs = page.evaluate("(settings) => check.logits(settings)", settings | {"forced": _as_json(everywhere)})
    ours = _python(model, settings, forced=everywhere, keep_logits=True)
    differences = [
        float(np.abs(np.frombuffer(base64.b64decode(text), np.float32) - step.logits[0].flatten().numpy()).max())
        for text, step in zip(theirs, ours, strict=True)
    ]
    return max(differences)


def _rows(page, model: Model, attention: str, ids: dict[int, list]) -> float:
    """The largest difference of an attention weight, over a few rows."""
    c, pyramid, largest = model.config.transformer, model.config.pyramid, 0.0
    for seed in list(ids)[:ROWS_PER_MODE]:
        settings, level = _settings(model, seed, {"attention": attention}), (2 * seed + 1) % pyramid.num_scales
        layer, head, token = seed % c.depth, (3 * seed + 1) % c.heads, (11 * seed + 5) % pyramid.counts[level]
        place = {"layer": layer, "head": head, "token": pyramid.slices[level].start + token}
        theirs = page.evaluate("([settings, ids, place]) => check.row(settings, ids, place)", [settings, ids[seed], place])
        flat = torch.tensor([code for scale in ids[seed] for code in scale])
        ours = attention_row(model, flat, settings["label"], level, token, attention, settings.get("style"))[layer, head]
        largest = max(largest, float(np.abs(np.array(theirs["weights"]) - ours.numpy()).max()))
    return largest


def _forced(page, model: Model, seeds: int) -> dict:
    """The figures of edits: the middle of one run is drawn anew in the next class."""
    found = Found()
    for seed in range(2000, 2000 + seeds):
        settings = _settings(model, seed, {"attention": "exact"})
        steps = _python(model, settings)
        inside = [_middle(step.side) for step in steps]
        forced = [(step.token_ids[0], ~where) for step, where in zip(steps, inside, strict=True)]
        other = settings | {"label": (settings["label"] + 1) % model.config.transformer.num_classes, "seed": seed + 1}
        _compare(page, model, other, found, forced)
    return found.figures()


def _middle(side: int) -> torch.Tensor:
    """Bool (side^2,): the rows and columns from a quarter to three quarters."""
    inner = (torch.arange(side) >= side // 4) & (torch.arange(side) < side - side // 4)
    return (inner[:, None] & inner[None, :]).flatten()


def _tokenized(page, model: Model) -> dict:
    """Held-out pictures taken apart here and there."""
    samples, equal = load_samples(model.config), 0
    for sample in samples:
        pixels = (sample.image * 255).round().to(torch.uint8)
        pixels = pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels
        rgba = torch.cat([pixels, torch.full_like(pixels[:1], 255)]).permute(1, 2, 0)
        picture = {"width": rgba.shape[1], "height": rgba.shape[0], "data": rgba.flatten().tolist()}
        theirs = page.evaluate("([name, picture]) => check.tokenize(name, picture)", [model.config.name, picture])
        equal += theirs == [step.token_ids[0].tolist() for step in tokenize_picture(model, sample.image).steps]
    return {"pictures": len(samples), "equal": equal}


def _offline(browser, url: str, requested: list[str]) -> bool:
    """Whether a visitor who has drawn once opens the page and draws again without a network."""
    with _page(browser, url, requested) as page:
        name = page.evaluate("() => varMini.store.get().model.name")
        page.evaluate("(name) => check.load(name)", name)
        page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        page.evaluate(SCRIPT)
        drawn = page.evaluate("(model) => check.draw({ model, class: 0 })", name)
        return len(drawn["ids"]) > 0


def _resident_mb(browser) -> float:
    """Megabytes of the largest page of the browser, its Workers included; the browser's own windows do not count."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    found = []
    for process in processes:
        with contextlib.suppress(RuntimeError, OSError):  # it may have ended meanwhile
            if process["type"] == "renderer" and OWN_WINDOW not in Path(f"/proc/{process['id']}/cmdline").read_bytes():
                found.append(resident(process["id"]))
    return max(found, default=0) / 1e6


def told(figures: dict) -> str:
    """The figures as a few lines of text."""
    lines = []
    for name, entry in figures["models"].items():
        lines.append(
            f"{name}: {entry['download_kb']} kB, loaded in {entry['load_s']:.2f} s, {entry['memory_mb']:.0f} MB"
            f" at most, {entry['memory_at_rest_mb']:.0f} MB at rest"
        )
        for kind, mode in (entry["attention"] | entry["options"]).items():
            ids = f"{mode['ids_equal']} of {mode['runs']} equal, {mode['near_ties']} near ties, {len(mode['faults'])} faults"
            lines.append(f"  {kind:16} {ids}; {mode['seconds']:.3f} s, torch {mode['torch_seconds']:.3f} s")
    lines.append(f"outside requests: {figures['outside_requests']}; offline: {figures['works_offline_after_first_visit']}")
    return "\n".join([*lines, "sound" if figures["sound"] else "NOT SOUND"])


def _progress(text: str) -> None:
    print(f"demo.live: {text}", file=sys.stderr, flush=True)
