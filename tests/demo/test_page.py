"""The page: its handlers as plain functions, its command, and a visit with a real browser.

A tiny untrained model stands in for the shipped ones, so these tests need no weights and run in seconds.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from demo import __main__ as command
from demo import draw_tab, explorer, links, models, wording
from tests.conftest import TINY_TOKENIZER
from var_mini import checkpoints
from var_mini.config import Sampling
from var_mini.generation import Trace
from var_mini.model import Model
from var_mini.view.images import to_uint8

DONE = "(e => e && e.dataset.drawn === e.dataset.scales)(document.querySelector('#vm-explorer .vx'))"
PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}


def colours(code: str) -> np.ndarray:
    """Base64 of RGB bytes as uint8 (n, 3)."""
    return np.frombuffer(base64.b64decode(code), np.uint8).reshape(-1, 3)


def expected(tiny: str, label: int, seed: int, sampling: Sampling | None = None) -> np.ndarray:
    """What the library draws, without the page."""
    return to_uint8(checkpoints.load(tiny).trace(label, seed, sampling).image[0])


# -- handlers ------------------------------------------------------------------------------------------------------


def test_draw_streams_every_scale_and_ends_with_the_library_image(tiny):
    shown = list(draw_tab.draw(tiny, 2, 7, 1.0, 0.8, 5, 0.9))
    assert [len(run["scales"]) for run in shown] == [0, 1, 2, 3] and "Preparing tiny" in shown[0]["note"]
    json.dumps(shown)
    last, sampling = shown[-1], Sampling(1.0, 0.8, 5, 0.9)
    assert np.array_equal(colours(last["scales"][-1]["image"]).reshape(12, 12, 3), expected(tiny, 2, 7, sampling))
    assert last["subject"] == "last" and last["settings"]["seed"] == 7 and last["tokens"] == 14
    trace = checkpoints.load(tiny).trace(2, 7, sampling)
    for scale, step in zip(last["scales"], trace.steps, strict=True):
        assert scale["ids"] == step.token_ids[0].tolist() and len(colours(scale["colours"])) == step.side**2
        assert scale["entropy"] == pytest.approx(step.entropy[0].tolist(), abs=1e-4)
        assert scale["probability"] == pytest.approx(step.probability[0].tolist(), abs=1e-4)
        assert scale["top"] == step.top_ids[0].tolist()


def test_a_click_on_a_token_is_answered_with_the_run_s_own_attention(tiny):
    *_, run = draw_tab.draw(tiny, 1, 3, 1.5, 0.9, 0, 1.0)
    trace = checkpoints.load(tiny).trace(1, 3, Sampling(1.5, 0.9, 0, 1.0), capture="full")
    answer = explorer.row({"settings": run["settings"], "scale": 2, "token": 4})
    values = np.frombuffer(base64.b64decode(answer["weights"]), "<u2").reshape(answer["shape"]) / 65535
    assert np.abs(values - trace.steps[2].attention[0, :, :, 4].numpy()).max() < 2e-5
    table = explorer.blocks({"settings": run["settings"]})
    assert table["shape"] == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "query = None: must be a JSON object"),
        ([1, 2], "must be a JSON object"),
        ({}, "settings = None: must be a JSON object"),
        ({"settings": {"model": "/etc"}}, "model = '/etc': must be one of"),
        ({"scale": 9}, "scale = 9: must be a whole number from 0 to 2"),
        ({"scale": 2, "token": 9}, "token = 9: must be a whole number from 0 to 8"),
        ({"scale": "2"}, "scale = '2'"),
        ({"token": math.nan}, "token = nan"),
    ],
)
def test_forged_events_get_a_message(tiny, query, message):
    *_, run = draw_tab.draw(tiny, 1, 3, 1.5, 0.9, 0, 1.0)
    if isinstance(query, dict) and query and "settings" not in query:
        query = {"settings": run["settings"], "scale": 0, "token": 0} | query
    assert message in explorer.row(query)["error"]


GOOD = {"name": None, "label": 0, "seed": 0, "guidance": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guidance": math.nan}, "guidance = nan: must be a finite number"),
        ({"guidance": "1"}, "guidance = '1'"),
        ({"temperature": 0}, "temperature = 0"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"top_k": -1}, "top_k = -1"),
        ({"top_k": 2.5}, "top_k = 2.5"),
        ({"top_p": 1.01}, "top_p = 1.01"),
        ({"seed": 2**40}, "seed = 1099511627776: must be a whole number from 0 to 4294967295"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": None}, "The field of the seed is empty: it must be a whole number from 0 to 4294967295"),
        ({"seed": [0, 1]}, "seed = [0, 1]"),
        ({"label": 3}, "class = 3: must be a whole number from 0 to 2"),
        ({"label": -1}, "class = -1"),
        ({"label": "last"}, "class = 'last'"),
        ({"label": [0, 1]}, "class = [0, 1]"),
        ({"name": "no-such-model"}, "model = 'no-such-model': must be one of"),
        ({"name": ["var_d16"]}, "model = ['var_d16']"),
        ({"name": 3}, "model = "),
        ({"name": "x" * 5000}, "model = 'xxx"),
        ({"name": "a\0b"}, "model = "),
    ],
)
def test_bad_input_is_a_readable_error(tiny, change, message):
    values = {**GOOD, "name": tiny, **change}
    with pytest.raises(gr.Error) as caught:
        list(draw_tab.draw(**values))
    assert message in caught.value.message
    assert not caught.value.print_exception and "\n" not in caught.value.message


def test_a_checkpoint_that_does_not_load_is_a_readable_error(tiny, tmp_path, monkeypatch):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / checkpoints.CONFIG).write_text((Path(tiny) / checkpoints.CONFIG).read_text())
    (folder / checkpoints.WEIGHTS).write_bytes(b"not a tensor file")
    monkeypatch.setattr(models, "_DEFAULT", [str(folder)])
    with pytest.raises(gr.Error, match="not a readable safetensors file"):
        for run in draw_tab.draw(**{**GOOD, "name": str(folder)}):
            last = run
    assert "not a readable safetensors file" in last["note"]  # the page does not keep saying that it prepares the model
    (folder / checkpoints.CONFIG).write_text("{")
    with pytest.raises(gr.Error, match="not a readable JSON file"):
        list(draw_tab.draw(**{**GOOD, "name": str(folder)}))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("x"), EN["out_of_memory"]),
        (MemoryError(), EN["out_of_memory"]),
        (RuntimeError("first\nsecond"), EN["run_failed"].format(error="first")),
    ],
)
def test_a_run_that_breaks_is_a_readable_error(tiny, monkeypatch, error, message):
    loaded = models.load_model(tiny)

    def broken(*args, **options):
        yield from list(Model.generate(loaded.model, 0, 0))[:1]
        raise error

    monkeypatch.setattr(loaded.model, "generate", broken)
    with pytest.raises(gr.Error) as caught:
        list(draw_tab.draw(**{**GOOD, "name": tiny}))
    assert caught.value.message == message


def test_choosing_a_model_updates_classes_settings_and_strip(tiny, monkeypatch):
    label, seed, guidance, temperature, top_k, top_p, landmarks, style, run, area = draw_tab.choose_model(tiny)
    assert seed == 0 == links.first_choice(tiny)[1]
    assert label["choices"] == [("plain", 0), ('a <b onclick="x">bold</b> one', 1), ("last", 2)] and label["value"] == 0
    assert (guidance, temperature, top_k["value"], top_k["maximum"], top_p) == (1.5, 0.9, 20, TINY_TOKENIZER.vocab_size, 0.95)
    assert run["scales"] == [] and run["sides"] == [1, 2, 3] and area["visible"] is False
    assert style["choices"] == [] and style["visible"] is False
    assert landmarks["choices"] == [("16", 16), ("32", 32), ("64", 64)]
    _, seed, *_, run, _ = draw_tab.choose_model("emoji-32")
    assert seed == run["settings"]["seed"] == 1  # the recorded run's
    with pytest.raises(gr.Error, match="must be one of"):  # its files are not here
        draw_tab.choose_model("var_d16")
    monkeypatch.setattr(models, "published", lambda: ["var_d16"])
    *_, run, _ = draw_tab.choose_model("var_d16")  # shown without its weights
    assert len(run["sides"]) == 10 and run["note"] == EN["published_needs"]
    with pytest.raises(gr.Error, match="no-such-model"):
        draw_tab.choose_model("no-such-model")
    with pytest.raises(gr.Error, match="must be one of"):  # a browser cannot name a folder of this machine
        draw_tab.choose_model(str(Path(tiny).parent))


# -- command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "port = 70000"),
        (["--port", "x"], "invalid int value"),
        (["--host", "no such host"], "host = 'no such host'"),
        (["--model", "no-such-model", "--port", "0"], "port = 0"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
def test_command_names_a_bad_value_and_exits_with_2(arguments, message, capsys):
    try:
        code = command.main(arguments)
    except SystemExit as stopped:  # how argparse leaves
        code = stopped.code
    assert code == 2 and message in capsys.readouterr().err


def test_command_names_an_unknown_model_and_exits_with_2(capsys, monkeypatch):
    monkeypatch.setattr(command, "check_address", lambda *_: None)
    assert command.main(["--model", "no-such-model"]) == 2
    assert "model = 'no-such-model': must be one of" in capsys.readouterr().err


# -- words ---------------------------------------------------------------------------------------------------------


def test_both_languages_have_every_text_with_the_same_braces():
    for name, pair in wording.TEXTS.items():
        english, chinese = (sorted(re.findall(r"\{(\w+)\}", text)) for text in pair)
        assert english == chinese and all(pair), name


def test_every_text_is_used_and_every_used_text_exists():
    """In Python by its whole name, in a script without its prefix; or by a name that is put together from a part of it."""
    page = Path(draw_tab.__file__).parent
    sources = "".join(path.read_text() for path in page.glob("*.py") if path.name != "wording.py")
    scripts = "".join(path.read_text() for folder in (page, explorer.VIEW) for path in folder.glob("*.js")) + sources
    assembled = re.findall(r'f"(\w+_)\{', sources)  # wording.text(f"edit_{name}")
    prefixes = set(re.findall(r'wording\.part\("(\w+)"\)', sources))
    for name in wording.TEXTS:
        prefix = next((p for p in prefixes if name.startswith(p)), None)
        rest = name.removeprefix(prefix or "")
        pieces = [rest, *(rest.partition("_")[::2] if "_" in rest else ())]
        in_script = prefix and any(re.search(rf"\b_?{piece}\b", scripts) for piece in pieces)
        in_python = re.search(rf"[\"']{name}[\"']", sources) or name.startswith(tuple(assembled)) or name.endswith("_info")
        assert in_script or in_python, name


@pytest.mark.parametrize(
    ("header", "code"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,zh;q=0.5", "en"), ("", "en"), ("fr", "en")]
)
def test_the_language_follows_the_browser(header, code):
    request = type("Request", (), {"headers": {"accept-language": header}})
    assert wording.language(request) == code and wording.language(None) == "en"


# -- browser -------------------------------------------------------------------------------------------------------


def height(page) -> float:
    return page.locator("#vm-explorer .vx").bounding_box()["height"]


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def generate(page) -> None:
    page.get_by_role("button", name=EN["generate"]).click()
    page.wait_for_function(DONE)


@pytest.mark.slow
def test_visit_draws_what_the_library_draws(visit, server, tiny):
    page = visit(viewport={"width": 1280, "height": 800})
    assert page.locator(".vx-waiting").count() == 3  # not blank before the first click
    before = height(page)
    page.get_by_label(EN["seed"]).fill("5")
    generate(page)
    assert page.locator(".vx-scale:not(.vx-waiting)").count() == 3
    assert height(page) == before  # the layout does not jump
    shown = np.array(page.locator(".vx-big").evaluate(PIXELS), np.uint8).reshape(12, 12, 4)
    assert np.array_equal(shown[..., :3], expected(tiny, 0, 5, checkpoints.load_config(tiny).sampling))
    assert [url for url in page.requested if not url.startswith((server, "data:", "blob:"))] == []
    assert page.complaints == []


@pytest.mark.slow
def test_the_explorer_works_by_keyboard_alone(visit, tiny):
    page = visit(viewport={"width": 1280, "height": 800})
    generate(page)
    frame = page.locator(".vx-frame").last
    frame.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    trace = checkpoints.load(tiny).trace(0, 0)
    code = trace.steps[2].token_ids[0, 8].item()
    assert page.locator(".vx-token h3").inner_text() == "Row 3, column 3 of 3 \u00d7 3"
    assert f"code {code} of 24" in page.locator(".vx-token").inner_text()
    assert page.locator(".vx-top li").count() == 5
    page.keyboard.press("Enter")
    page.wait_for_selector(".vx[data-attention='shown']")
    shares = [float(text.removesuffix(" %").removeprefix("< ")) for text in page.locator(".vx-mass").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=1.5)
    page.keyboard.press("Escape")
    assert page.locator(".vx-mass").all_inner_texts() == ["", "", ""]
    page.get_by_label(EN["explorer_scrubber"]).focus()
    page.keyboard.press("Home")
    assert "after scale 1 of 3" in page.locator(".vx-caption").inner_text()
    page.keyboard.press("ArrowRight")
    assert "after scale 2 of 3" in page.locator(".vx-caption").inner_text()
    page.get_by_role("button", name=EN["explorer_added"]).press("Enter")
    assert "Added by scale 2 of 3" in page.locator(".vx-caption").inner_text()
    page.get_by_role("button", name=EN["explorer_play"]).press("Enter")
    page.wait_for_function("document.querySelector('.vx-caption').innerText.includes('scale 3 of 3')")


@pytest.mark.slow
def test_the_table_from_scale_to_scale_is_the_library_s(visit, tiny):
    page = visit()
    generate(page)
    page.locator(".vx-more summary").click()
    page.locator(".vx-blocks table").wait_for()
    trace = checkpoints.load(tiny).trace(0, 0, checkpoints.load_config(tiny).sampling, capture="blocks")
    row = [int(text) for text in page.locator(".vx-blocks tbody tr").last.locator("td").all_inner_texts()]
    assert row == pytest.approx((100 * trace.steps[2].attention[0, 0, 0]).tolist(), abs=0.51)


@pytest.mark.slow
def test_a_link_restores_the_run(visit, server, tiny):
    page = visit()
    page.get_by_label(EN["seed"]).fill("9")
    generate(page)
    link = page.evaluate("location.href")
    query = parse_qs(urlparse(link).query)
    assert query["seed"] == ["9"] and query["model"] == [tiny] and query["scale"] == ["3"]
    other = visit(path=link.removeprefix(server))
    other.wait_for_function(DONE)
    assert other.get_by_label(EN["seed"]).input_value() == "9"
    shown = np.array(other.locator(".vx-big").evaluate(PIXELS), np.uint8).reshape(12, 12, 4)
    assert np.array_equal(shown[..., :3], expected(tiny, 0, 9, checkpoints.load_config(tiny).sampling))
    third = visit(path=link.removeprefix(server).replace("scale=3", "scale=2"))
    third.wait_for_function(DONE)
    assert third.locator(".vx-controls input[type=range]").first.input_value() == "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["?model=/etc&label=0", "?model=fashion-28&label=999&seed=1", "?model=x%00&seed=<b>", "?seed=1e99"]
)
def test_a_spoilt_link_says_why_and_the_page_works(visit, query):
    page = visit(path=query)
    if "model=" in query:
        page.get_by_text("must be").first.wait_for()
    generate(page)


@pytest.mark.slow
def test_a_run_is_saved_and_opened_again(visit, tiny, tmp_path):
    page = visit()
    page.get_by_label(EN["seed"]).fill("4")
    generate(page)
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
    other.locator("input[type=file]").set_input_files(tmp_path / "run.trace")
    other.wait_for_function(DONE)
    (tmp_path / "bad.trace").write_bytes(b"\x80\x04nonsense")
    other.locator("input[type=file]").set_input_files(tmp_path / "bad.trace")
    other.get_by_text("trace is not a file saved by this project").wait_for()


@pytest.mark.slow
def test_more_seeds_are_the_library_s(visit, tiny):
    page = visit()
    page.get_by_role("button", name=EN["more"]).click()
    page.locator(".vm-gallery figure").nth(7).wait_for()
    assert page.locator(".vm-gallery figcaption").all_inner_texts() == [str(i) for i in range(8)]


@pytest.mark.slow
def test_visit_with_a_bad_seed_shows_why(visit):
    page = visit()
    page.get_by_label(EN["seed"]).fill("-3")
    page.get_by_role("button", name=EN["generate"]).click()
    page.get_by_text("must be a whole number from 0 to 4294967295").wait_for()
    assert page.locator(".vx-waiting").count() == 3


@pytest.mark.slow
def test_visit_switches_the_model(visit):
    page = visit()
    page.get_by_label(EN["seed"]).fill("77")
    page.get_by_label(EN["model"]).click()
    page.get_by_role("option", name="emoji-32", exact=True).click()
    page.wait_for_function("document.querySelector('#vm-explorer .vx-root').explorer.run().model === 'emoji-32'")
    run = page.evaluate("document.querySelector('#vm-explorer .vx-root').explorer.run()")
    # the field names the seed of the run that is shown
    page.wait_for_function(f"document.querySelector('#vm-tab-draw input[type=number]').value === '{run['settings']['seed']}'")


@pytest.mark.slow
def test_visit_is_told_when_a_result_is_not_of_these_settings(visit):
    page = visit()
    generate(page)
    assert page.locator("#vm-explorer[data-stale]").count() == 0
    page.get_by_label(EN["seed"]).fill("78")
    assert page.locator("#vm-explorer[data-stale]").get_attribute("data-stale") == EN["stale"]
    generate(page)
    page.wait_for_selector("#vm-explorer:not([data-stale])", state="attached")


@pytest.mark.slow
def test_a_small_probability_is_not_shown_as_none(visit):
    page = visit()
    generate(page)
    page.evaluate("""() => {
      const { explorer } = document.querySelector('#vm-explorer .vx-root'), run = structuredClone(explorer.run());
      run.settings.seed = -1; // another run, so that it is drawn anew
      run.scales[0].probability = [0.0003];
      explorer.show(run);
      explorer.choose(0, 0);
    }""")
    told = page.locator(".vx-token").inner_text()
    assert "drawn with probability < 0.1 % (after guidance" in told
    assert page.locator(".vx-entropy").first.inner_text().endswith(" nats")
    assert "3.2 nats: all 24 codes alike" in page.locator(".vx-entropy").first.get_attribute("title")  # ln 24


@pytest.mark.slow
def test_visit_stops_nothing_when_nothing_runs(visit):
    page = visit()
    page.get_by_role("button", name=EN["stop"]).first.click()
    page.get_by_text(EN["stopped_nothing"]).wait_for()
    assert page.get_by_text(EN["stopped"]).count() == 0


@pytest.mark.slow
def test_a_chinese_visitor_reads_chinese(visit):
    page = visit(locale="zh-CN")
    page.get_by_role("button", name=wording.TEXTS["generate"][1]).click()
    page.wait_for_function(DONE)
    assert page.locator(".vx-note").inner_text() == wording.text("explorer_done", "zh", scales=3, tokens=14)
    assert page.get_by_role("tab", name=wording.TEXTS["tab_draw"][1]).is_visible()


@pytest.mark.slow
def test_visit_stops_a_run_and_starts_another(visit, tiny, monkeypatch):
    loaded, go_on = models.load_model(tiny), threading.Event()

    def halting(*args, **options):  # waits after the first scale until the test has pressed Stop
        for step in Model.generate(loaded.model, *args, **options):
            yield step
            go_on.wait(600)

    page = visit()
    monkeypatch.setattr(loaded.model, "generate", halting)
    page.get_by_label(EN["seed"]).fill("11")
    page.get_by_role("button", name=EN["generate"]).click()
    page.wait_for_selector(".vx[data-drawn='1']")
    page.get_by_role("button", name=EN["stop"]).click()
    page.get_by_text(EN["stopped"]).wait_for()
    go_on.set()
    monkeypatch.undo()
    assert page.locator(".vx-scale:not(.vx-waiting)").count() == 1
    seen = len(page.requested)
    while not any("queue/join" in url for url in page.requested[seen:]):  # Gradio drops a click until it has closed the
        page.get_by_role("button", name=EN["generate"]).click()  # stopped run, a moment after it says so
        page.wait_for_timeout(200)
    page.wait_for_function(DONE)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert overflow(page) <= 0
    before = height(page)
    generate(page)
    assert overflow(page) <= 0 and height(page) == before
    background = page.evaluate("getComputedStyle(document.querySelector('.vx-card')).backgroundColor")
    light = sum(map(float, re.findall(r"[\d.]+", background)[:3])) / 3 > 128
    assert light == (scheme == "light")
