"""The chapter that takes a picture apart: its handlers against the library and against sums by hand, and visits by browser."""

from __future__ import annotations

import base64
import io
import json
import math

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import app
from demo.chapters import tokenize
from tests.demo.conftest import PATIENCE_MS
from tests.demo.visits import EN, open_chapter, record
from var_mini import checkpoints
from var_mini.data import pictures, samples
from var_mini.view.images import to_uint8

PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""


def noise(seed: int = 0, size: int = 12) -> np.ndarray:
    """A grey picture with soft structure, dark at its edge, uint8 (size, size)."""
    values = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    values[[0, -1]] = values[:, [0, -1]] = 10
    return values


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def rgb(code: str, size: int = 12) -> np.ndarray:
    return np.frombuffer(base64.b64decode(code), np.uint8).reshape(size, size, 3)


def event(data) -> gr.EventData:
    return gr.EventData(None, data)


def ids_of(shown: dict) -> list[list[int]]:
    return [scale["ids"] for scale in shown["scales"]]


@pytest.fixture(scope="module")
def shown(tiny) -> dict:
    return tokenize.take_upload(png(noise()), record(tiny))


# -- handlers --------------------------------------------------------------------------------------------------------------


def test_an_upload_is_what_the_tokenizer_makes_of_it(tiny, shown):
    tokenizer = checkpoints.load(tiny).tokenizer
    x = torch.from_numpy(noise()).float()[None, None] / 255 * 2 - 1
    with torch.inference_mode():
        f = tokenizer.encode(x)
        quantized = tokenizer.quantize.quantize(f)
        images = [(tokenizer.decode(f_hat) + 1) / 2 for f_hat in quantized.f_hat]
    assert ids_of(shown) == [ids[0].tolist() for ids in quantized.token_ids]
    assert np.array_equal(rgb(shown["original"])[..., 0], noise())
    for scale, image, f_hat, error in zip(shown["scales"], images, quantized.f_hat, shown["errors"], strict=True):
        assert np.array_equal(rgb(scale["image"]), to_uint8(image[0]))
        difference = image[0, 0].double().numpy() - noise() / 255
        assert error["psnr"] == pytest.approx(-10 * math.log10((difference**2).mean()), abs=1e-3)
        assert error["mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-3)
        missing = (f - f_hat).double().numpy()
        assert error["residual"] == pytest.approx(np.linalg.norm(missing) / np.linalg.norm(f.double().numpy()), rel=1e-3)
    assert "14 codes on 3 maps" in shown["note"] and f"{shown['errors'][-1]['psnr']:.1f} dB" in shown["note"]
    assert "12 × 12" in shown["note"] and shown["settings"] == {"model": tiny, "subject": EN["tokenize_upload"]}  # noqa: RUF001
    json.dumps(shown)


def test_a_drawing_and_an_upload_of_the_same_pixels_are_the_same(tiny, shown):
    drawn = tokenize.take_drawing(record(tiny), event({"image": uri(png(noise()))}))
    assert ids_of(drawn) == ids_of(shown) and drawn["original"] == shown["original"]
    assert drawn["subject"] == EN["tokenize_drawing"]


def test_a_bright_upload_is_inverted_as_the_rule_says(tiny, shown):
    inverted = tokenize.take_upload(png(255 - noise()), record(tiny))
    assert inverted["original"] == shown["original"] and EN["tokenize_inverted"] in inverted["note"]
    left = tokenize.take_upload(png(255 - noise()), record(tiny), invert="no")
    assert np.array_equal(rgb(left["original"])[..., 0], 255 - noise()) and EN["tokenize_inverted"] not in left["note"]


def test_samples_are_offered_and_taken_apart(tiny, monkeypatch):
    found = [
        samples.Sample("one", torch.from_numpy(noise(1))[None] / 255),
        samples.Sample("two", torch.from_numpy(noise(2))[None] / 255),
    ]
    monkeypatch.setattr(samples, "load_samples", lambda config: found)
    offered, invert, first = tokenize.follow(record(tiny))
    assert [sample["name"] for sample in offered["samples"]] == ["one", "two"] and offered["channels"] == 1
    assert invert["visible"] is True and first["subject"] == "one"
    second = tokenize.take_sample(record(tiny), event({"name": "two"}))
    assert np.array_equal(rgb(second["original"])[..., 0], noise(2)) and second["subject"] == "two"
    with pytest.raises(gr.Error, match="sample = 'three': must be one of one, two"):
        tokenize.take_sample(record(tiny), event({"name": "three"}))


def test_without_samples_nothing_is_loaded_and_the_tab_says_what_to_do(tiny, monkeypatch):
    monkeypatch.setattr(tokenize.models, "load_model", lambda name: pytest.fail("loaded a model"))
    monkeypatch.setattr(tokenize.models, "published", lambda: ["var_d16"])
    assert tokenize.follow(record(tiny))[2]["note"] == EN["tokenize_choose"]
    _, invert, shown = tokenize.follow(record("var_d16"))
    assert invert["visible"] is False and shown["note"] == EN["published_needs"]


def query(shown: dict, tiny: str, **change) -> dict:
    return {"model": tiny, "ids": ids_of(shown), "scale": 1, "token": 2, "code": 7, "original": shown["original"]} | change


def test_a_replaced_code_changes_exactly_that_code(tiny, shown):
    after = tokenize.replace(query(shown, tiny))
    wanted = ids_of(shown)
    wanted[1] = [*wanted[1][:2], 7, *wanted[1][3:]]
    assert ids_of(after) == wanted and after["original"] == shown["original"]
    tokenizer = checkpoints.load(tiny).tokenizer
    with torch.inference_mode():
        f_hat = sum(tokenizer.quantize.contribution(torch.tensor([ids]), k) for k, ids in enumerate(wanted))
        image = (tokenizer.decode(f_hat) + 1) / 2
    assert np.array_equal(rgb(after["scales"][-1]["image"]), to_uint8(image[0]))
    assert after["scales"][0]["image"] == shown["scales"][0]["image"] and after["errors"][0] == shown["errors"][0]
    back = tokenize.replace(query(after, tiny, code=ids_of(shown)[1][2]))
    assert ids_of(back) == ids_of(shown) and back["scales"] == shown["scales"]


def test_candidates_are_the_nearest_codes_with_the_picture_each_would_make(tiny, shown):
    answer = tokenize.candidates(query(shown, tiny))
    code = ids_of(shown)[1][2]
    codebook = checkpoints.load(tiny).tokenizer.quantize.embedding.weight.detach().double().numpy()
    distances = np.linalg.norm(codebook - codebook[code], axis=1)
    order = sorted(range(24), key=lambda i: distances[i])
    assert answer["codes"] == [code, *order[1 : 1 + answer["near"]], *order[-tokenize.FAR :]]
    assert answer["distances"] == pytest.approx([distances[i] for i in answer["codes"]], abs=1e-3)
    for picked, image in zip(answer["codes"], answer["images"], strict=True):
        after = tokenize.replace(query(shown, tiny, code=picked))
        assert np.abs(rgb(image).astype(int) - rgb(after["scales"][-1]["image"])).max() <= 1  # a batch rounds differently


# -- bad input -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "query = None: must be a JSON object"),
        ([1], "must be a JSON object"),
        ({"model": "/etc"}, "model = '/etc': must be one of"),
        ({"model": ["x"]}, "model = ['x']"),
        ({"ids": None}, "ids = None: must be 3 lists of 1, 4, 9 codes"),
        ({"ids": [[0]]}, "must be 3 lists"),
        ({"ids": [[0], [0] * 4, [0] * 10**6]}, "must be 3 lists"),
        ({"ids": [[0], [0] * 4, [24] + [0] * 8]}, "code = 24: must be a whole number from 0 to 23"),
        ({"ids": [[0], [0] * 4, [-1] + [0] * 8]}, "code = -1"),
        ({"ids": [[0], [0] * 4, [math.nan] + [0] * 8]}, "code = nan"),
        ({"ids": [["0"], [0] * 4, [0] * 9]}, "code = '0'"),
        ({"ids": [[True], [0] * 4, [0] * 9]}, "code = True"),
        ({"scale": 3}, "scale = 3: must be a whole number from 0 to 2"),
        ({"scale": "1"}, "scale = '1'"),
        ({"token": 4}, "token = 4: must be a whole number from 0 to 3"),
        ({"token": -1}, "token = -1"),
        ({"token": math.inf}, "token = inf"),
        ({"token": 10**30}, "token = 1000"),
    ],
)
def test_forged_clicks_get_a_message(tiny, shown, change, message):
    forged = change if not isinstance(change, dict) else query(shown, tiny, **change)
    for answer in (tokenize.candidates(forged), tokenize.replace(forged)):
        assert set(answer) == {"error"} and message in answer["error"] and len(answer["error"]) < 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": 24}, "code = 24: must be a whole number from 0 to 23"),
        ({"code": None}, "code = None"),
        ({"code": 1.5}, "code = 1.5"),
        ({"original": None}, "original = None: must be 432 bytes in base64"),
        ({"original": "AAAA"}, "must be 432 bytes"),
        ({"original": "!" * 576}, "must be 432 bytes"),
        ({"original": "A" * 10**6}, "must be 432 bytes"),
        ({"original": {"path": "/etc/passwd"}}, "must be 432 bytes"),
    ],
)
def test_forged_replacements_get_a_message(tiny, shown, change, message):
    assert message in tokenize.replace(query(shown, tiny, **change))["error"]


