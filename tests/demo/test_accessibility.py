"""Every chapter in a real browser with the shipped model: axe-core's checks, narrow windows, and the pictures of the README.

`VAR_SCREENSHOTS=assets/screenshots python -m pytest tests/demo/test_accessibility.py -k screenshots` writes the pictures.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from demo import DEFAULT_MODEL, app, measure, models, wording
from tests.demo.visits import AT, DRAWN, SHOWN, open_chapter, overflow
from var_mini import checkpoints
from var_mini.view.images import code_colours

MODEL = DEFAULT_MODEL if "VAR_SCREENSHOTS" in os.environ else "fashion-28"  # the pictures show the page as it opens
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
SEVERE = ("serious", "critical")
VIEWPORTS = {"": (1280, 800), "-1440": (1440, 900), "-1920": (1920, 1080), "-phone": (390, 844)}
# A chapter of Gradio's is ready when its panel holds something and nothing in it is still on its way.
READY = """(id) => {
  const panel = document.getElementById(`vm-chapter-${id}`);
  return panel && panel.getClientRects().length && ![...panel.querySelectorAll('[data-testid=status-tracker]')]
    .some((e) => !e.classList.contains('hide') && !e.classList.contains('hidden'));
}"""
# canvases are painted in the next frame
PAINTED = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
# the middle square of chapter 2's map, 3 x 3, as it is painted
SQUARE = "[...document.querySelector('#word .vu-map canvas').getContext('2d').getImageData(1, 1, 1, 1).data.slice(0, 3)]"
BAR = "#vm-contents"  # where one is shows in it
PLACES = ("idea", "word", "sum", "masks", "lowrank", "cost", "edit", "limits", "tour", "tokenize", "numbers")
# Gradio makes its chapters one after the other, in no fixed order
WHOLE = "(names) => names.every((name) => document.getElementById(name)?.querySelector('h2'))"
HERE = "(name) => document.querySelector('#vm-contents [aria-current]').hash === `#${name}`"


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


def open_made(page, name: str) -> None:
    """Goes to a chapter of Gradio's and waits until it is ready."""
    open_chapter(page, "numbers" if name == "draw" else name)
    page.wait_for_function(READY, arg=name)
    page.evaluate(PAINTED)


