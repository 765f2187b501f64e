"""The chapter on masks and memory: its numbers, what it refuses, and a visit with a real browser."""

from __future__ import annotations

import json
import math

import gradio as gr
import pytest
import torch

from demo import wording
from demo.chapters import masks
from tests.demo.visits import open_chapter, overflow, record, turns_dark
from var_mini import checkpoints

EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
VIEW = {name: text["en"] for name, text in wording.WORDS.items() if name.startswith("masks_")}  # of the picture itself


def test_the_picture_of_the_model_counts_its_mask_cell_by_cell(tiny):
    data = masks.show(record(tiny), "own", False)
    mask = checkpoints.load(tiny).config.pyramid.block_causal_mask().tolist()
    assert data["pairs"] == sum(cell for row in mask for cell in row) and data["tokens"] == len(mask)
    assert data["name"] == "tiny" and data["same"] is None and data["wanted"] is False
    assert masks.show(record(tiny), "own", True)["wanted"] is True and masks.show(record(tiny), "own", "x")["wanted"] is False
    json.dumps(data)


@pytest.mark.parametrize(
    ("name", "tokens", "smaller_from"),
    [("var-256", 680, None), ("var-512", 2240, 8), ("var-1024", 9451, 10), ("fashion-28", 88, 4)],
)
def test_published_pyramids_and_when_the_state_becomes_smaller(tiny, name, tokens, smaller_from):
    own = record(tiny if name.startswith("var") else name, attention="poly-2")
    data = masks.show(own, name if name.startswith("var") else "own", False)
    assert (data["tokens"], data["smaller_from"]) == (tokens, smaller_from)
    d = data["head_dim"]
    features = math.comb(d + 2, 2)
    first = next((k for k, s in enumerate(data["scales"]) if features * (d + 1) < 2 * d * s["keys"]), None)
    assert first == smaller_from


def test_the_switch_computes_both_ways(tiny):
    same = masks.compare(record(tiny, 2, 7, attention="poly-2"), "own", True)["same"]
    assert "poly-2 attention" in same["note"] and [s["logits"] for s in same["scales"]] == [24, 96, 216]
    for scale in same["scales"]:
        assert scale["loop"] < 1e-4 * scale["largest"]
    # the largest logit, from the library
    model = checkpoints.load(tiny)
    ids = torch.cat([step.token_ids for step in model.trace(2, 7, model.config.sampling).steps], 1)
    with torch.inference_mode():
        logits = model.transformer(torch.tensor([2]), model.tokenizer.quantize.inputs_from_ids(ids), "poly-2")[0]
    assert same["scales"][2]["largest"] == pytest.approx(logits[5:].abs().max().item(), rel=1e-5)


def test_back_ends_without_a_masked_pass_and_pyramids_without_weights_say_so(tiny):
    assert masks.compare(record(tiny, attention="pool-2"), "own", True)["same"]["note"].startswith("pool-2 has no masked pass")
    same = masks.compare(record(tiny), "var-1024", True)["same"]
    assert same == {"note": EN["masks_same_no_weights"]}
    assert masks.compare(record(tiny), "own", False)["same"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "/etc/passwd"}, "model = '/etc/passwd': must be one of"),
        ({"model": None}, "model = None"),
        ({"model": ["var-256"]}, "must be one of"),
        ({"pyramid": "var-2048"}, "model = 'var-2048'"),
        ({"pyramid": 1e9}, "model = 1000000000.0"),
        ({"attention": "fast"}, "attention = 'fast': must be one of"),
        ({"attention": math.nan}, "attention = nan"),
        ({"attention": "auto"}, "attention = 'auto': must be a definite back end"),
        ({"switch": "yes"}, "same numbers = 'yes': must be true or false"),
        ({"switch": 1}, "same numbers = 1"),
    ],
)
def test_forged_values_are_readable_errors(tiny, change, message):
    values = {"record": record(tiny) | change, "pyramid": "own", "switch": True}
    values |= {name: value for name, value in change.items() if name in values}
    with pytest.raises(gr.Error) as caught:
        masks.compare(**values)
    assert message in caught.value.message and not caught.value.print_exception
    if "switch" not in change:
        with pytest.raises(gr.Error) as caught:
            masks.show(**values)
        assert message in caught.value.message


