"""The page below a path, with a browser; and behind nginx, where it is installed, with the block that docs/hosting.md prints."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time

import pytest

from demo import app, visitors, wording
from demo.hosting import Hosting
from tests.demo.conftest import PATIENCE_MS
from tests.demo.visits import DRAWN as DONE
from tests.demo.wire import API, ROOT, Wire

gradio_client = pytest.importorskip("gradio_client")

PREFIX = "/var-mini"
EN = {name: pair[0] for name, pair in wording.TEXTS.items()}
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")


@pytest.fixture(scope="module")
def page(tiny):
    hosting = Hosting(root_path=PREFIX, trusted_proxies=("127.0.0.1",), allowed_hosts=("teach.example.org",))
    served = app.launch(tiny, port=None, hosting=hosting, prevent_thread_lock=True, quiet=True)
    yield served
    served.close()


@pytest.mark.slow
def test_below_a_path_a_visit_asks_for_nothing_outside_of_it(page, browser):
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    visit = context.new_page()
    requested, complaints = [], []
    visit.on("request", lambda request: requested.append(request.url))
    visit.on("console", lambda entry: complaints.append(entry.text) if entry.type == "error" else None)
    base = page.local_url.rstrip("/") + PREFIX
    try:
        visit.goto(f"{base}/")
        visit.wait_for_selector("#vm-first[data-scales]")
        visit.locator("#vm-new").click()
        visit.wait_for_function(DONE)
        assert visit.get_attribute('meta[property="og:image"]', "content") == f"{base}/preview.png"
    finally:
        context.close()
    assert complaints == []  # the content security policy among them
    outside = [url for url in requested if not url.startswith((f"{base}/", "data:", "blob:"))]
    assert [url for url in outside if not url.endswith("/manifest.json")] == []  # Gradio asks for that one at the root


@pytest.fixture(scope="module")
def nginx(page, tmp_path_factory):
    """nginx with the documented server, its certificate left out; its port."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    text = (ROOT / "docs" / "hosting.md").read_text()
    (block,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    port = app.free_port("127.0.0.1")
    block = re.sub(r"^ *ssl_certificate.*$", "", block, flags=re.MULTILINE)
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace(
        "127.0.0.1:7860", f"127.0.0.1:{page.server_port}"
    )
    kept = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{kept}\n{block}\n}}\n"
    )
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(conf)])
    try:
        while not _listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_behind_the_documented_nginx_programs_and_visitors_are_served(page, nginx, tiny, monkeypatch):
    seen, real = [], visitors.address_of
    monkeypatch.setattr(visitors, "address_of", lambda scope: seen.append(real(scope)) or seen[-1])
    wire = Wire(page, tiny, "127.0.0.5")
    wire.address = wire.address._replace(netloc=f"127.0.0.1:{nginx}")
    # a visitor's own word about the address does not get through
    host = {"Host": "teach.example.org", "X-Forwarded-For": "203.0.113.9"}
    status, html = wire.ask("GET", f"{PREFIX}/", headers=host)
    assert status == 200 and set(seen) == {"127.0.0.5"}
    assert f'content="http://teach.example.org{PREFIX}/preview.png"'.encode() in html
    assert wire.ask("GET", PREFIX, headers=host)[0] == 301
    assert wire.ask("GET", f"{PREFIX}/config", headers={"Host": "evil.example"})[0] == 421
    assert (
        wire.ask("POST", f"{PREFIX}{API}/upload", b"0" * 18_000_000, {"Content-Type": "multipart/form-data; boundary=x"})[0]
        == 413
    )
    client = gradio_client.Client(f"http://127.0.0.1:{nginx}{PREFIX}/", verbose=False, httpx_kwargs={"timeout": None})
    assert client.predict(tiny, 1, 5, api_name="/generate")["scales"][-1]["side"] == 3


def test_the_documented_options_are_those_of_the_command():
    text = (ROOT / "docs" / "hosting.md").read_text()
    told = (ROOT / "demo" / "__main__.py").read_text()
    for option in re.findall(r"(--[a-z][a-z-]+)", text):
        assert f'"{option}"' in told or option in ("--memory", "--help"), option