@pytest.mark.parametrize(
    "data", [None, [], "x", 3, {}, {"name": None}, {"image": None}, {"image": "/etc/passwd"}, {"image": "x" * 10**7}]
)
def test_forged_events_get_a_sentence(tiny, data):
    for handler in (tokenize.take_drawing, tokenize.take_sample):
        with pytest.raises(gr.Error) as caught:
            handler(record(tiny), event(data))
        assert not caught.value.print_exception and "\n" not in caught.value.message and len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content": b""}, "not empty"),
        ({"content": "/etc/passwd"}, "must be the content of a picture file"),
        ({"content": b"GIF89a"}, "not a readable picture"),
        ({"content": b"\0" * (pictures.MAX_BYTES + 1)}, "at most 8,388,608"),
        ({"record": {"model": "/etc"}}, "model = '/etc'"),
        ({"record": None}, "settings = None: must be a JSON object"),
        ({"fit": "x"}, "fit = 'x'"),
        ({"invert": 3}, "invert = 3"),
    ],
)
def test_bad_uploads_get_a_sentence(tiny, change, message):
    with pytest.raises(gr.Error) as caught:
        tokenize.take_upload(**({"content": png(noise()), "record": record(tiny)} | change))
    assert message in caught.value.message and not caught.value.print_exception


