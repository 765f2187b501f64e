"""What the tests of the page share: a tiny model, a served page, and visits with a real browser."""

from __future__ import annotations

import pytest
import torch

from demo import app, models
from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from var_mini import checkpoints
from var_mini.config import ModelConfig, Sampling
from var_mini.model import Model

PATIENCE_MS = 500_000  # of a visit: on a busy machine everything is slow, and nothing here is about speed
NAMES = ("plain", 'a <b onclick="x">bold</b> one', "last")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """The folder of a tiny model. One of its class names would break a page that does not escape."""
    torch.manual_seed(0)
    sampling = Sampling(guidance=1.5, temperature=0.9, top_k=20, top_p=0.95)
    config = ModelConfig("tiny", TINY_TOKENIZER, TINY_TRANSFORMER, NAMES, sampling=sampling)
    folder = tmp_path_factory.mktemp("model")
    checkpoints.save(Model.build(config), folder)
    models.offer(str(folder))
    return str(folder)


@pytest.fixture(scope="session")
def server(tiny):
    page = app.launch(tiny, port=None, prevent_thread_lock=True, quiet=True)  # None: Gradio looks for a free port
    yield page.local_url
    page.close()


@pytest.fixture(scope="session")
def free_contexts() -> dict[str, list]:
    """What a test has left tidy behind it, by server and options: the next one need not fetch and compile the page's scripts."""
    return {}


@pytest.fixture
def visit(browser, server, free_contexts):
    """Opens the page, as somebody who was never here, and records what it asks for and complains about."""
    contexts = []

    def open_page(path="", **options):
        free = free_contexts.setdefault(f"{server} {sorted(options.items())}", [])
        context = free.pop() if free else browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append((context, free))
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda entry: page.complaints.append(entry.text) if entry.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(server + path.lstrip("/"))
        page.wait_for_selector("#vm-first[data-scales]")
        page.wait_for_selector("#vm-chapters")  # Gradio is there, too
        return page

    yield open_page
    for context, free in contexts:
        try:
            context.clear_cookies()
            for page in context.pages:
                page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
                page.close()
            free.append(context)
        except Exception:  # whatever the test has done to it
            context.close()
