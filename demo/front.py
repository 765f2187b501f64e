"""The front end's files and data, read-only under /ui, and what makes the page begin with it, before Gradio is there.

The page comes with a head that loads var_mini/ui/hosts/gradio.js and a body that begins with the place of the first screen;
`preview.Renamed` puts both in. Nothing here computes with a model: recorded runs and pictures are read from files.
"""

from __future__ import annotations

import json
from functools import lru_cache
from html import escape
from urllib.parse import parse_qs, quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from var_mini import checkpoints, validate
from var_mini.analysis.best_of import has_ranker
from var_mini.ui import modules as scripts
from var_mini.ui.export import outline

from . import backend, credits, links, models, preview, thumbnails, wording
from .bodies import RefusedError
from .chapters import cost_data
from .scripts import HOST

PREFIX = "/ui/"
FOLDER = scripts.FOLDER
FILES = StaticFiles(directory=FOLDER)
LIMITS = checkpoints.ASSETS / "results" / "limits-curves.json"
AS_IT_IS = "!'()*"  # what the browser's encodeURIComponent leaves, too
SERVED = (".js", ".css", ".json")
# Asked for again at every visit, so that a file is edited and seen; answered with 304 where it is still the same.
FRESH = {"cache-control": "no-cache"}

# Runs before anything else of the page: a language that was chosen here becomes the browser's for Gradio, too, and the theme
# is known before the first paint.
EARLY = """
(() => {
  const chosen = /(?:^|; )vm_language=(en|zh)/.exec(document.cookie)?.[1];
  if (chosen) {
    const code = chosen === 'zh' ? 'zh-CN' : 'en';
    Object.defineProperty(navigator, 'language', { get: () => code });
    Object.defineProperty(navigator, 'languages', { get: () => [code] });
  }
  const asked = new URLSearchParams(location.search).get('__theme'), system = matchMedia('(prefers-color-scheme: dark)');
  const look = () => {
    document.documentElement.dataset.vmTheme = (asked ? asked === 'dark' : system.matches) ? 'dark' : 'light';
  };
  system.addEventListener('change', look);  // Gradio's part follows the system, too
  look();
})();
"""


@lru_cache(maxsize=1)
def modules() -> list[str]:
    """The scripts of the first screen, to be asked for all at once; some chapters load theirs later by themselves."""
    return scripts.imported(HOST)


def bundle() -> int:
    """Bytes of what the first screen waits for, unpacked, without pictures and runs; some views come later."""
    return sum((FOLDER / name).stat().st_size for name in [*modules(), "style.css", "words.json"])


def head() -> str:
    """What stands first in the page's head."""
    scripts = "\n".join(f'<link rel="modulepreload" href="ui/{escape(name)}" />' for name in modules())
    name = models.default()
    recorded = [f"data/run.json?model={quote(name, safe=AS_IT_IS)}"] if links.recorded(name) else []
    fetched = ("words.json", "data/start.json", *recorded)
    data = "".join(f'<link rel="preload" as="fetch" crossorigin href="ui/{name}" />' for name in fetched)
    return (
        f'<script>{EARLY}</script>\n<link rel="stylesheet" href="ui/style.css" />\n{scripts}\n{data}\n'
        f'<script type="module" src="ui/{HOST}"></script>\n'
    )


def body(language: str = "en") -> str:
    """What stands first in the page's body; the title is there before any script has run."""
    title, sentence = escape(preview.TITLE), escape(wording.text("sentence", language))
    head = f'<header class="vu-head"><h1>{title}</h1><p>{sentence}</p></header>'
    first = f'<section id="vm-first" class="vu" aria-label="{title}">{head}</section>'
    return f'{first}<nav id="vm-contents" class="vu"></nav><div id="vm-story" class="vu"></div>'


def added(language: str) -> tuple[str, str]:
    """What the page is given for its head and its body."""
    return head(), body(language)


async def _answer(scope, receive, send) -> None:
    path = scope["path"].removeprefix(PREFIX)
    if path.startswith("data/"):
        if Headers(scope=scope).get("sec-fetch-site") == "cross-site":  # the browser of somebody who looks at another site
            raise RefusedError(403, "class_other_site")
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin1")).items()}
        response = await anyio.to_thread.run_sync(_data, path.removeprefix("data/"), query)
    elif not path.endswith(SERVED):
        raise HTTPException(404)
    else:
        response = await FILES.get_response(path, scope)
        response.headers.update(FRESH)
    await response(scope, receive, send)


_PACKED = GZipMiddleware(_answer)


async def serve(scope, receive, send) -> None:
    """Answers a request below PREFIX. Raises RefusedError where there is nothing."""
    if scope["method"] not in ("GET", "HEAD"):
        raise RefusedError(404, "class_no_page")
    try:
        await _PACKED(scope, receive, send)
    except (HTTPException, ValueError, OSError):
        raise RefusedError(404, "class_no_page") from None


def _data(name: str, query: dict[str, str]) -> Response:
    """Raises ValueError for what there is not."""
    if name == "licences.txt":
        return Response(credits.licences(), media_type="text/plain; charset=utf-8", headers=FRESH)
    if name == "cost.json":
        return _json(cost_data.recorded())
    if name == "limits.json":
        return Response(LIMITS.read_text(encoding="utf-8"), media_type="application/json", headers=FRESH)
    if name == "start.json":
        told = {"model": models.default(), "models": [describe(one) for one in models.offered()]}
        return _json(told | {"raster": _raster()})
    model = validate.one_of("model", query.get("model"), models.offered())
    if name == "run.json":
        run = links.recorded(model)
        if run is None:
            raise ValueError(f"model = {model}: has no recorded run")
        return _json(run)
    style = int(query.get("style", 0))
    picture = thumbnails.sheet(model, style, validate.one_of("data", name, ("first.webp", "all.webp")) == "all.webp")
    return Response(picture, media_type="image/webp", headers={"cache-control": "max-age=3600"})


@lru_cache(maxsize=1)
def _raster() -> dict[str, float]:
    """Side of the last map -> how many times as long as VAR raster order took, both with a cache, as recorded."""
    return json.loads((checkpoints.ASSETS / "results" / "raster.json").read_text())["speedup_vs_cached_raster"]


def _json(value: dict) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json", headers=FRESH)


@lru_cache(maxsize=16)
def describe(name: str) -> dict:
    """What the front end must know of a model before it is loaded."""
    config = models.offered_config(name)
    own = {"name": name, "shown": models.shown(name), "attentions": backend.specs(name), "ranked": has_ranker(config)}
    return outline(config) | own | links.beginning(name) | {"thumbnails": thumbnails.describe(name)}