# -- browser ---------------------------------------------------------------------------------------------------------------


def go_to(page) -> None:
    open_chapter(page, "tokenize")
    page.locator("#vm-tokenize .vk").wait_for()


def upload(page, content: bytes) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=EN["tokenize_open"]).click()
    chooser.value.set_files({"name": "picture.png", "mimeType": "image/png", "buffer": content})


def figure(page, name: str) -> np.ndarray:
    values = page.locator(f"#vm-tokenize [data-figure={name}]").evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(12, 12, 4)[..., :3]


@pytest.mark.slow
def test_visit_takes_an_upload_apart_and_replaces_a_code(visit, server, tiny, shown):
    page = visit(viewport={"width": 1280, "height": 900})
    go_to(page)
    upload(page, png(noise()))
    page.locator("#vm-tokenize [data-figure=result]").wait_for()
    assert np.array_equal(figure(page, "original")[..., 0], noise())
    assert np.array_equal(figure(page, "result"), rgb(shown["scales"][-1]["image"]))
    cells = page.locator("#vm-tokenize .vk-errors tbody td span").all_inner_texts()
    assert cells[-2] == f"{shown['errors'][-1]['psnr']:.1f} dB" and cells[0] == f"{100 * shown['errors'][0]['residual']:.1f} %"
    frame = page.locator("#vm-tokenize .vu-map[data-map]").nth(1)
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})  # row 2, column 1: token 2
    page.locator("#vm-tokenize .vk-swap[data-offered='1 2'] .vk-code").first.wait_for()
    picked = tokenize.candidates(query(shown, tiny))["codes"][-1]
    page.locator("#vm-tokenize .vk-code").last.click()
    page.locator("#vm-tokenize .vk[data-replaced='1']").wait_for()
    after = tokenize.replace(query(shown, tiny, code=picked))
    assert np.array_equal(figure(page, "result"), rgb(after["scales"][-1]["image"]))
    page.get_by_label(EN["tokenize_number"].format(last=23)).fill("99")
    page.get_by_role("button", name=EN["tokenize_use"]).click()
    page.get_by_text("code = 99: must be a whole number from 0 to 23").wait_for()
    page.get_by_role("button", name=EN["tokenize_undo"]).click()
    page.locator("#vm-tokenize .vk[data-replaced='0']").wait_for()
    assert np.array_equal(figure(page, "result"), rgb(shown["scales"][-1]["image"]))
    open_chapter(page, "edit")  # which can begin with it
    page.get_by_role("button", name=EN["edit_from_picture"]).click()
    page.locator(f"#vm-edit .ve[data-start='{EN['tokenize_upload']}']").wait_for()
    board = page.locator("#vm-edit .ve-board img").get_attribute("src").partition(",")[2]
    started = np.asarray(Image.open(io.BytesIO(base64.b64decode(board))).convert("RGB"))
    assert np.array_equal(started, rgb(shown["scales"][-1]["image"]))
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == [] and page.complaints == []