# -- visits ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_visit_scrubs_by_keyboard_sees_areas_in_true_proportion_and_reads_the_blocks(visit, server):
    page = visit(viewport={"width": 1280, "height": 900})
    open_chapter(page, "masks")
    page.wait_for_selector(".vb[data-scale='2']")
    scrubber = page.get_by_label(VIEW["masks_scrubber"])
    scrubber.focus()
    page.keyboard.press("End")
    assert scrubber.get_attribute("aria-valuetext") == "scale 3 of 3"
    assert "9 \u00d7 14 = 126 pairs" in page.locator(".vb-say").inner_text()
    # all at once: the pictures are drawn anew when the server has answered that the chapter is in sight
    cache, state, earlier, own = page.evaluate("""() => {
      const area = (e) => { const r = e.getBoundingClientRect(); return r.width * r.height; };
      const [ring, kept] = ['.vb-ring', '.vb-state'].map((part) => document.querySelector(`.vb-kept ${part}`));
      return [ring, kept, ...document.querySelectorAll(".vb-mask [data-row='2']")].slice(0, 4).map(area);
    }""")
    assert state / cache == pytest.approx(45 * 9 / (14 * 16), rel=0.02)
    assert earlier / own == pytest.approx(5 / 9, rel=0.05)
    page.keyboard.press("Home")
    assert page.locator(".vb-say").inner_text() == VIEW["masks_say_first"]
    page.locator(".vb-mask").focus()
    for _ in range(3):  # the first press shows the block of the current scale
        page.keyboard.press("ArrowRight")
    hidden = VIEW["masks_pair_hidden"].format(query=1, key=3, queries=1, keys=9, cells=9)
    assert page.locator(".vb-pair").inner_text() == hidden and page.locator(".vb-cursor").count() == 1
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    own = VIEW["masks_pair_own"].format(query=2, key=2, queries=4, keys=4, cells=16)
    assert page.locator(".vb-pair").inner_text() == own
    page.keyboard.press("Enter")  # the row under the cursor becomes the scale shown
    page.wait_for_selector(".vb[data-scale='2']")
    page.locator(".vb-play").press("Enter")
    page.wait_for_selector(".vb[data-scale='3']")
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == [] and page.complaints == []


@pytest.mark.slow
def test_visit_switches_pyramid_back_end_and_the_comparison(visit):
    page = visit(viewport={"width": 1280, "height": 900})
    open_chapter(page, "masks")
    page.get_by_label(EN["masks_switch"]).check()
    page.wait_for_selector(".vb[data-same='computed']")
    assert page.locator(".vb-same tbody tr").count() == 3
    assert VIEW["masks_same_rounding"] in page.locator(".vb-result").inner_text()
    page.locator("#vm-masks [data-setting=low_rank] select").select_option("pool-2")
    page.wait_for_selector(".vb[data-attention='pool-2'][data-same='computed']")
    page.get_by_role("combobox", name=EN["masks_pyramid"]).click()
    page.get_by_role("option", name="1024").click()
    page.wait_for_selector(".vb[data-name='VAR 1024 px'][data-same='told']")
    assert page.locator(".vb-same").inner_text() == EN["masks_same_no_weights"]
    page.get_by_label(EN["masks_switch"]).uncheck()
    page.wait_for_selector(".vb[data-same='']")
    assert page.locator(".vb-same").count() == 0 and page.complaints == []


@pytest.mark.slow
def test_a_phone_needs_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="light")
    open_chapter(page, "masks")
    page.wait_for_selector(".vb[data-scale]")
    page.get_by_label(EN["masks_switch"]).check()
    page.wait_for_selector(".vb[data-same='computed']")
    assert overflow(page) <= 0
    assert turns_dark(page, ".vb")


@pytest.mark.slow
def test_a_chinese_visitor_reads_chinese(visit):
    page = visit(locale="zh-CN", viewport={"width": 1280, "height": 900})
    open_chapter(page, "masks")
    page.wait_for_selector(".vb[data-scale]")
    assert page.get_by_text(wording.WORDS["masks_title_mask"]["zh"]).is_visible()
    assert wording.WORDS["masks_ask"]["zh"] in page.locator("#vm-masks").inner_text()
