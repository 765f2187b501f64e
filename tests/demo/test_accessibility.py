"""Every tab in a real browser with the shipped model: axe-core's checks, narrow windows, and the pictures of the README.

`VAR_SCREENSHOTS=assets/screenshots python -m pytest tests/demo/test_accessibility.py -k screenshots` writes the pictures.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo import app, models, wording

MODEL = "fashion-28"
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
SEVERE = ("serious", "critical")
DRAWN = "(e => e && e.dataset.drawn === e.dataset.scales)(document.querySelector('#vm-explorer .vx'))"
# A tab is ready when its panel holds something and nothing in it is still on its way.
READY = """(id) => {
  const panel = document.getElementById(`vm-tab-${id}`);
  return panel && panel.getClientRects().length && ![...panel.querySelectorAll('[data-testid=status-tracker]')]
    .some((e) => !e.classList.contains('hide') && !e.classList.contains('hidden'));
}"""


@pytest.fixture(scope="module")
def server():
    """The page with a shipped model, in place of the tiny one of the other tests."""
    before = models.default()
    page = app.launch(MODEL, port=None, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()
    models.offer(before)


@pytest.fixture(scope="module")
def axe_script() -> str:
    bundled = pytest.importorskip("axe_playwright_python")
    return (Path(bundled.__file__).parent / "axe.min.js").read_text()


def open_tab(page, name: str) -> None:
    """Opens a tab; in a narrow window those that do not fit are behind a menu."""
    button = page.locator(f"#vm-tab-{name}-button")
    if button.count():
        button.click()
    else:
        page.locator("#vm-tabs > .tab-wrapper .overflow-menu > button").click()
        page.locator("#vm-tabs > .tab-wrapper .overflow-dropdown button", has_text=EN[f"tab_{name}"]).click()
    page.wait_for_function(READY, arg=name)
    page.wait_for_timeout(300)  # canvases are painted in the next frames


def severe(page, axe_script: str) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    page.evaluate(axe_script)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html'][:160]} ({(node['any'] or node['all'] or node['none'])[0]['message'][:120]})"
        for one in found
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_tab(visit, axe_script, scheme):
    page = visit(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    found = {}
    for name in app.TABS:
        open_tab(page, name)
        found[name] = severe(page, axe_script)
    page.locator("#vm-tour [data-act=start]").click()
    found["tour"] = severe(page, axe_script)
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert page.complaints == []


@pytest.mark.slow
def test_axe_finds_nothing_serious_on_a_phone(visit, axe_script):
    page = visit(viewport={"width": 390, "height": 844})
    found = {}
    for name in app.TABS:
        open_tab(page, name)
        found[name] = severe(page, axe_script)
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.slow
def test_axe_sees_what_is_wrong(visit, axe_script):
    page = visit()
    page.evaluate(
        "document.querySelector('#vm-explorer').insertAdjacentHTML('beforeend', '<img src=\"data:,\"><button></button>')"
    )
    kinds = " ".join(severe(page, axe_script))
    assert "image-alt" in kinds and "button-name" in kinds


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_no_tab_scrolls_sideways_on_a_phone(visit, locale):
    page = visit(viewport={"width": 390, "height": 844}, locale=locale)
    too_wide = {}
    for name in app.TABS:
        page.evaluate(OPEN_BY_PLACE, list(app.TABS).index(name))
        page.wait_for_function(READY, arg=name)
        too_wide[name] = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert {name: by for name, by in too_wide.items() if by > 0} == {}
    assert page.complaints == []


# clicks the tab at a place, whatever its language, whether it stands in the row or in the menu
OPEN_BY_PLACE = """(place) => {
  const wrapper = document.querySelector('#vm-tabs > .tab-wrapper');
  const title = wrapper.querySelectorAll(':scope > [aria-hidden] > button')[place].textContent;
  [...wrapper.querySelectorAll('[role=tablist] button, .overflow-dropdown button')].find((b) => b.textContent === title).click();
}"""


@pytest.mark.slow
def test_every_tab_is_reached_by_keyboard(visit):
    page = visit(viewport={"width": 1280, "height": 900})
    for name in app.TABS:
        button = page.locator(f"#vm-tab-{name}-button")
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_function(READY, arg=name)
        assert button.get_attribute("aria-selected") == "true"
        inside = f"document.getElementById('vm-tab-{name}').contains(document.activeElement)"
        for _ in range(12):  # past the other tabs' buttons
            page.keyboard.press("Tab")
            if page.evaluate(inside):
                break
        assert page.evaluate(inside), name


LINK = "?model=fashion-28&label=3&seed=9&guidance=3&temperature=1&top_k=0&top_p=1&attention=exact"


@pytest.mark.slow
def test_a_plain_visit_takes_no_place_in_the_queue(visit):
    with_link = visit(path=LINK)  # comes first, so that what a plain visit must not do is seen to take place in this time
    plain = visit()
    with_link.wait_for_function(f"document.querySelector('.vx-note').textContent !== {EN['explorer_recorded']!r}")
    assert any("queue/join" in url for url in with_link.requested)
    assert not any("queue/join" in url for url in plain.requested) and "?" not in plain.url


@pytest.mark.slow
def test_a_link_is_not_lost_to_the_recorded_run(visit):
    page = visit(path=LINK)
    done = wording.text("explorer_done", scales=5, tokens=88)
    page.locator("#vm-explorer .vx-note", has_text=done).wait_for()
    assert page.get_by_label(EN["seed"]).first.input_value() == "9"
    assert "label=3" in page.url and "seed=9" in page.url and "scale=5" in page.url


@pytest.mark.slow
@pytest.mark.skipif("VAR_SCREENSHOTS" not in os.environ, reason="VAR_SCREENSHOTS names no folder to write to")
def test_screenshots_of_every_tab(visit):
    folder = Path(os.environ["VAR_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    page = visit(viewport={"width": 1280, "height": 900})
    page.locator("#vm-generate").click()
    page.wait_for_function(DRAWN)
    for name in app.TABS:
        open_tab(page, name)
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / f"{name}.png", full_page=True)
    open_tab(page, "draw")
    page.locator("#vm-tour [data-act=start]").click()
    page.get_by_role("radio").first.check()
    page.locator("#vm-tour [data-act=check]").click()
    page.screenshot(path=folder / "tour.png")
    for scheme in ("light", "dark"):
        phone = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        phone.screenshot(path=folder / f"draw-phone-{scheme}.png", full_page=True)
    wide = visit(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    wide.screenshot(path=folder / "draw-dark.png", full_page=True)