def severe(page, axe_script: str, *places: str) -> list[str]:
    """What axe-core calls serious or critical, one line each: in the whole page, or in these places of it."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(axe_script)
    run = "(places) => axe.run(places.length ? { include: places } : document, { resultTypes: ['violations'] })"
    found = page.evaluate(run, [[place] for place in places])["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html'][:160]} ({(node['any'] or node['all'] or node['none'])[0]['message'][:120]})"
        for one in found
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_chapter(visit, axe_script, scheme):
    page = visit(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    found = {}
    for name in app.BUILT:
        open_made(page, name)
        found[name] = severe(page, axe_script, BAR, f"#vm-chapter-{name}")
    page.locator("#vm-tour [data-act=start]").click()
    found["page"] = severe(page, axe_script)
    page.locator("#vm-first [data-map]").last.click(position={"x": 5, "y": 5})
    page.locator("#vm-first[data-attention=shown]").wait_for()
    for name in ("settings", "things"):
        page.evaluate("(name) => varMini.acts.panel(name)", name)
        page.wait_for_timeout(300)
        found[name] = severe(page, axe_script, "#vm-first")
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert page.complaints == []


@pytest.mark.slow
def test_on_a_phone_axe_finds_nothing_serious_and_no_chapter_scrolls_sideways(visit, axe_script):
    page = visit(viewport={"width": 390, "height": 844})
    found, too_wide = {}, {}
    for name in app.BUILT:
        open_made(page, name)
        found[name] = severe(page, axe_script, BAR, f"#vm-chapter-{name}")
        too_wide[name] = overflow(page)
    found["page"] = severe(page, axe_script)
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert {name: by for name, by in too_wide.items() if by > 0} == {}
    assert page.complaints == []


@pytest.mark.slow
def test_axe_sees_what_is_wrong(browser, axe_script):
    page = browser.new_page()
    try:
        page.set_content('<html lang="en"><title>x</title><main><p id="a"><img src="data:,"></p><button></button></main></html>')
        assert {"button-name:", "image-alt:"} <= {line.split()[1] for line in severe(page, axe_script)}
        assert [line.split()[1] for line in severe(page, axe_script, "#a")] == ["image-alt:"]  # in a place of it
    finally:
        page.close()


@pytest.mark.slow
def test_no_chapter_scrolls_sideways_on_a_phone_in_chinese(visit):
    page = visit(viewport={"width": 390, "height": 844}, locale="zh-CN")
    too_wide = {}
    for name in app.BUILT:
        open_made(page, name)
        too_wide[name] = overflow(page)
    assert {name: by for name, by in too_wide.items() if by > 0} == {}
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_bar_names_all_that_is_on_the_page_in_its_order_and_marks_where_one_is(visit, width):
    page = visit(viewport={"width": width, "height": 844}, reduced_motion="reduce")
    page.wait_for_function(WHOLE, arg=PLACES)
    assert page.locator(f"{BAR} a").evaluate_all("(links) => links.map((link) => link.hash.slice(1))") == ["top", *PLACES]
    assert page.evaluate(HERE, "top")
    tops = page.evaluate("(names) => names.map((name) => document.getElementById(name).getBoundingClientRect().top)", PLACES)
    assert tops == sorted(set(tops))
    for name in reversed(PLACES):
        open_chapter(page, name)
        page.wait_for_function(HERE, arg=name)
        box = page.locator(f"{BAR} [aria-current]").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, name  # however narrow the window is
    page.locator(f"{BAR} a[href='#top']").click()
    page.wait_for_function("scrollY === 0")
    page.wait_for_function(HERE, arg="top")
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(("aside", "reached"), [(0, "tour"), (60, "")])  # pixels between press and release; the hash
def test_a_press_on_the_bar_counts_though_the_bar_moves_before_the_release(visit, aside, reached):
    page = visit(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.wait_for_function(WHOLE, arg=PLACES)
    link = page.locator(f"{BAR} a[href='#tour']")
    link.scroll_into_view_if_needed()
    box = link.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("(bar) => { document.querySelector(`${bar} ol`).scrollLeft -= 150; }", BAR)
    page.evaluate(PAINTED)
    assert not page.evaluate("([x, y]) => document.elementFromPoint(x, y).matches('a[href=\"#tour\"]')", [x, y])
    page.mouse.move(x, y + aside)
    page.mouse.up()
    page.evaluate(PAINTED)
    assert page.evaluate("location.hash.slice(1)") == reached
    assert page.complaints == []


@pytest.mark.slow
def test_the_whole_story_is_passed_by_keyboard_alone(visit):
    """By the bar to chapter 1, through what is in it to the way on at its end, and so to the last place, and one back."""
    page = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page.wait_for_function(WHOLE, arg=PLACES)
    ways = ["#vm-contents a", *[".vu-after"] * (len(PLACES) - 1), ".vu-before"]
    for name, way in zip((*PLACES, PLACES[-2]), ways, strict=True):
        reached = f"(e => e.matches('{way}') && e.hash === '#{name}')(document.activeElement)"
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate(reached):
                break
        assert page.evaluate(reached), name
        page.keyboard.press("Enter")
        page.wait_for_function(AT, arg=name)
        page.wait_for_function(HERE, arg=name)
    assert page.complaints == []


# a link to the first chapter can be pressed without scrolling: nothing covers it
STORY_IN_SIGHT = """() => [...document.querySelectorAll('a[href="#idea"]')].some((link) => {
  const { left, right, top, bottom, width } = link.getBoundingClientRect();
  return width > 0 && left >= 0 && right <= innerWidth && bottom <= innerHeight
    && link.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
})"""
LINK = "?model=fashion-28&label=3&seed=9&guidance=3&temperature=1&top_k=0&top_p=1&attention=exact"


@pytest.mark.slow
def test_a_plain_visit_takes_no_place_in_the_queue_and_a_link_is_drawn(visit):
    with_link = visit(path=LINK)  # comes first, so that what a plain visit must not do is seen to take place in this time
    plain = visit()
    with_link.wait_for_function("window.varMini?.run()?.settings.seed === 9")
    with_link.wait_for_function(DRAWN)  # and it is not lost to the recorded run
    assert with_link.evaluate("varMini.record()")["label"] == 3 and "seed 9" in with_link.locator(".vu-facts").inner_text()
    assert "label=3" in with_link.url and "seed=9" in with_link.url
    assert any("queue/join" in url for url in with_link.requested)
    assert not any("queue/join" in url for url in plain.requested) and "?" not in plain.url


@pytest.mark.slow
def test_the_picture_and_that_a_story_follows_are_seen_without_scrolling_once_the_recorded_run_has_played(visit):
    """In windows of every size; `demo.measure`, whose test asks for it too, opens the page anew in each."""
    page = visit(reduced_motion="reduce")
    page.wait_for_function(SHOWN)
    for width, height in VIEWPORTS.values():
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(PAINTED)
        assert page.evaluate(measure.IN_SIGHT), (width, height)
        assert page.evaluate(STORY_IN_SIGHT), (width, height)
        assert page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#vm-first'))") <= 0


@pytest.mark.slow
def test_the_recorded_run_plays_when_the_page_opens(visit):
    page = visit(viewport={"width": 1280, "height": 800})
    page.wait_for_function("Number(document.querySelector('#vm-first').dataset.shown) > 0")
    seen = page.evaluate("""() => new Promise((resolve) => {
      const view = document.querySelector('#vm-first'), shown = [], captions = new Set();
      const look = () => {
        if (shown.at(-1) !== view.dataset.shown) shown.push(view.dataset.shown);
        captions.add(document.querySelector('.vu-caption').textContent);
        if (view.dataset.shown !== view.dataset.scales) requestAnimationFrame(look);
        else resolve([shown.map(Number), captions.size]);
      };
      look();
    })""")
    assert seen[0] == list(range(seen[0][0], 6)) and seen[1] >= len(seen[0]) - 1  # one after the other, a caption each


@pytest.mark.slow
def test_every_chapter_has_an_address_and_back_leads_from_one_to_the_other(visit):
    page = visit(path="#masks", viewport={"width": 1280, "height": 800})
    page.wait_for_function(AT, arg="masks")  # and it stays there while what is above is still made
    page.wait_for_function(READY, arg="masks")
    open_chapter(page, "edit")
    assert page.evaluate("location.hash") == "#edit"
    page.go_back()
    page.wait_for_function(AT, arg="masks")
    page.wait_for_function(HERE, arg="masks")
    assert page.evaluate("location.hash") == "#masks"
    page.goto(page.url.partition("#")[0] + "#draw")  # an address that has another name now
    page.wait_for_function(AT, arg="numbers")


@pytest.mark.slow
def test_the_chapter_on_limits_has_whole_curves_and_its_sliders_are_moved_by_keyboard(visit):
    page = visit(path="#limits", viewport={"width": 1280, "height": 800})
    shown = "(name) => document.querySelector(`[aria-labelledby=limits-${name}]`)?.dataset.shown"
    page.wait_for_function(f"() => ({shown})('coupling') === '0.1'")
    assert page.evaluate("location.hash") == "#limits" and page.locator("#limits .vu-dragged").count() == 6
    assert (
        page.locator("#limits .vu-limit").last.locator(".vu-figure .vu-solid").count() > 3 * 21
    )  # three curves of 21 places each
    slider = page.locator("#limits input[type=range]").last
    assert not slider.is_visible()  # experiments beyond VAR are unfolded first
    page.locator("#limits .vu-limit > details > summary").last.press("Enter")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => ({shown})('coupling') === '0.12'")
    assert slider.get_attribute("aria-valuetext") == "0.12"
    page.keyboard.press("End")
    assert "coupled by c = 0.4" in page.locator("#limits .vu-limit").last.inner_text() and page.complaints == []


@pytest.mark.slow
def test_the_story_swaps_a_token_and_runs_the_race(visit):
    page = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page.locator("#word .vu-primary").click()
    page.locator(".vu-offer").nth(5).wait_for()
    before = page.locator("#word .vu-frame canvas").evaluate("(canvas) => canvas.toDataURL()")
    page.locator(".vu-offer").last.click()
    other = int(page.locator(".vu-offer").last.inner_text())
    caption, middle = page.locator("#word figcaption").first.inner_text(), page.evaluate(SQUARE)
    assert caption.endswith(f"code {other}") and page.evaluate("varMini.run().scales[2].ids[4]") != other
    codebook = checkpoints.load("fashion-28").tokenizer.quantize.embedding.weight
    assert middle == code_colours(codebook)[other].tolist()  # the square has the colour of the code that is in it now
    page.locator(".vu-offer").first.click()
    own = page.evaluate("atob(varMini.run().scales[2].colours).slice(12, 15)")
    assert page.evaluate(SQUARE) == [ord(level) for level in own]
    assert page.locator("#word .vu-frame canvas").evaluate("(canvas) => canvas.toDataURL()") != before
    page.locator("#idea .vu-primary").click()
    assert "step 49 of 49" in page.locator("#idea").inner_text() and "step 5 of 5" in page.locator("#idea").inner_text()
    told = page.evaluate("varMini.run().scales.map((s) => 1000 * (s.seconds[0] + s.seconds[1]))")
    captions = page.locator("#idea figcaption").all_inner_texts()
    for caption, wanted in zip(captions, (49 * min(told), sum(told))):
        assert float(re.search(r"([\d.]+) ms", caption)[1]) == pytest.approx(wanted, abs=0.5)
    assert "estimated" in captions[0] and "as timed" in captions[1]
    assert "recorded \u00b7 fashion-28 \u00b7 batch 1 \u00b7 guided" in page.locator("#idea").inner_text()  # of both times
    assert page.locator(".vu-stages .vu-later").count() == 0 and page.locator("#sum .vu-primary").count() == 0  # no motion
    page.locator("#sum .vu-button").click()  # the first picture of the first scale
    assert page.locator(".vu-stages .vu-later").count() == 5 and "Scale 1 of 5" in page.locator("#sum").inner_text()
    page.locator("#word .vu-map").focus()
    page.keyboard.press("ArrowRight")  # the token beside the middle, of which nothing was asked
    page.locator("#word .vu-primary").wait_for()
    assert f"code {page.evaluate('varMini.run().scales[2].ids[5]')}" in page.locator("#word figcaption").first.inner_text()
    page.keyboard.press("Enter")
    page.locator(".vu-offer").nth(5).wait_for()
    # a run that took longer: its own times, not those of the one before; then one of fewer scales than were chosen
    page.locator("#word input[type=range]").fill("4")
    longer = "run.scales.map((scale) => ({ ...scale, seconds: scale.seconds.map((time) => 10 * time) }))"
    page.evaluate(f"((run) => varMini.acts.put({{ ...run, scales: {longer} }}))(varMini.run())")
    for caption, wanted in zip(page.locator("#idea figcaption").all_inner_texts(), (49 * min(told), sum(told))):
        assert float(re.search(r"([\d.]+) ms", caption)[1]) == pytest.approx(10 * wanted, rel=0.01)
    page.evaluate(
        "((run) => varMini.acts.put({ ...run, sides: [1, 2], tokens: 5, scales: run.scales.slice(0, 2) }))(varMini.run())"
    )
    page.locator("#idea").get_by_text("step 2 of 2").wait_for()
    assert "Map 2 \u00d7 2" in page.locator("#word").inner_text() and page.complaints == []


@pytest.mark.slow
def test_what_is_set_in_a_chapter_is_set_on_the_first_screen_and_older_results_say_so(visit):
    page = visit(path="#lowrank", viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    shared = page.locator("#vm-lowrank .vu-shared")
    shared.wait_for()
    page.locator("#vm-lowrank .vu-warning button").click()  # fashion-28 breaks here, another model does not
    page.wait_for_function("varMini.run()?.model === 'fashion-28-bounded'")
    page.locator("#vm-lowrank .vu-warning").wait_for(state="detached")
    shared.locator("[data-setting=class] select").select_option("3")
    assert page.evaluate("varMini.record().label") == 3 and page.locator("#vm-first[data-earlier]").count() == 1
    page.locator("#vm-lowrank-run").click()
    page.locator("#vm-lowrank-compare table").first.wait_for()
    told = "(id) => JSON.parse(document.querySelector(`#${id} [data-settings]`).dataset.settings)"
    found = page.evaluate(told, "vm-lowrank-compare")
    assert (found["model"], found["label"], found["attention"]) == ("fashion-28-bounded", 3, "poly-2")
    page.locator("#vm-lowrank-limits svg").first.wait_for(state="attached")  # folded
    before = found["seed"]
    page.evaluate("(seed) => varMini.acts.change({ seed })", before + 1)  # as the first screen does
    page.locator("#vm-lowrank-compare[data-stale]").wait_for()
    assert shared.locator("input[type=number]").input_value() == str(before + 1)
    page.evaluate("(seed) => varMini.acts.change({ seed })", before)
    page.locator("#vm-lowrank-compare:not([data-stale])").wait_for()
    page.locator("#vm-foot-lowrank .vu-after").click()
    page.wait_for_function(AT, arg="cost")
    assert page.evaluate("location.hash") == "#cost" and page.complaints == []


@pytest.mark.slow
@pytest.mark.skipif("VAR_SCREENSHOTS" not in os.environ, reason="VAR_SCREENSHOTS names no folder to write to")
def test_screenshots_of_every_chapter(visit):
    folder = Path(os.environ["VAR_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    page = visit(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    for name in app.BUILT:
        open_made(page, name)
        page.wait_for_timeout(1000)
        if name == "edit":
            page.locator(".ve:not([data-start=''])").wait_for()  # it has taken the picture of the first screen
        page.locator(f"#vm-chapter-{name}").screenshot(path=folder / f"{name}.png")
    covers = page.add_style_tag(content=f"{BAR} {{ visibility: hidden }}")  # it would lie over what is higher than the window
    page.locator("#vm-story").screenshot(path=folder / "story.png")
    page.locator("#limits").screenshot(path=folder / "limits.png")
    covers.evaluate("(style) => style.remove()")
    page.locator("#vm-tour [data-act=start]").click()
    page.locator("#vm-tour").get_by_role("radio").first.check()
    page.locator("#vm-tour [data-act=check]").click()
    page.locator("#vm-tour").screenshot(path=folder / "tour.png")
    for name, size in VIEWPORTS.items():
        first = visit(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
        first.wait_for_function(SHOWN)
        first.screenshot(path=folder / f"first{name}.png")
    for name, options in (("dark", {"color_scheme": "dark"}), ("zh", {"locale": "zh-CN"})):
        first = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", **options)
        first.wait_for_function(SHOWN)
        first.locator("#vm-first [data-map]").last.click()
        first.locator("#vm-first[data-attention=shown]").wait_for()
        first.screenshot(path=folder / f"first-{name}.png")
