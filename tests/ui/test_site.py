"""The page without a server, in a real browser: below the root of its host, offline, on a phone, and when things go wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import thumbnails
from demo.live.__main__ import main
from demo.live.build import build
from demo.live.check import OWN_WINDOW, _resident_mb
from demo.live.serve import serving
from var_mini import checkpoints
from var_mini.ui.modules import FOLDER

PLACE = "school/var-mini"
WORDS = json.loads((FOLDER / "words.json").read_text()) | json.loads((FOLDER / "words" / "masks.json").read_text())
SHOWN = "#vm-first[data-shown='4']"  # all four scales of a run of things-16
RECORDED = f'() => window.varMini?.run()?.recorded && document.querySelector("{SHOWN}") !== null'
DRAWN = "() => varMini.run() && !varMini.run().recorded && !varMini.store.get().computing"
YES, NO = ".vu-ask .vu-primary", ".vu-ask .vu-button:not(.vu-primary)"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    build(root / PLACE, ["things-16"])
    with serving(root) as url:
        yield f"{url}{PLACE}/"


@pytest.fixture
def visit(browser, address):
    """Opens the page, after `prepare(page)`, and records what it asks for and complains about."""
    contexts = []

    def open_page(query="", prepare=lambda page: None, **options):
        context = browser.new_context(locale="en-US", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(300_000)
        page.requested, page.complaints = [], []
        context.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda entry: page.complaints.append(entry.text) if entry.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        prepare(page)
        page.goto(address + query)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()


def weights_asked_for(page):
    return [url for url in page.requested if "model.safetensors" in url]


@pytest.mark.slow
def test_a_visit_from_the_recorded_run_to_drawing_without_a_network(visit):
    page = visit()
    page.wait_for_function(RECORDED)
    assert "recorded" in page.inner_text(".vu-facts")
    page.click("#vm-new")
    assert "3.4 MB" in page.inner_text(".vu-ask") and not weights_asked_for(page)
    page.click(YES)
    page.wait_for_function(DRAWN)
    assert len(weights_asked_for(page)) == 1
    seed = page.evaluate("varMini.run().settings.seed")
    assert f"seed={seed}" in page.url and page.locator(".vu-ask").count() == 0
    page.wait_for_selector(SHOWN)
    page.locator("[data-map]").last.press("Enter")
    page.wait_for_selector("#vm-first[data-attention='shown']")
    assert page.locator(".vu-lines g").count() == 30 and page.locator(".vu-out").count() == 1  # 1 + 4 + 9 + 16 tokens
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    page.goto(page.url.partition("?")[0])
    page.wait_for_function(RECORDED)
    page.click("#vm-new")
    page.wait_for_function(DRAWN)  # and nothing is asked: the model is stored
    assert len(weights_asked_for(page)) == 1 and not page.complaints


@pytest.mark.slow
def test_a_no_leaves_the_recorded_run_and_says_what_a_look_into_it_needs(visit):
    page = visit(reduced_motion="reduce")
    page.click("#vm-new")
    page.click(NO)
    page.locator(".vu-ask").wait_for(state="detached")
    assert page.evaluate("varMini.run().recorded") and page.locator("#vm-new").is_visible()
    page.locator("[data-map]").last.press("Enter")
    page.locator(".vu-attention .vu-problem", has_text="3.4 MB").wait_for()
    assert not weights_asked_for(page) and not page.complaints


@pytest.mark.slow
def test_chapters_compute_with_the_model_and_take_a_picture_apart(visit, tmp_path):
    page = visit(reduced_motion="reduce")
    page.click("#word .vu-primary")
    page.click(YES)
    page.locator(".vu-offer").nth(12).wait_for()
    page.click("#vm-run > .vu-button")
    page.locator(".vu-blocks").wait_for()
    last = [int(text) for text in page.locator(".vu-blocks tbody tr").last.locator("td").all_inner_texts()]
    assert sum(last) == pytest.approx(100, abs=2)
    (tmp_path / "thesis.png").write_text("no picture")
    page.set_input_files("#apart input", tmp_path / "thesis.png")
    page.get_by_text("thesis.png is not a picture").wait_for()
    page.set_input_files("#apart input", checkpoints.ASSETS / "figures" / "drawing.png")
    page.locator("#apart .vu-column").nth(4).wait_for()
    page.locator("#apart .vu-sum").first.click()
    assert page.locator("#apart .vu-later").count() == 3 and not page.complaints


@pytest.mark.slow
def test_chapters_that_need_a_server_elsewhere_are_computed_here_or_told_with_recorded_figures(visit):
    page = visit(reduced_motion="reduce")
    tokens = 1 + 4 + 9 + 16
    assert [int(text) for text in page.locator(".vu-chapter h2 > span").all_inner_texts()] == list(range(1, 9))
    speed = {
        row["side"]: row["speedup_vs_exact"]
        for row in json.loads((checkpoints.ASSETS / "results" / "scaling.json").read_text())["rows"]
        if (row["what"], row["head_dim"], row["method"]) == ("attention", 16, "poly-2")
    }
    assert f"is {speed[64]:.1f} times as fast where it is 64" in page.inner_text("#cost .vu-soft")
    page.click("#lowrank .vu-primary")
    page.click(YES)
    page.locator("#lowrank canvas").nth(1).wait_for()
    equal, count = map(int, re.findall(r"\d+", page.inner_text("#lowrank [role=status]")))
    assert count == tokens and equal < count  # a model without a bound on its logits
    page.click("#edit .vu-primary")
    page.locator("#edit canvas").nth(1).wait_for()
    drawn, count = map(int, re.findall(r"\d+", page.inner_text("#edit [role=status]"))[:2])
    assert 0 < drawn < count == tokens
    before, after = page.locator("#edit figcaption").all_inner_texts()
    assert before.split(": ")[1].split(",")[0] not in after  # another thing: the same one would show next to nothing
    edge = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width / 2, canvas.height).data]"
    left = [page.locator("#edit canvas").nth(i).evaluate(edge) for i in (0, 1)]
    assert sum(abs(a - b) for a, b in zip(*left, strict=True)) / len(left[0]) > 5  # of 255, on average
    assert not page.complaints


@pytest.mark.slow
def test_masks_and_memory_are_those_of_the_model_and_of_larger_pyramids_without_a_download(visit):
    page = visit(reduced_motion="reduce")
    model = checkpoints.load_config("things-16")
    pyramid, t = model.pyramid, model.transformer
    ends = [sum(pyramid.counts[: k + 1]) for k in range(pyramid.num_scales)]
    pairs = sum(count * end for count, end in zip(pyramid.counts, ends, strict=True))
    cache = 4 * t.depth * t.heads * ends[-1] * 2 * t.head_dim  # float32 keys and values
    page.get_by_label(WORDS["masks_scrubber"]["en"]).press("End")
    told = page.inner_text("#masks .vb-figures")
    assert f"{ends[-1] ** 2} cells, {pairs} of them allowed" in told and f"{cache / 1000:.1f} kB in all layers" in told
    page.locator(".vb-mask").press("ArrowRight")
    page.locator(".vb-mask").press("ArrowUp")
    hidden = WORDS["masks_pair_hidden"]["en"].format(query=3, key=4, queries=9, keys=16, cells=144)
    page.locator(".vb-pair", has_text=hidden).wait_for()
    page.locator("#masks [data-setting=low_rank] select").select_option("landmark-16")
    page.wait_for_selector(".vb[data-attention='landmark-16'][data-scale='4']")
    assert f"16 features \u00d7 ({t.head_dim} + 1)" in page.inner_text("#masks .vb-figures")
    page.get_by_label(WORDS["masks_pyramid"]["en"]).select_option("var-1024")
    page.wait_for_selector(".vb[data-name='VAR 1024 px']")
    assert "9,451" in page.inner_text(".vb-facts") and page.locator(".vb-same").count() == 0
    assert "switch" not in page.locator(".vb-questions").text_content()  # which this page has not
    assert not weights_asked_for(page) and not page.complaints


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?model=things-16&label=1&seed=-1", "Link: Seed = -1: must be"),
        ("?model=<b>x</b>&label=1", "Link: Model = <b>x</b>: must be"),
        ("?model=things-16&label=9999999999", "Link: Class = 9999999999: must be"),
        ("?model=things-16&label=1&temperature=NaN", "Link: Temperature = NaN: must be"),
        ("?model=things-16&label=1&top_p=5", "Link: Top-p = 5: must be a number from 0 to 1"),
        ("?model=things-16&label=1&attention=exactly", "Link: Attention = exactly: must be one of exact, poly-2, landmark-16"),
    ],
)
def test_a_spoilt_link_leaves_a_sentence_and_the_recorded_run(visit, query, sentence):
    page = visit(query)
    page.locator(".vu-caption", has_text=sentence).wait_for()
    assert page.evaluate("varMini.run().recorded") and not weights_asked_for(page) and not page.complaints


@pytest.mark.slow
def test_a_sound_link_asks_before_it_downloads(visit):
    page = visit("?model=things-16&label=7&seed=77&attention=poly-2&temperature=0.5")
    page.wait_for_selector(YES)
    asked = page.evaluate("varMini.store.get().settings")
    assert [asked[name] for name in ("class", "seed", "attention", "temperature")] == [7, 77, "poly-2", 0.5]
    assert page.evaluate("varMini.run().recorded") and not weights_asked_for(page)


def cut_off(page):
    page.route("**/model.safetensors*", lambda route: route.fulfill(body=b"\0" * 1000))


def foreign(page):
    size = (checkpoints.ASSETS / "things-16" / "model.safetensors").stat().st_size
    page.route("**/model.safetensors*", lambda route: route.fulfill(body=b"\1" * size))


def too_long(page):
    page.route("**/model.safetensors*", lambda route: route.fulfill(body=b"\1" * 5_000_000))


def no_connection(page):
    page.route("**/model.safetensors*", lambda route: route.abort())


def not_there(page):
    page.route("**/model.safetensors*", lambda route: route.fulfill(status=404))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (cut_off, r"things-16/model.safetensors was cut off, or is another one: 1000 of \d+ bytes came\."),
        (foreign, r"things-16/model.safetensors is not the file that this page was made for\."),
        (too_long, r"things-16/model.safetensors is not the file that this page was made for\."),
        (no_connection, r"things-16/model.safetensors could not be downloaded: there is no connection, .*\."),
        (not_there, r"things-16/model.safetensors could not be downloaded: the server answered 404\."),
    ],
)
def test_a_bad_download_leaves_a_sentence_and_the_recorded_run(visit, prepare, sentence):
    page = visit(prepare=prepare, service_workers="block")
    page.click("#vm-new")
    page.click(YES)
    page.locator(".vu-caption.vu-problem").wait_for()
    assert re.fullmatch(sentence, page.inner_text(".vu-caption"))
    assert page.evaluate("varMini.run().recorded") and page.locator("#vm-new").is_visible()


@pytest.mark.slow
def test_it_draws_without_webassembly_and_without_storage(visit):
    def deny(page):
        page.route("**/product.wasm", lambda route: route.fulfill(status=404))
        page.route("**/download.js", lambda route: route.fulfill(body=denied, content_type="text/javascript"))

    source = (FOLDER / "engines" / "download.js").read_text()
    denied = "const caches = { open: async () => { throw new DOMException('denied', 'SecurityError'); } };\n" + source
    page = visit(prepare=deny, service_workers="block")
    page.click("#vm-new")
    page.click(YES)
    page.wait_for_function(DRAWN)
    assert WORDS["site_plain"]["en"] in page.inner_text("#vm-foot")


@pytest.mark.slow
def test_a_link_to_a_chapter_opens_the_page_there_and_the_bar_says_where_one_is(visit):
    here = "(name) => document.querySelector('#vm-contents [aria-current]')?.hash === `#${name}`"
    page = visit("#limits", reduced_motion="reduce")
    page.wait_for_function(here, arg="limits")
    places = page.locator("#vm-contents a").evaluate_all("(links) => links.map((link) => link.hash.slice(1))")
    assert places == ["top", "idea", "word", "sum", "masks", "lowrank", "cost", "edit", "limits", "apart", "numbers"]
    tops = page.evaluate("(names) => names.map((name) => document.getElementById(name).getBoundingClientRect().top)", places[1:])
    assert tops == sorted(set(tops)) and -2 < tops[7] < 60  # in the bar's order, the one that was asked for below the bar
    page.click("#limits .vu-before")
    page.wait_for_function(here, arg="edit")
    page.go_back()
    page.wait_for_function(here, arg="limits")
    assert not page.complaints


@pytest.mark.slow
def test_a_phone_in_chinese_has_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.click(".vu-link")
    assert page.evaluate("() => document.documentElement.lang") == "zh-CN"
    shown = {"#vm-new": "new", "#apart h2": "apart_title", "#vm-numbers": "numbers_title", "#vm-foot": "site_private"}
    for place, name in shown.items():
        assert page.inner_text(place).strip() == WORDS[name]["zh"]
    page.click("#vm-new")
    assert page.inner_text(YES).startswith("下载")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    bar, question = page.locator(".vu-bar").bounding_box(), page.locator(".vu-ask").bounding_box()
    assert question["y"] + question["height"] <= bar["y"]  # Stop stays at hand
    page.reload()
    page.wait_for_function(RECORDED)
    assert page.inner_text("#vm-new").strip() == WORDS["new"]["zh"]  # remembered


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    bundled = pytest.importorskip("axe_playwright_python")
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    page.locator("[data-map]").last.press("Enter")
    page.wait_for_selector(YES)
    page.evaluate((Path(bundled.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.slow
def test_the_check_finds_the_site_sound():
    command = [sys.executable, "-m", "demo.live", "--check", "--json", "--seeds", "1", "--model", "things-16"]
    done = subprocess.run(command, capture_output=True, text=True)  # a process of its own: one may drive only one browser
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["sound"] and figures["works_offline_after_first_visit"] and not figures["outside_requests"]
    entry = figures["models"]["things-16"]
    assert set(entry["attention"]) == {"exact", "poly-2", "landmark-32"} and "forced" in entry["options"]


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["build", "--out", str(tmp_path)]) == 2
    assert "holds files that are no site built here" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_site_is_built_anew_over_an_old_one(tmp_path):
    out = tmp_path / "site"
    build(out, ["things-16"])
    first = (out / "sw.js").read_text().partition("\n")[0]
    (out / "left-over.txt").write_text("of an older version")
    build(out, ["things-16"])
    assert (out / "sw.js").read_text().partition("\n")[0] == first and not (out / "left-over.txt").exists()
    site = json.loads(first.removeprefix("const SITE = ").removesuffix(";"))
    assert all((out / file).exists() for file in site["files"] + site["later"]) and not set(site["files"]) & set(site["later"])
    assert "models/things-16/model.safetensors" not in site["files"] + site["later"] and "runs/things-16.json" in site["files"]
    page = (out / "index.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']/""", page)  # all paths are relative
    linked = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert set(linked) <= set(site["files"]) and "ui/views/First.js" in linked


