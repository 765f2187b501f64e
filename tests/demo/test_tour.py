"""The guided tour: its texts are whole, and a visitor can answer, look, leave, resume, and do all that by keyboard."""

from __future__ import annotations

import json
import re

import pytest

from demo import app, front, wording
from demo.chapters import tour
from tests.demo.visits import AT
from var_mini.checkpoints import OFFICIAL, load_config

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
KEY = "var-mini-tour"
VIEW = front.FOLDER / "views" / "Tour.js"
TOPICS = ("input", "together", "mask", "phi", "codebook", "diffusion", "count", "coarse", "lowrank", "cost")


def act(page, name: str):
    return page.locator(f"#vm-tour [data-act={name}]")


def title(page) -> str:
    return page.locator(".vt-title").inner_text().split("\n")[-1]


def start(page, step: int = 0) -> None:
    act(page, "start").click()
    for _ in range(step):
        act(page, "next").click()


def saved(page):
    return json.loads(page.evaluate(f"localStorage.getItem('{KEY}')"))


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


# -- texts and steps -------------------------------------------------------------------------------------------------


def test_the_steps_cover_every_topic_and_every_chapter():
    names = [step.name for step in tour.STEPS]
    assert set(TOPICS) <= set(names) and len(names) == len(set(names))
    assert {step.chapter for step in tour.STEPS} == {"first", *app.BUILT}
    assert len({step.right for step in tour.STEPS}) == 3  # the right answer is not always in the same place


@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_every_text_is_there_is_used_and_can_be_filled(language):
    words, values = wording.part("tour_")[language], tour.values(language)
    wanted = {f"{step.name}_{text}" for step in tour.STEPS for text in tour.TEXTS}
    script = VIEW.read_text()
    other = {name for name in words if name not in wanted}
    assert wanted <= set(words)
    for name in other:
        assert re.search(rf"""words\.{name}\b|['"]{name}['"]""", script), name
    for name in wanted:
        assert set(re.findall(r"\{(\w+)\}", words[name])) <= set(values), name


def test_the_numbers_are_those_of_the_published_model():
    pyramid = load_config("var_d16").pyramid
    assert "var_d16" in OFFICIAL
    assert tour.values("en")["tokens"] == str(pyramid.tokens) == "680"
    assert tour.values("en")["last"] == str(pyramid.side**2) == "256" and tour.values("en")["scales"] == "10"


def test_no_text_of_the_tour_stands_in_its_code():
    assert not re.search(r">[^<>$`=]*[A-Za-z]{2}[^<>$`=]*</", VIEW.read_text())


# -- in the browser --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_visitor_answers_reads_why_looks_and_comes_back(visit, server):
    page = visit(viewport={"width": 1280, "height": 900})
    assert page.locator(".vt-card").count() == 0  # it does not push itself forward
    start(page)
    assert title(page) == EN["tour_input_title"] and f"1 of {len(tour.STEPS)}" in page.locator(".vt-head").inner_text()
    reveal = page.locator(".vt-reveal")
    act(page, "check").click()
    assert reveal.inner_text() == EN["tour_choose"]
    page.locator("#vm-tour").get_by_role("radio", name=EN["tour_input_a"]).check()
    assert EN["tour_input_why"] not in page.locator("#vm-tour").inner_text()  # predict first
    act(page, "check").click()
    assert EN["tour_wrong"] in reveal.inner_text() and EN["tour_input_why"] in reveal.inner_text()
    assert page.locator("[data-mark=right]").inner_text().startswith(EN["tour_input_b"])
    assert page.locator("[data-mark=wrong]").inner_text().startswith(EN["tour_input_a"])
    assert page.locator("#vm-tour").get_by_role("radio").first.is_disabled()
    act(page, "next").click()
    page.locator("#vm-tour").get_by_role("radio", name=EN["tour_together_a"]).check()
    act(page, "check").click()
    assert EN["tour_right"] in reveal.inner_text()
    assert page.complaints == []
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_show_me_leads_to_the_chapter_and_outlines_what_to_look_at(visit, width):
    page = visit(viewport={"width": width, "height": 844})
    start(page)
    before = page.evaluate("document.querySelector('.vu-caption').textContent")
    for i, step in enumerate(tour.STEPS):
        act(page, "show").click()
        page.wait_for_selector(".vt-dock")
        shown = page.locator("[data-vt-shown]")
        assert shown.count() == 1
        panel = page.locator("#vm-first" if step.chapter == "first" else f"#vm-chapter-{step.chapter}")
        assert panel.is_visible() and panel.locator(step.target).first.get_attribute("data-vt-shown") is not None, step.name
        assert page.evaluate("document.activeElement.hasAttribute('data-vt-shown')")
        page.wait_for_function(
            "() => { const b = document.querySelector('[data-vt-shown]').getBoundingClientRect(); "
            "return b.top < innerHeight - 100 && b.bottom > 0; }"
        )
        assert overflow(page) <= 0
        if i % 2:
            page.locator("#vm-contents a[href='#tour']").click()  # the bar of chapters leads back as well
            page.wait_for_function(AT, arg="tour")
        else:
            act(page, "return").click()
        page.wait_for_function("!document.querySelector('[data-vt-shown]')")
        assert title(page) == EN[f"tour_{step.name}_title"]
        act(page, "next" if i + 1 < len(tour.STEPS) else "finish").click()
    assert title(page) == EN["tour_end"]
    assert page.evaluate("document.querySelector('.vu-caption').textContent") == before  # nothing has moved by itself
    assert page.complaints == []


