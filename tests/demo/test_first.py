"""The first screen in a real browser: drawing, pointing, links, files, languages, a phone."""

from __future__ import annotations

import re
import threading
from urllib.parse import parse_qs, urlencode, urlparse

import numpy as np
import pytest
import torch
from PIL import Image

from demo import front, models, runs, wording
from tests.demo.test_page import EN, expected
from tests.demo.visits import DRAWN, RUN, SHOWN, draw, record
from var_mini import checkpoints
from var_mini.analysis.best_of import Drawing
from var_mini.generation import Trace
from var_mini.model import Model
from var_mini.view.images import to_uint8

PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.slow
def test_visit_draws_what_the_library_draws(visit, server, tiny):
    page = visit(viewport={"width": 1280, "height": 800})
    assert page.locator("#vm-first .vu-later").count() == 3  # not blank before the first click
    before = page.locator("#vm-first").bounding_box()
    draw(page, 5)
    page.wait_for_function(SHOWN)
    assert page.locator("#vm-first .vu-later").count() == 0
    assert page.locator("#vm-first").bounding_box() == before  # the layout does not jump
    shown = np.array(page.locator("#vm-first .vu-big").evaluate(PIXELS), np.uint8).reshape(12, 12, 4)
    assert np.array_equal(shown[..., :3], expected(tiny, 0, 5, checkpoints.load_config(tiny).sampling))
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == []
    assert page.complaints == []


@pytest.mark.slow
def test_the_best_of_eight_is_offered_where_a_ranker_is_drawn_and_told(visit, tiny, monkeypatch):
    page = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    assert page.locator("#vm-best").count() == 0  # the tiny model has none
    front.describe.cache_clear()
    monkeypatch.setattr(front, "has_ranker", lambda config: True)
    made = [Drawing(10**6 - i, -float(i), torch.full((3, 12, 12), i / 8)) for i in range(8)]
    monkeypatch.setattr(runs, "drawings", lambda settings, count: made[:count])
    page.reload()
    page.locator("#vm-best").click()
    page.wait_for_function(f"{RUN}?.settings.seed === 1000000 && {DRAWN}")
    page.get_by_text("seed 1000000 \u00b7 best of 8 \u00b7").wait_for()
    assert "seed=1000000" in page.url and not page.evaluate("varMini.acts.stale()")  # the link draws this very picture
    all_eight = page.locator(".vu-drawings button")
    all_eight.nth(7).wait_for()
    assert all_eight.all_inner_texts() == ["100 %", "37 %", "14 %", "5.0 %", "1.8 %", "0.7 %", "0.2 %", "< 0.1 %"]
    levels = [one.evaluate(PIXELS)[0] for one in all_eight.locator("canvas").all()]
    assert levels == [round(255 * i / 8) for i in range(8)]
    all_eight.nth(2).click()  # another of the eight is looked into, and the eight stay
    page.wait_for_function(f"{RUN}?.settings.seed === 999998 && {DRAWN}")
    assert "best of" not in page.locator(".vu-facts").inner_text()
    assert [one.get_attribute("aria-pressed") for one in all_eight.all()] == ["false"] * 2 + ["true"] + ["false"] * 5
    draw(page, 5)
    assert all_eight.count() == 0 and page.complaints == []
    front.describe.cache_clear()


@pytest.mark.slow
def test_a_token_is_reached_by_keyboard_alone(visit, tiny):
    page = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    draw(page, 0)
    page.locator("#vm-first [data-map]").last.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    code = checkpoints.load(tiny).trace(0, 0, checkpoints.load_config(tiny).sampling).steps[2].token_ids[0, 8].item()
    assert page.locator("#vm-first .vu-code h3").inner_text() == "Row 3, column 3 of 3 \u00d7 3"
    assert f"code {code} of 24" in page.locator("#vm-first .vu-code").inner_text()
    assert page.locator("#vm-first .vu-likely li").count() == 5
    assert page.locator("#vm-first .vu-pyramid .vu-within").count() == 2 + 3  # its place in both coarser maps and in every sum
    page.keyboard.press("Enter")
    page.wait_for_selector("#vm-first[data-attention='shown']")
    assert page.locator("#vm-first .vu-lines g").count() == 14 and page.locator("#vm-first .vu-formula math").count() == 1
    told = page.locator("#vm-first .vu-attention tbody td:nth-child(3)").all_inner_texts()
    shares = [text.removeprefix("< ").removesuffix(" %") for text in told]
    assert sum(map(float, shares[:-1])) == pytest.approx(100, abs=1.5) and shares[-1] == "100"
    page.keyboard.press("Escape")
    assert page.locator("#vm-first .vu-lines g").count() == 0 and page.locator("#vm-first .vu-empty").count() == 1