@pytest.mark.slow
def test_a_code_is_replaced_by_keyboard_alone(visit, tiny, shown):
    page = visit(viewport={"width": 1280, "height": 900})
    go_to(page)
    upload(page, png(noise()))
    page.locator("#vm-tokenize [data-figure=result]").wait_for()
    page.locator("#vm-tokenize .vu-map[data-map]").nth(1).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#vm-tokenize .vk-swap[data-offered='1 2']").wait_for()
    page.get_by_label(EN["tokenize_number"].format(last=23)).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    page.locator("#vm-tokenize .vk[data-replaced='1']").wait_for()
    after = tokenize.replace(query(shown, tiny))
    assert np.array_equal(figure(page, "result"), rgb(after["scales"][-1]["image"]))
    page.get_by_role("button", name=EN["tokenize_reset"]).press("Enter")
    page.locator("#vm-tokenize .vk[data-replaced='0']").wait_for()
    page.wait_for_function("document.activeElement.dataset.key === 'number'")  # Reset can no longer be pressed


@pytest.mark.slow
def test_a_drawing_by_mouse_finger_and_keyboard_is_taken_apart(visit, tiny):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    go_to(page)
    canvas, original = page.locator("#vm-picker canvas"), page.locator("#vm-tokenize [data-figure=original]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 100, steps=4)
    page.mouse.up()
    original.wait_for()
    drawn = figure(page, "original")[..., 0]
    assert drawn[6, 3:9].min() > 60 and drawn[[0, 1, -2, -1]].max() == 0  # a bright line across the middle
    tokens = np.array(page.locator("#vm-tokenize [data-figure=result]").evaluate(PIXELS), np.uint8).reshape(12, 12, 4)[..., :3]
    again = tokenize.take_upload(png(drawn), record(tiny), invert="no")
    assert np.array_equal(tokens, rgb(again["scales"][-1]["image"]))
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 30)  # a dot above the line
    page.wait_for_function(f"({PIXELS})(document.querySelector('#vm-tokenize [data-figure=original]'))[4 * (12 * 1 + 6)] > 60")
    canvas.focus()
    for key in ("ArrowDown", " ", *["ArrowDown"] * 20, " "):
        page.keyboard.press(key)
    page.wait_for_function(f"({PIXELS})(document.querySelector('#vm-tokenize [data-figure=original]'))[4 * (12 * 9 + 6)] > 60")
    assert page.complaints == []


@pytest.mark.slow
def test_a_sample_is_shown_at_once_and_another_on_a_click(browser, tiny, monkeypatch):
    found = [samples.Sample(str(i), torch.from_numpy(noise(i))[None] / 255) for i in (1, 2)]
    monkeypatch.setattr(samples, "load_samples", lambda config: found)
    served = app.launch(tiny, port=None, prevent_thread_lock=True, quiet=True)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    try:
        page.goto(served.local_url)
        go_to(page)
        page.locator("#vm-tokenize [data-figure=original]").wait_for()
        assert np.array_equal(figure(page, "original")[..., 0], noise(1))
        page.locator("#vm-picker .vp-samples button").last.click()
        page.locator("#vm-tokenize .vu-class .vu-name", has_text="2").wait_for()
        assert np.array_equal(figure(page, "original")[..., 0], noise(2))
    finally:
        page.close()
        served.close()


@pytest.mark.slow
def test_a_bad_upload_is_told_and_the_page_goes_on(visit):
    page = visit()
    go_to(page)
    upload(page, b"not a picture")
    page.get_by_text("is not a readable picture").first.wait_for()
    upload(page, png(noise()))
    page.locator("#vm-tokenize [data-figure=result]").wait_for()