def test_a_site_has_every_script_that_its_scripts_import_and_no_other(tmp_path):
    build(tmp_path / "site", ["things-16"])
    root = tmp_path / "site" / "ui"
    scripts = {path.relative_to(root).as_posix() for path in root.rglob("*.js")}
    asked = {"hosts/static.js"}
    for name in scripts:
        for found in re.findall(r"(?:from |URL\()'(\.[^']+\.js)'", (root / name).read_text()):
            asked.add(os.path.normpath(f"{root / name}/../{found}").removeprefix(f"{root}/"))
    assert scripts == asked


def test_a_site_is_built_without_gradio():
    code = "import sys, demo.live.build; print([name for name in ('gradio', 'starlette', 'fastapi') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_thumbnails_are_those_of_every_style_and_lie_once(tmp_path):
    told = thumbnails.write("things-64", tmp_path)
    styles = len(checkpoints.load_config("things-64").style_names)
    for kind, every in (("first", False), ("all", True)):
        assert len(told["files"][kind]) == styles + 1  # and any style
        for style, name in enumerate(told["files"][kind]):
            assert (tmp_path / name).read_bytes() == thumbnails.sheet("things-64", style, every)
    assert len(list(tmp_path.iterdir())) == 2 * styles  # any style shows the first one's


def test_wrong_arguments_are_named(capsys):
    for arguments, sentence in (
        ([], "what = nothing: must be build, serve or --check"),
        (["serve", "--port", "70000"], "port = 70000: must be"),
        (["--check", "--seeds", "0"], "seeds = 0: must be"),
        (["build", "--model", "none", "--out", str(Path("nowhere") / "x")], "model = 'none': must be one of"),
    ):
        assert main(arguments) == 2
        assert sentence in capsys.readouterr().err
    assert not Path("nowhere").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of another process is only told on Linux")
def test_memory_is_that_of_the_largest_page_and_not_of_the_windows_of_the_browser():
    def process(mb, *arguments):
        code = f"held = b'x' * ({mb} << 20); print(1, flush=True); input()"
        return subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    processes = [process(40), process(10), process(200, OWN_WINDOW.decode()), process(150)]
    kinds = ("renderer", "renderer", "renderer", "browser")
    info = {"processInfo": [{"id": one.pid, "type": kind} for one, kind in zip(processes, kinds, strict=True)]}
    session = SimpleNamespace(send=lambda method: info, detach=lambda: None)
    try:
        assert all(one.stdout.readline() for one in processes)
        assert 40 < _resident_mb(SimpleNamespace(new_browser_cdp_session=lambda: session)) < 100
    finally:
        for one in processes:
            one.communicate(b"\n")
