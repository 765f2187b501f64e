"""What a shared link shows where it is pasted: this page's own title, sentence and picture in place of Gradio's."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse

from var_mini import checkpoints

from . import wording
from .hosting import Hosting

PATH = "/preview.png"
PICTURE = checkpoints.ASSETS / "figures" / "drawing.png"
TITLE = "VAR Mini"
META = re.compile(rb"<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>\s*")
BASE, BODY = re.compile(rb"<base\b[^>]*>"), re.compile(rb"<body\b[^>]*>")
CONFIG = b"<script>window.gradio_config"  # from here on the page is data


def picture() -> FileResponse:
    return FileResponse(PICTURE, media_type="image/png", headers={"cache-control": "max-age=86400"})


def root_of(scope: dict, hosting: Hosting) -> str:
    """The address of the page as its visitor sees it, without a slash at its end."""
    if hosting.root_path.startswith("http"):
        return hosting.root_path.rstrip("/")
    headers = Headers(scope=scope)
    host = headers.get("x-forwarded-host", headers.get("host", "")).split(",")[0].strip()
    return f"{scope.get('scheme', 'http')}://{host}{hosting.prefix}"


def tags(root: str) -> bytes:
    """The tags of the Open Graph protocol (ogp.me) and of its dialect on X."""
    values = {
        "og:type": "website",
        "og:site_name": TITLE,
        "og:title": f"{TITLE}: {wording.text('preview_title')}",
        "og:description": wording.text("sentence"),
        "og:url": f"{root}/",
        "og:image": f"{root}{PATH}",
        "og:image:alt": wording.text("preview_alt"),
        "twitter:card": "summary_large_image",
    }
    kinds = {"og": "property", "twitter": "name"}
    lines = [f'<meta {kinds[name.split(":")[0]]}="{name}" content="{escape(text)}" />' for name, text in values.items()]
    return "\n".join(lines).encode()


def renamed(html: bytes, root: str, first: str = "", begin: str = "") -> bytes:
    """The page with its own tags, `first` in its head after the base address, and `begin` at the begin of its body."""
    head, mark, data = html.partition(CONFIG)
    head = META.sub(b"", head).replace(b"<head>", b"<head>\n" + tags(root), 1)
    head = BASE.sub(lambda found: found[0] + b"\n" + first.encode(), head, 1)
    top, end, body = data.partition(b"</head>")
    return head + mark + top + end + BODY.sub(lambda found: found[0] + begin.encode(), body, 1)


class Renamed:
    """ASGI middleware inside of Gradio's compression; `added(language)` is what comes into head and body."""

    def __init__(self, app, hosting: Hosting, added: Callable[[str], tuple[str, str]] = lambda _: ("", "")):
        self.app, self.hosting, self.added = app, hosting, added

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start, parts = None, []

        async def gathered(message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                page = renamed(b"".join(parts), root_of(scope, self.hosting), *self.added(wording.language(Request(scope))))
                MutableHeaders(scope=start)["content-length"] = str(len(page))
                await send(start)
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, gathered)