@pytest.mark.slow
def test_the_numbers_of_a_run_are_the_library_s(visit, tiny):
    page = visit()
    run = draw(page, 0)
    trace = checkpoints.load(tiny).trace(0, 0, checkpoints.load_config(tiny).sampling, capture="blocks")
    states = page.locator("#vm-run tbody tr td:nth-child(6)").all_inner_texts()
    assert states == [f"{scale['state'] / 1000:.1f}" for scale in run["scales"]]
    page.locator("#vm-run .vu-button").click()
    page.locator(".vu-blocks").wait_for()
    row = [int(text) for text in page.locator(".vu-blocks tbody tr").last.locator("td").all_inner_texts()]
    assert row == pytest.approx((100 * trace.steps[2].attention[0, 0, 0]).tolist(), abs=0.51)


@pytest.mark.slow
def test_a_link_restores_the_run(visit, server, tiny):
    page = visit()
    draw(page, 9)
    link = page.evaluate("location.href")
    query = parse_qs(urlparse(link).query)
    assert query["seed"] == ["9"] and query["model"] == [tiny]
    other = visit(path=link.removeprefix(server))
    other.wait_for_function(SHOWN)
    shown = np.array(other.locator("#vm-first .vu-big").evaluate(PIXELS), np.uint8).reshape(12, 12, 4)
    assert np.array_equal(shown[..., :3], expected(tiny, 0, 9, checkpoints.load_config(tiny).sampling))


@pytest.mark.slow
@pytest.mark.parametrize("query", ["?model=fashion-28&label=999&seed=1", "?model=x%00&seed=<b>", "?seed=1e99"])
def test_a_spoilt_link_says_why_and_the_page_works(visit, query):
    page = visit(path=query)
    if "model=" in query:
        page.locator("#vm-first .vu-caption", has_text="must be").wait_for()
    draw(page, 3)


@pytest.mark.slow
def test_a_run_is_saved_and_opened_again(visit, tiny, tmp_path):
    page = visit()
    draw(page, 4)
    for kind in ("png", "gif", "trace"):
        with page.expect_download() as caught:
            page.get_by_role("button", name=EN[f"export_{kind}"]).click()
        caught.value.save_as(tmp_path / f"run.{kind}")
    assert Image.open(tmp_path / "run.gif").n_frames == 3 and Image.open(tmp_path / "run.png").width > 300
    trace = Trace.load(tmp_path / "run.trace")
    assert trace.settings["seed"] == 4 and np.array_equal(
        to_uint8(trace.image[0]), expected(tiny, 0, 4, checkpoints.load_config(tiny).sampling)
    )
    other = visit()
    other.locator("#vm-chapter-draw input[type=file]").set_input_files(tmp_path / "run.trace")
    other.wait_for_function(DRAWN)
    assert "out of a file" in other.locator("#vm-first .vu-facts").inner_text()
    (tmp_path / "bad.trace").write_bytes(b"\x80\x04nonsense")
    other.locator("#vm-chapter-draw input[type=file]").set_input_files(tmp_path / "bad.trace")
    other.get_by_text("trace is not a file saved by this project").wait_for()


@pytest.mark.slow
def test_more_seeds_are_those_of_the_settings_shown(visit, tiny):
    page = visit()
    page.get_by_role("button", name=EN["more"]).click()
    page.locator(".vm-gallery figure").nth(7).wait_for()
    assert page.locator(".vm-gallery figcaption").all_inner_texts() == [str(i) for i in range(8)]


@pytest.mark.slow
def test_visit_with_a_bad_seed_is_told_why_and_keeps_the_picture(visit):
    page = visit()
    draw(page, 2)
    page.locator("#vm-settings").click()
    page.locator(".vu-settings input[type=number]").fill("-3")
    assert page.locator("#vm-first[data-earlier]").count() == 1  # the picture is not of these settings
    assert "seed 2" in page.locator("#vm-first .vu-facts").inner_text()
    page.locator(".vu-settings .vu-primary").click()
    page.locator("#vm-first .vu-caption", has_text="must be a whole number from 0 to 4294967295").wait_for()
    assert page.evaluate("varMini.run().settings.seed") == 2