@pytest.mark.slow
def test_whatever_leads_to_the_tour_brings_its_card_back(visit):
    """An address, here, as the browser's Back gives one; no link is clicked."""
    page = visit(reduced_motion="reduce")
    start(page)
    act(page, "show").click()
    page.locator(".vt-dock").wait_for()
    page.evaluate("() => { location.hash = '#masks'; }")
    page.wait_for_timeout(200)
    assert page.locator(".vt-dock").count() == 1  # elsewhere it stays
    page.evaluate("() => { location.hash = '#tour'; }")
    page.wait_for_function("!document.querySelector('[data-vt-shown]')")
    assert title(page) == EN["tour_input_title"] and page.complaints == []


@pytest.mark.slow
def test_it_can_be_left_and_resumed_after_a_reload(visit):
    page = visit()
    start(page, 2)
    page.locator("#vm-tour").get_by_role("radio").nth(1).check()
    act(page, "check").click()
    assert saved(page) == {"open": True, "step": 2, "answers": {"mask": 1}}
    page.reload()
    page.wait_for_selector(".vt-card")
    assert title(page) == EN["tour_mask_title"] and EN["tour_mask_why"] in page.locator(".vt-reveal").inner_text()
    act(page, "leave").click()
    page.reload()
    page.wait_for_selector(".vt-bar")
    assert f"3 of {len(tour.STEPS)}" in page.locator(".vt-bar").inner_text()
    act(page, "resume").click()
    assert title(page) == EN["tour_mask_title"]
    for _ in range(len(tour.STEPS) - 3):
        act(page, "next").click()
    act(page, "finish").click()
    text = page.locator(".vt-card").inner_text()
    assert wording.text("tour_score", right=0, answered=1, steps=len(tour.STEPS)) in text
    act(page, "again").click()
    assert saved(page) == {"open": True, "step": 0, "answers": {}}


SPOILT = (  # two of those of tests/ui/tour.test.mjs
    "{",
    '{"open": true, "step": 1e9, "answers": {"input": 99, "phi": "a", "__proto__": {"mask": 1}}}',
)


@pytest.mark.slow
def test_a_spoilt_memory_starts_afresh(visit):
    page = visit()
    for spoilt in SPOILT:
        page.evaluate("text => localStorage.setItem('var-mini-tour', text)", spoilt)
        page.reload()
        page.wait_for_selector(".vt-bar, .vt-card")
        if page.locator(".vt-bar").count():
            act(page, "start").click()
        assert (
            title(page) == EN["tour_input_title"] and page.locator("#vm-tour").get_by_role("radio", checked=True).count() == 0
        ), spoilt


@pytest.mark.slow
def test_it_works_where_the_browser_keeps_nothing(visit):
    page = visit()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })")
    page.reload()
    page.wait_for_selector(".vt-bar")
    start(page, 1)
    assert title(page) == EN["tour_together_title"]


@pytest.mark.slow
def test_it_works_by_keyboard_alone(visit):
    page = visit(viewport={"width": 1280, "height": 900})
    act(page, "start").wait_for()
    focused = "document.activeElement.dataset.act ?? document.activeElement.className ?? ''"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.hash") == "#tour":
            break
    page.keyboard.press("Enter")
    page.wait_for_function(AT, arg="tour")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "start"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "vt-title"  # the new heading is read out
    for wanted in ("leave", "show"):
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == wanted
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert page.locator("#vm-tour").get_by_role("radio", checked=True).get_attribute("value") == "1"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "check"
    page.keyboard.press("Enter")
    assert EN["tour_right"] in page.locator(".vt-reveal[role=status]").inner_text()
    assert page.evaluate(focused) == "vt-reveal"  # focus is not lost with the button that went away: it is on the reason
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == "show"
    page.keyboard.press("Enter")
    page.wait_for_selector(".vt-dock")
    assert EN["tour_try"] in page.locator(".vt-dock").inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "vt-title"
    assert page.locator("#vm-tour legend").inner_text() == EN["tour_input_question"]


@pytest.mark.slow
def test_a_phone_shows_every_step_in_chinese_without_sideways_scrolling(visit):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark", locale="zh-CN")
    assert wording.TEXTS["tour_start"][1] in page.locator(".vt-bar").inner_text() and overflow(page) <= 0
    start(page)
    for i, step in enumerate(tour.STEPS):
        assert title(page) == wording.TEXTS[f"tour_{step.name}_title"][1]
        page.locator("#vm-tour").get_by_role("radio").nth(step.right).check()
        act(page, "check").click()
        assert wording.TEXTS["tour_right"][1] in page.locator(".vt-reveal").inner_text() and overflow(page) <= 0
        act(page, "next" if i + 1 < len(tour.STEPS) else "finish").click()
    assert wording.text("tour_score", "zh", right=len(tour.STEPS), answered=len(tour.STEPS), steps=len(tour.STEPS)) in (
        page.locator(".vt-card").inner_text()
    )
