"""The words of the page, in English and in Simplified Chinese, and how a visitor's language is found.

They stand in words/*.json, one file a chapter or theme, each text under its name in both languages: name -> {en, zh}. Components
show a text through gr.I18n (the browser chooses); HTML that Python writes asks `language(request)`; scripts get all texts and
choose as the browser does. Braces are filled in where a text is used. Texts of one part share a prefix: `tour_` goes to the tour.
The views of var_mini/ui have their own beside them: words.json, which notebooks show, too, and words/NAME.json of views that
come later than the first screen.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import gradio as gr
from gradio.context import LocalContext

import var_mini

FOLDER = Path(__file__).with_name("words")
LANGUAGES = ("en", "zh")


def _pairs(path: Path) -> dict[str, dict[str, str]]:
    return json.loads(path.read_text(encoding="utf-8"))


UI = Path(var_mini.__file__).parent / "ui"
WORDS: dict[str, dict] = {}  # of the front end, which reads these files itself
for _path in (UI / "words.json", *sorted((UI / "words").glob("*.json"))):
    WORDS |= _pairs(_path)
NAMES = {"zh": _pairs(UI / "names" / "zh.json")}  # of all things; those in WORDS go first
SHARED = ("sentence", "masks_pyramid", "masks_own", "masks_published")  # those that Python shows as well

# name: (English, Simplified Chinese)
TEXTS: dict[str, tuple[str, str]] = {name: (WORDS[name]["en"], WORDS[name]["zh"]) for name in SHARED}
for _path in sorted(FOLDER.glob("*.json")):
    TEXTS |= {name: (pair["en"], pair["zh"]) for name, pair in _pairs(_path).items()}

NO_VALUE = "–"  # noqa: RUF001 (a dash is meant)

I18N = gr.I18n(**{code: {name: pair[i] for name, pair in TEXTS.items()} for code, i in (("en", 0), ("zh", 1), ("zh-CN", 1))})


def shown(name: str):
    """A text for a component: the browser puts it in the visitor's language."""
    if name not in TEXTS:
        raise KeyError(name)
    return I18N(name)


def language(request: gr.Request | None) -> str:
    """The visitor's language, of LANGUAGES: the one chosen on the page, Chinese where the browser puts it first, or English."""
    headers = getattr(request, "headers", None) or {}
    chosen = re.search(r"(?:^|;\s*)vm_language=(en|zh)(?:;|$)", headers.get("cookie", ""))  # by the page's own switch
    if chosen:
        return chosen[1]
    header = headers.get("accept-language", "").lower()
    return "zh" if header.strip().startswith("zh") else "en"


def current() -> str:
    """The language of the visitor whom Gradio is answering, in a run of the queue or a server function; else English."""
    return language(LocalContext.request.get(None))


def text(name: str, code: str | None = None, /, **values) -> str:
    """A text with its braces filled in, in the language `code`, or in that of the visitor who is being answered."""
    return TEXTS[name][LANGUAGES.index(code or current())].format(**values)


def named(name: str, code: str) -> str:
    """A class or a group of classes as the front end calls it, too (`title` of var_mini/ui/lib/format.js)."""
    return WORDS["names"].get(name, {}).get(code) or NAMES.get(code, {}).get(name, name.replace("-", " "))


def condition(code: str, model: str, threads: int | None = None, device: str | None = None, guided: bool | None = None) -> str:
    """Under which condition a time of now was measured, in the form of the front end (var_mini/ui/lib/condition.js)."""

    def word(name: str) -> str:
        return WORDS[name][code]

    on = device or (threads and word("one_thread" if threads == 1 else "threads").format(threads=threads))
    told = None if guided is None else word("guided" if guided else "unguided")
    return " \u00b7 ".join(filter(None, [word("measured_now"), model, word("batch_of_one"), on, told]))


def part(prefix: str) -> dict[str, dict[str, str]]:
    """All texts of a script, by language, without the prefix of their names."""
    return {
        code: {name.removeprefix(prefix): pair[i] for name, pair in TEXTS.items() if name.startswith(prefix)}
        for i, code in enumerate(LANGUAGES)
    }