@pytest.mark.slow
def test_visit_switches_the_model_with_its_class_seed_and_picture(visit):
    page = visit()
    page.locator("#vm-settings").click()
    page.locator(".vu-settings select").first.select_option("things-32")
    page.wait_for_function("varMini.run()?.model === 'things-32'")
    run = page.evaluate("varMini.run()")
    assert page.evaluate("varMini.record()") == run["settings"] | {"attention": "exact"}
    assert page.locator(".vu-settings input[type=number]").input_value() == str(run["settings"]["seed"])
    assert page.locator("#vm-first[data-earlier]").count() == 0


@pytest.mark.slow
def test_things_are_found_by_name_and_drawn_by_a_click(visit):
    page = visit()
    page.locator(".vu-open").click()
    page.locator(".vu-search input:focus").wait_for()
    page.keyboard.type("la")
    page.wait_for_function("document.querySelectorAll('.vu-result').length === 2")
    assert page.locator(".vu-result > span").all_inner_texts() == ["last", "plain"]  # what begins with it first
    page.locator(".vu-result").first.click()
    page.wait_for_function(DRAWN)
    assert page.evaluate("varMini.run().settings.label") == 2 and page.locator(".vu-search").count() == 0
    page.locator(".vu-open").click()
    page.keyboard.type("pla")
    page.locator(".vu-result", has_text="plain").wait_for()
    page.keyboard.press("Enter")  # the first that was found
    page.wait_for_function(f"varMini.run()?.settings.label === 0 && {DRAWN}")
    assert page.locator(".vu-search").count() == 0 and page.complaints == []


@pytest.mark.slow
def test_a_token_s_list_holds_the_codes_that_sampling_left(visit, tiny):
    page = visit(f"?{urlencode(record(tiny, top_k=3, top_p=1.0))}", reduced_motion="reduce")
    page.wait_for_function(DRAWN)
    page.locator("#vm-first [data-map]").last.focus()
    page.keyboard.press("ArrowRight")
    page.locator("#vm-first .vu-likely li").first.wait_for()
    assert page.locator("#vm-first .vu-likely li").count() == 3
    assert len(page.evaluate("varMini.run().scales.at(-1).top[0]")) > 3 and page.complaints == []


@pytest.mark.slow
def test_a_chinese_visitor_reads_chinese_and_may_choose_english(visit, tiny):
    page = visit("?model=x", locale="zh-CN")
    page.locator("#masks h2", has_text=wording.WORDS["masks_title"]["zh"]).wait_for()
    page.get_by_text(wording.WORDS["link_choice"]["zh"].format(name="模型", value="x", names="")).wait_for()  # a wrong link
    page.locator("#vm-settings").click()
    assert models.shown(tiny)["zh"] in page.locator(".vu-settings select").first.inner_text()
    page.locator("#vm-settings").click()
    assert page.locator("#vm-new").inner_text() == wording.WORDS["new"]["zh"]
    assert page.evaluate("['carp-streamer', 'fire'].map(varMini.named)") == ["鲤鱼旗", "火"]  # from the table of all, and our own
    with page.expect_navigation():
        page.locator(".vu-link").click()
    page.locator("#masks h2", has_text=wording.WORDS["masks_title"]["en"]).wait_for()
    assert page.locator("#vm-new").inner_text() == wording.WORDS["new"]["en"]


@pytest.mark.slow
def test_visit_stops_a_run_and_starts_another(visit, tiny, monkeypatch):
    loaded, go_on = models.load_model(tiny), threading.Event()

    def halting(*args, **options):  # waits after the first scale until the test has pressed Stop
        for step in Model.generate(loaded.model, *args, **options):
            yield step
            go_on.wait(600)

    page = visit()
    monkeypatch.setattr(loaded.model, "generate", halting)
    page.locator("#vm-new").click()
    page.wait_for_selector("#vm-first[data-drawn='1']")
    page.locator("#vm-first").get_by_role("button", name=wording.WORDS["stop"]["en"], exact=True).click()
    page.get_by_text(EN["stopped"]).wait_for()
    go_on.set()
    monkeypatch.undo()
    assert page.evaluate("varMini.run().scales.length") == 1
    draw(page, 12)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert overflow(page) <= 0
    draw(page, 1)
    assert overflow(page) <= 0
    bar = page.locator(".vu-bar").bounding_box()
    assert bar["y"] + bar["height"] <= 844  # at hand without scrolling
    background = page.evaluate("getComputedStyle(document.querySelector('#vm-first')).backgroundColor")
    light = sum(map(float, re.findall(r"[\d.]+", background)[:3])) / 3 > 128
    assert light == (scheme == "light")
