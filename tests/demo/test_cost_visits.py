"""Visits to the chapter on costs in a real browser."""

from __future__ import annotations

import pytest

from demo import wording
from demo.chapters import cost
from tests.demo.visits import DRAWN, open_chapter
from var_mini.cost import live
from var_mini.cost.roofline import DEVICES

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """However busy the machine is."""
    monkeypatch.setattr(cost, "SECONDS", live.LONGEST)


def open_cost(page):
    open_chapter(page, "cost")
    page.wait_for_selector("#vm-cost-answer .vu-figure svg[role=img]")


def choose(page, what: str) -> None:
    """What the chart shows, and is measured."""
    page.locator("#vm-cost-answer .vu-choosers select").first.select_option(what)


def status_starts(page, text):
    page.wait_for_function("(text) => document.querySelector('.vm-cost-status p')?.innerText.startsWith(text)", arg=text)


@pytest.mark.slow
def test_visit_measures_two_sides_by_keyboard(visit, server):
    page = visit(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    open_cost(page)
    for side in (16, 24, 32):
        box = page.locator("#vm-cost-sides").get_by_label(str(side), exact=True)
        box.focus()
        page.keyboard.press("Space")
    page.locator("#vm-cost-measure").focus()
    page.keyboard.press("Enter")
    status_starts(page, "Done: 8 of 8")
    assert page.locator("#vm-cost-answer .vu-ring").count() == 8  # in the one chart of the chapter
    assert page.locator("#vm-cost figure svg[role=img]:visible").count() == 1
    assert page.locator(".vm-cost-status progress").evaluate("e => e.value / e.max") == 1
    assert "up to 329 tokens" in page.locator("#vm-cost-measured").inner_text()
    answer = page.locator("#vm-cost-answer")
    choose(page, "raster")
    page.wait_for_function("!document.querySelector('#vm-cost-answer .vu-ring')")
    answer.get_by_text("scale by scale is").wait_for()
    page.get_by_label(EN["cost_raster"], exact=True).wait_for()
    assert page.get_by_label(EN["cost_raster"], exact=True).is_checked() and answer.locator(".vu-choosers select").count() == 1
    choose(page, "attention")
    page.get_by_label(EN["cost_exact"], exact=True).wait_for()
    assert page.locator("#vm-cost-answer .vu-ring").count() == 8  # they were kept
    answer.get_by_role("slider").focus()
    for _ in range(64 - 32):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#vm-cost-counted').innerText.includes('n = 64')")
    answer.get_by_text("At side 64 (9,451 tokens)").wait_for()
    answer.locator("svg.vu-dragged").scroll_into_view_if_needed()
    box = answer.locator("svg.vu-dragged").bounding_box()  # the line is dragged to the left end of the chart, where exact wins
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 66, box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    answer.get_by_text("exact attention with a cache wins").wait_for()
    page.wait_for_function("document.querySelector('#vm-cost-counted').innerText.includes('n = 8')")
    answer.locator(".vu-choosers select").last.select_option("8")
    answer.get_by_text("Times for head dimension 8").wait_for()
    answer.get_by_role("slider").fill("64")
    page.wait_for_function("document.querySelector('#vm-cost-counted').innerText.includes('n = 64')")
    assert "9,451 tokens" in page.locator("#vm-cost-counted").inner_text()
    assert not page.locator("#vm-cost-modelled").is_visible()
    page.locator("#vm-cost summary", has_text=EN["cost_modelled"]).focus()
    page.keyboard.press("Enter")
    page.get_by_label(DEVICES["A100"].name).check()
    page.wait_for_function("document.querySelector('#vm-cost-modelled').innerText.includes('312')")
    assert page.complaints == []
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == []


@pytest.mark.slow
def test_stop_frees_the_worker(visit):
    page = visit(viewport={"width": 1280, "height": 800})
    open_cost(page)
    choose(page, "raster")
    page.get_by_label(EN["cost_raster_cached"], exact=True).wait_for()
    for side in (8, 12, 16, 24):
        page.locator("#vm-cost-sides").get_by_label(str(side), exact=True).uncheck()
    page.locator("#vm-cost-measure").click()  # side 32, token by token without a cache: many seconds for a single run
    status_starts(page, EN["cost_waiting"])
    other = visit(viewport={"width": 1280, "height": 800})
    other.locator("#vm-new").click()
    page.locator("#vm-cost-stop").click()
    status_starts(page, "Stopped: 0 of 4")
    other.wait_for_function(DRAWN)
    assert page.complaints == []


@pytest.mark.slow
def test_a_phone_needs_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 390, "height": 844})
    open_cost(page)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    wide = "(e) => [...e.querySelectorAll('svg, p, h4')].every((x) => x.getBoundingClientRect().right <= innerWidth + 1)"
    assert page.locator("#vm-cost").evaluate(wide)
