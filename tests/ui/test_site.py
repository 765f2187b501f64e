"""The page without a server, in a real browser: below the root of its host, offline, on a phone, and when things go wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.live.__main__ import main
from demo.live.build import PAGE, build
from demo.live.serve import serving
from var_mini import checkpoints

PLACE = "school/var-mini"
DRAWN = "() => /Drawn/.test(document.querySelector('#status').textContent)"
FAILED = "() => document.querySelector('#error').textContent !== ''"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    build(root / PLACE, ["emoji-16"])
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
    assert page.locator("#strip li").count() == 4 and "recorded" in page.text_content("#note")
    assert not weights_asked_for(page)
    page.click("#draw")
    page.wait_for_function(DRAWN)
    assert len(weights_asked_for(page)) == 1
    page.locator(".map canvas:first-child").last.press("Enter")
    page.wait_for_selector("#looks td")
    assert page.locator("#looks tr").count() == 6 and "Token 1, 1 of 4" in page.text_content("#token-title")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.text_content("#draw") == "Draw"  # and not "Download": it is stored
    page.click("#dice")
    page.wait_for_function(DRAWN)
    assert len(weights_asked_for(page)) == 1 and not page.complaints


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?model=emoji-16&class=drink&seed=-1", "seed = "),
        ("?model=<b>x</b>&class=1", "model = "),
        ("?model=emoji-16&label=9999999999", "class = "),
        ("?model=emoji-16&class=drink&temperature=NaN", "temperature = "),
        ("?model=emoji-16&class=drink&style=oil", "style = "),
    ],
)
def test_a_spoilt_link_leaves_a_sentence_and_the_recorded_run(visit, query, sentence):
    page = visit(query)
    assert page.text_content("#error").startswith(sentence)
    assert page.locator("#strip li").count() == 4 and not weights_asked_for(page) and not page.complaints


@pytest.mark.slow
def test_a_sound_link_fills_the_form(visit):
    page = visit("?model=emoji-16&class=drink&seed=77&attention=poly-2&temperature=0.5")
    values = [page.input_value(f"[name={name}]") for name in ("class", "seed", "attention", "temperature")]
    assert values == ["drink", "77", "poly-2", "0.5"] and not page.text_content("#error")


def cut_off(page):
    page.route("**/model.safetensors*", lambda route: route.fulfill(body=b"\0" * 1000))


def foreign(page):
    size = (checkpoints.ASSETS / "emoji-16" / "model.safetensors").stat().st_size
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
        (cut_off, r"emoji-16/model.safetensors was cut off, or is another one: 1000 of \d+ bytes came\."),
        (foreign, r"emoji-16/model.safetensors is not the file that this page was made for\."),
        (too_long, r"emoji-16/model.safetensors is not the file that this page was made for\."),
        (no_connection, r"emoji-16/model.safetensors could not be downloaded: there is no connection, .*\."),
        (not_there, r"emoji-16/model.safetensors could not be downloaded: the server answered 404\."),
    ],
)
def test_a_bad_download_leaves_a_sentence_and_the_recorded_run(visit, prepare, sentence):
    page = visit(prepare=prepare, service_workers="block")
    page.click("#draw")
    page.wait_for_function(FAILED)
    assert re.fullmatch(sentence, page.text_content("#error"))
    assert page.locator("#strip li").count() == 4 and page.is_disabled("#stop")


@pytest.mark.slow
def test_it_draws_without_webassembly_and_without_storage(visit):
    def deny(page):
        page.route("**/product.wasm", lambda route: route.fulfill(status=404))
        page.route("**/download.js", lambda route: route.fulfill(body=denied, content_type="text/javascript"))

    source = (PAGE.parents[2] / "var_mini" / "ui" / "engines" / "download.js").read_text()
    denied = "const caches = { open: async () => { throw new DOMException('denied', 'SecurityError'); } };\n" + source
    page = visit(prepare=deny, service_workers="block")
    page.click("#draw")
    page.wait_for_function(DRAWN)
    assert "without the fast WebAssembly" in page.text_content("#status")


@pytest.mark.slow
def test_a_phone_in_chinese_has_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.click("#language")
    assert page.evaluate("() => document.documentElement.lang") == "zh-CN"
    assert page.text_content("#draw").startswith("下载")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    bundled = pytest.importorskip("axe_playwright_python")
    page = visit(color_scheme=scheme)
    page.locator(".map canvas:first-child").last.press("Enter")
    page.evaluate((Path(bundled.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.slow
def test_the_check_finds_the_site_sound():
    command = [sys.executable, "-m", "demo.live", "--check", "--json", "--seeds", "1", "--model", "emoji-16"]
    done = subprocess.run(command, capture_output=True, text=True)  # a process of its own: one may drive only one browser
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["sound"] and figures["works_offline_after_first_visit"] and not figures["outside_requests"]
    entry = figures["models"]["emoji-16"]
    assert set(entry["attention"]) == {"exact", "poly-2", "landmark-32"} and "forced" in entry["options"]


def test_every_word_of_the_page_is_there_in_both_languages():
    words = json.loads((PAGE / "words.json").read_text())
    page, script = (PAGE / "index.html").read_text(), (PAGE / "app.js").read_text()
    used = set(re.findall(r'data-word="([^"]+)"', page)) | set(re.findall(r"say\('([^']+)'", script))
    assert used <= set(words)
    assert all(len(both) == 2 and all(both) for both in words.values())
    assert all(sorted(re.findall(r"\{\w+\}", en)) == sorted(re.findall(r"\{\w+\}", zh)) for en, zh in words.values())


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["build", "--out", str(tmp_path)]) == 2
    assert "holds files that are no site built here" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_site_is_built_anew_over_an_old_one(tmp_path):
    out = tmp_path / "site"
    build(out, ["emoji-16"])
    first = (out / "sw.js").read_text().partition("\n")[0]
    (out / "left-over.txt").write_text("of an older version")
    build(out, ["emoji-16"])
    assert (out / "sw.js").read_text().partition("\n")[0] == first and not (out / "left-over.txt").exists()
    listed = json.loads(first.removeprefix("const SITE = ").removesuffix(";"))["files"]
    assert all((out / file).exists() for file in listed) and "models/emoji-16/model.safetensors" not in listed
    assert not re.findall(r"""(?:src|href)=["']/""", (out / "index.html").read_text())  # all paths are relative


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
