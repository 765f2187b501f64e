"""The chapter on editing: its handlers against the library, forged masks and pictures, and visits by browser."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import bridge, models, runs, wording
from demo.chapters import edit
from tests.demo.visits import EN, draw, open_chapter, record
from var_mini import checkpoints
from var_mini.analysis import editing
from var_mini.analysis.inspection import attention_row
from var_mini.config import Sampling
from var_mini.data import samples
from var_mini.view import questions
from var_mini.view.images import to_uint8

LEFT = [1, 0, 0] * 3
COUNTS = (1, 4, 9)
IN_VIEW = """() => {
  const { top, bottom, height } = document.getElementById('vm-edit-result').getBoundingClientRect();
  return height && top >= 0 && bottom <= innerHeight;
}"""


def pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def event(data) -> gr.EventData:
    return gr.EventData(None, data)


def redraw(label, seed, guidance, data) -> list[tuple]:
    name = data["model"] if isinstance(data, dict) and data.get("model") in models.offered() else "fashion-28"
    return list(edit.redraw(record(name, guidance=guidance), label, seed, event(data)))


def drawn(name: str, seed: int = 0) -> dict:
    """The picture of the first screen, class 0, as the chapter takes it over."""
    return edit.start_drawn(runs.from_record(record(name, 0, seed)))


@pytest.fixture(scope="module")
def start(tiny) -> dict:
    return drawn(tiny, 1)


@pytest.fixture(scope="module")
def asked(tiny, start) -> dict:
    return {"model": tiny, "ids": start["ids"], "mask": LEFT}


# -- handlers --------------------------------------------------------------------------------------------------------------


def test_a_drawn_start_is_the_library_s_picture(tiny, start):
    trace = checkpoints.load(tiny).trace(0, 1)
    assert start["ids"] == [step.token_ids[0].tolist() for step in trace.steps]
    assert (start["subject"], start["facts"]) == ("plain", "seed 1")
    assert np.array_equal(pixels(start["image"]), to_uint8(trace.image[0]))
    json.dumps(start)


def test_a_start_taken_from_another_explorer_has_its_tokens(tiny, start):
    data = {"model": tiny, "subject": "mine", "ids": start["ids"]}
    taken = edit.start_taken(event(data))
    assert taken["ids"] == start["ids"] and taken["subject"] == "mine" and taken["image"] == start["image"]


def test_samples_are_start_pictures(tiny, monkeypatch):
    image = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    monkeypatch.setattr(samples, "load_samples", lambda config: [samples.Sample("last", image)])
    model = checkpoints.load(tiny)
    wanted = [ids[0].tolist() for ids in model.tokenizer.tokenize(image[None] * 2 - 1).token_ids]
    taken, label = edit.start_sample(record(tiny), event({"name": "last"}))
    assert taken["ids"] == wanted and taken["subject"] == "last" and label == nearest(model, 2)
    with pytest.raises(gr.Error, match="sample = 'x': must be one of last"):
        edit.start_sample(record(tiny), event({"name": "x"}))


def nearest(model, label: int) -> int:
    """The class, of all three, whose embedding is the most like that of `label`: by hand, in float64."""
    rows = model.transformer.class_emb.weight.detach().double().numpy()[:3]
    rows = [row - sum(rows) / 3 for row in rows]
    cosine = [float(row @ rows[label] / math.sqrt((row @ row) * (rows[label] @ rows[label]))) for row in rows]
    return max((other for other in range(3) if other != label), key=lambda other: cosine[other])


def test_the_chapter_begins_with_the_first_screen_s_picture_and_another_class(tiny, start):
    first, label = edit.follow(record(tiny, 0, 1))
    assert first == start and label["value"] == nearest(checkpoints.load(tiny), 0) != 0
    sunflower, things = 156, checkpoints.load_config("things-64")
    _, label = edit.follow(record("things-64", sunflower, 0, style=1))
    assert label["value"] != sunflower and things.class_groups[label["value"]] == things.class_groups[sunflower]


def test_redraw_streams_what_the_library_edits(tiny, start, asked):
    model, own = checkpoints.load(tiny), checkpoints.load_config(tiny).sampling
    streamed = redraw(2, 5, 2.0, asked)
    html = streamed[-1][1]
    ids = [torch.tensor(part) for part in start["ids"]]
    mask = torch.tensor(LEFT, dtype=torch.bool).reshape(3, 3)
    sampling = Sampling(2.0, own.temperature, own.top_k, own.top_p)
    steps = list(editing.edit(model, ids, mask, 2, 5, sampling))
    assert [len(run["scales"]) for run, _ in streamed] == [1, 2, 3]
    last = streamed[-1][0]
    assert [scale["ids"] for scale in last["scales"]] == [step.token_ids[0].tolist() for step in steps]
    assert [scale["given"] for scale in last["scales"]] == [[1], [0, 1, 0, 1], [0, 1, 1] * 3]
    for scale, original in zip(last["scales"], start["ids"]):
        assert all(now == before for now, before, given in zip(scale["ids"], original, scale["given"]) if given)
    assert "5 tokens drawn anew, 9 given" in last["note"] and last["edited"] is True and last["subject"] == "last"
    images = [pixels(uri)[::28, ::28] for uri in re.findall(r'src="([^"]+)"', html)]
    assert np.array_equal(images[0], pixels(start["image"])) and np.array_equal(images[2], to_uint8(steps[-1].image[0]))
    early = [pixels(uri)[::28, ::28] for uri in re.findall(r'src="([^"]+)"', streamed[0][1])]  # there from the first scale on
    assert np.array_equal(early[0], images[0]) and np.array_equal(early[2], to_uint8(steps[0].image[0]))
    assert "seed 5" in html and EN["edit_going_on"] in streamed[1][1] and EN["edit_going_on"] not in html
    before, after = model.trace(0, 1, own).image[0, 0].numpy(), steps[-1].image[0, 0].numpy()
    change = np.abs(after - before)
    assert f"{100 * change[:, :4].mean():.1f} % inside the mask, {100 * change[:, 4:].mean():.1f} % outside" in html
    json.dumps(last)


def test_everything_masked_is_an_ordinary_run(tiny, asked):
    *_, (run, html) = redraw(1, 4, 1.5, asked | {"mask": [1] * 9})
    trace = checkpoints.load(tiny).trace(1, 4)
    assert [scale["ids"] for scale in run["scales"]] == [step.token_ids[0].tolist() for step in trace.steps]
    assert f"{wording.NO_VALUE} % outside" in html
    assert "<b onclick" not in html and "&lt;b onclick" in html  # the class is named as it is, not run


def test_a_mask_s_plan_is_what_redraw_does(tiny, asked):
    *_, (run, _) = redraw(1, 4, 1.5, asked)
    plan = edit.plan({"model": tiny, "mask": LEFT})
    assert plan["scales"] == [[1 - given for given in scale["given"]] for scale in run["scales"]]


def test_attention_of_an_edited_run_is_that_of_its_own_tokens(tiny, asked):
    *_, (run, _) = redraw(2, 5, 1.5, asked)
    ids = [scale["ids"] for scale in run["scales"]]
    query = {"settings": run["settings"], "scale": 2, "token": 4, "layer": 1, "head": 0}
    values = np.frombuffer(base64.b64decode(bridge.attention(query | {"ids": ids})["weights"]), "<f4")
    wanted = attention_row(checkpoints.load(tiny), torch.tensor([code for part in ids for code in part]), 2, 2, 4)[1, 0]
    assert np.abs(values - wanted.numpy()).max() < 2e-5
    assert "must be 3 lists" in bridge.attention(query | {"ids": [1]})["error"]


# -- bad input -------------------------------------------------------------------------------------------------------------

BAD_MASKS = [
    None, "", "111111111", [], [1] * 8, [1] * 10, [1] * 10**6, [[1] * 3] * 3, [2] + [0] * 8, [-1] + [0] * 8, [math.nan] + [0] * 8,
    [0.5] + [0] * 8, [1.0] + [0] * 8, [True] + [0] * 8, ["1"] + [0] * 8, [None] * 9, {"0": 1},
]  # fmt: skip


@pytest.mark.parametrize("mask", BAD_MASKS)
def test_forged_masks_get_a_sentence(tiny, asked, mask):
    told = "must be a list of 9 numbers, 0 or 1"
    assert told in edit.plan({"model": tiny, "mask": mask})["error"]
    with pytest.raises(gr.Error, match=told) as caught:
        redraw(0, 0, 1.0, asked | {"mask": mask})
    assert not caught.value.print_exception and len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("label", "seed", "guidance", "change", "message"),
    [
        (3, 0, 1, {}, "class = 3: must be a whole number from 0 to 2"),
        (None, 0, 1, {}, "class = None"),
        (0, -1, 1, {}, "seed = -1"),
        (0, 1e30, 1, {}, "seed = 1e+30"),
        (0, 0, math.nan, {}, "guidance = nan"),
        (0, 0, "3", {}, "guidance = '3'"),
        (0, 0, 1, {"mask": [0] * 9}, "mask: is empty; mark at least one token"),
        (0, 0, 1, {"model": "/etc"}, "model = '/etc': must be one of"),
        (0, 0, 1, {"ids": [[0], [0] * 4]}, "must be 3 lists of 1, 4, 9 codes"),
        (0, 0, 1, {"ids": [[24], [0] * 4, [0] * 9]}, "code = 24"),
        (0, 0, 1, {"ids": [[math.inf], [0] * 4, [0] * 9]}, "code = inf"),
    ],
)
def test_bad_redraws_get_a_sentence(asked, label, seed, guidance, change, message):
    with pytest.raises(gr.Error) as caught:
        redraw(label, seed, guidance, asked | change)
    assert message in caught.value.message and not caught.value.print_exception and "\n" not in caught.value.message


@pytest.mark.parametrize("data", [None, [], "x", {}, {"model": None}, {"model": "var_d16", "subject": "x", "ids": []}])
def test_forged_events_get_a_sentence(tiny, data):
    for call in (
        lambda: redraw(0, 0, 1, data),
        lambda: edit.start_taken(event(data)),
        lambda: edit.start_sample(record(tiny), event(data)),
    ):
        with pytest.raises(gr.Error) as caught:
            call()
        assert "\n" not in caught.value.message
    assert "must be" in edit.plan(data)["error"]


def test_bad_starts_get_a_sentence(tiny):
    wrong = ({"label": 9}, "class = 9"), ({"seed": None}, "seed = None"), ({"model": "/etc"}, "model = '/etc'")
    for change, message in wrong:
        with pytest.raises(gr.Error, match=message):
            edit.follow(record(tiny) | change)
    with pytest.raises(gr.Error, match="settings = 3: must be a JSON object"):
        edit.follow(3)


def test_checked_ids_are_tensors_of_every_scale(tiny):
    ids = questions.checked_ids(checkpoints.load_config(tiny), [[i] * n for i, n in enumerate(COUNTS)])
    assert [part.tolist() for part in ids] == [[0], [1] * 4, [2] * 9] and all(part.dtype == torch.int64 for part in ids)


# -- browser ---------------------------------------------------------------------------------------------------------------


def go_to(page) -> None:
    open_chapter(page, "edit")
    page.locator("#vm-edit .ve[data-start='plain']").wait_for()  # the picture of the first screen


def redraw_of(page, label: int | None = None) -> None:
    """Presses Redraw, for a class that is not the one on offer where one is given."""
    if label is not None:
        page.locator("#vm-edit-class input").click()
        page.locator("#vm-edit-class [role=option]").nth(label).click()
    page.locator("#vm-edit-redraw").click()


def press(page, name: str) -> None:
    page.locator("#vm-edit").get_by_role("button", name=EN[name]).click()


def shown_run(page) -> dict:
    page.locator("#vm-edit-result img").first.wait_for()
    page.locator("#vm-edit-run .vx[data-drawn='3']").wait_for()
    return page.evaluate("document.querySelector('#vm-edit-run .vx').explorer.run()")


def masked(page) -> np.ndarray:
    return np.array([int(c) for c in page.locator("#vm-edit .ve").get_attribute("data-plan")]).reshape(3, 3)


def wait_for_mask(page, mask: str) -> None:
    page.locator(f"#vm-edit .ve[data-plan='{mask}']").wait_for()


def check(run: dict, start_ids: list, mask: str, tiny: str, label: int) -> None:
    """Outside the mask the run has the start's tokens, and all in all it is the library's edit."""
    where = torch.tensor([int(c) for c in mask], dtype=torch.bool).reshape(3, 3)
    now = [scale["ids"] for scale in run["scales"]]
    assert all(a == b for a, b, m in zip(now[-1], start_ids[-1], mask) if m == "0")
    steps = editing.edit(checkpoints.load(tiny), [torch.tensor(part) for part in start_ids], where, label, 1)
    assert now == [step.token_ids[0].tolist() for step in steps]


@pytest.mark.slow
def test_visit_edits_under_a_brushed_mask(visit, server, tiny):
    page = visit(viewport={"width": 1280, "height": 900})
    go_to(page)
    wait_for_mask(page, "100100100")
    press(page, "edit_preset_clear")
    wait_for_mask(page, "000000000")
    redraw_of(page)
    page.get_by_text(EN["edit_no_mask"]).wait_for()
    board = page.locator("#vm-edit .ve-board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    page.mouse.move(box["x"] + 0.17 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.83 * box["width"], box["y"] + 0.5 * box["height"], steps=2)  # a quick stroke leaves no gap
    page.mouse.up()
    wait_for_mask(page, "000111000")
    assert page.locator("#vm-edit .ve-plan small").all_inner_texts() == ["0 of 1", "4 of 4", "3 of 9"]  # half of each of the four
    offered = nearest(checkpoints.load(tiny), 0)
    redraw_of(page)
    run, start = shown_run(page), drawn(tiny)
    check(run, start["ids"], "000111000", tiny, offered)
    page.wait_for_function(IN_VIEW)
    assert page.evaluate("document.activeElement.id") == "vm-edit-result"
    assert page.locator("#vm-edit-run .vu-map .vu-given").count() == 1 + 0 + 6
    assert page.locator("#vm-edit-run .vu-redrawn").all_inner_texts()[-1] == "3 of 9 new"
    after = np.array(pixels(page.locator("#vm-edit-result [data-figure=after]").get_attribute("src")))[::28, ::28]
    assert np.array_equal(after, np.frombuffer(base64.b64decode(run["scales"][-1]["image"]), np.uint8).reshape(12, 12, 3))
    page.locator("#vm-edit-run .vu-map[data-map]").last.click()
    page.wait_for_selector("#vm-edit-run .vx[data-attention='shown']")
    before = page.locator("#vm-edit .ve-board img").get_attribute("src")
    press(page, "edit_from_result")  # the result becomes the next start
    page.wait_for_function("src => document.querySelector('#vm-edit .ve-board img').src !== src", arg=before)
    assert np.array_equal(pixels(page.locator("#vm-edit .ve-board img").get_attribute("src")), after)
    press(page, "edit_preset_all")
    wait_for_mask(page, "111111111")
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == [] and page.complaints == []


@pytest.mark.slow
def test_editing_works_by_keyboard_on_a_phone(visit, tiny):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    go_to(page)
    page.locator("#vm-edit [data-preset=clear]").press("Enter")
    page.locator("#vm-edit .ve-board").focus()
    for key in ("ArrowRight", "ArrowDown", " ", "End", "ArrowDown", " "):
        page.keyboard.press(key)
    wait_for_mask(page, "000010001")
    assert "Marked: 2 of 9." in page.locator("#vm-edit .ve-board").get_attribute("aria-label")
    page.locator("#vm-edit-redraw").press("Enter")
    check(shown_run(page), drawn(tiny)["ids"], "000010001", tiny, nearest(checkpoints.load(tiny), 0))
    board = page.locator("#vm-edit .ve-board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    page.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])  # a marked one: unmarks
    wait_for_mask(page, "000000001")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0 and page.complaints == []


@pytest.mark.slow
def test_the_run_of_the_first_screen_is_edited(visit, tiny):
    page = visit(viewport={"width": 1280, "height": 900})
    first = draw(page, 6)
    go_to(page)
    seed = page.locator("#vm-edit").get_by_text("seed 6")  # before it the picture is that of another seed
    seed.wait_for()
    press(page, "edit_from_result")  # nothing was edited yet
    page.get_by_text(EN["edit_none"]).wait_for()
    press(page, "edit_from_run")
    seed.wait_for(state="detached")  # what another place shows is told without a seed
    press(page, "edit_preset_invert")
    wait_for_mask(page, "011011011")  # the left side was marked at first
    redraw_of(page, 0)
    check(shown_run(page), [scale["ids"] for scale in first["scales"]], "011011011", tiny, 0)
