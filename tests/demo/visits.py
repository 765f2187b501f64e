"""What visits of several chapters share."""

from __future__ import annotations

import json
import re
from html import unescape

from demo import wording
from var_mini import checkpoints

# every text in English: of what Gradio makes, and of the front end
EN = {name: pair[0] for name, pair in wording.TEXTS.items()} | {
    name: pair["en"] for name, pair in wording.WORDS.items() if name != "names"
}

# the whole run of the first screen has arrived; and all of its scales have been shown
DRAWN = "(e => e && e.dataset.drawn === e.dataset.scales)(document.querySelector('#vm-first'))"
SHOWN = "(e => e && e.dataset.shown === e.dataset.scales)(document.querySelector('#vm-first'))"
RUN = "window.varMini.run()"


def record(name: str, label=0, seed=0, **changes) -> dict:
    """What the first screen tells a chapter: a model's own sampling, exact attention, or with `changes`."""
    own = vars(checkpoints.load_config(name).sampling)
    return {"model": name, "label": label, "seed": seed, **own, "attention": "exact"} | changes


class Event:
    """What Gradio hands to a listener of an event that the browser triggered."""

    def __init__(self, data):
        self._data = data


def charts_of(html: str) -> list[dict]:
    """What the charts in a result show, as demo/charts.py writes it."""
    return [json.loads(unescape(found)) for found in re.findall(r'data-chart="(.*?)"', html)]


def draw(page, seed: int) -> dict:
    """Draws with a seed as a visitor does, in the settings; returns the run once it has arrived whole."""
    if not page.locator(".vu-settings").count():
        page.locator("#vm-settings").click()
    page.locator(".vu-settings input[type=number]").fill(str(seed))
    page.locator(".vu-settings .vu-primary").click()
    page.wait_for_function(f"{RUN}?.settings.seed === {seed} && {DRAWN}")
    page.locator("#vm-settings").click()
    return page.evaluate(RUN)


# a place of the page stands at the top of the window, below the bar of chapters
AT = """(name) => {
  const top = document.getElementById(name)?.getBoundingClientRect().top;
  return top > -2 && top < 60;
}"""


def open_chapter(page, name: str) -> None:
    """Goes to a chapter, as a visitor does, by the bar of chapters; the page is not loaded anew."""
    page.evaluate("window.sameVisit = true")
    page.locator(f"#{name} h2").first.wait_for(state="attached")  # Gradio starts after the first screen
    page.locator(f"#vm-contents a[href='#{name}']").click()
    page.wait_for_function(AT, arg=name)
    assert page.evaluate("window.sameVisit")


def turns_dark(page, place: str) -> bool:
    """Whether the background of a place is light, and becomes dark once the visitor's system does."""
    colour = f"getComputedStyle(document.querySelector('{place}')).backgroundColor.match(/[\\d.]+/g).slice(0, 3)"
    light = f"{colour}.reduce((sum, level) => sum + Number(level), 0) > 3 * 128"
    before = page.evaluate(light)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"!({light})")
    return before


def overflow(page) -> int:
    """Pixels by which the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
