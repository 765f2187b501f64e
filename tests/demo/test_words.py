"""The words of the page: each in both languages, each used, and which language a visitor reads."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

import var_mini
from demo import wording

PAGE, LIBRARY = Path(wording.__file__).parent, Path(var_mini.__file__).parent
UI = LIBRARY / "ui"
# the beginning of a text's name -> the sources of the scripts that are given all such texts, without that beginning
SCRIPTS = {
    "class_": [PAGE / "waiting.py"],
    "export_": [PAGE / "chapters" / "gallery.py"],
    "tour_": [UI / "views" / "Tour.js", PAGE / "chapters" / "tour.py"],
}
BRACE = r"\$?\{[^{}\"`]+\}"


def source(paths) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(paths))


@functools.cache
def quoted(text: str) -> set[str]:
    """Every name that stands in quotation marks, or before a colon, as the keys of JavaScript do."""
    return set(re.findall(r"""["'`](\w+)["'`]""", text)) | set(re.findall(r"\b(\w+):", text))


@functools.cache
def patterns(text: str) -> list[str]:
    """What fits the names that a source puts together: f"edit_{name}", `${step}_title`."""
    found = set(re.findall(rf'(?:\bf"|`)((?:\w|{BRACE})*{BRACE}(?:\w|{BRACE})*)["`]', text))
    return [r"([a-z0-9_]+)".join(re.split(BRACE, name)) for name in found if re.sub(BRACE, "", name)]


def is_used(name: str, text: str, more: str = "") -> bool:
    """Whether a source has a name whole, or puts it together of names that stand in it or in `more`."""
    if re.search(rf"""["'`]{name}["'`]|\bwords\.{name}\b""", text):
        return True
    parts = quoted(text) | quoted(more)
    return any(set(match.groups()) <= parts for match in (re.fullmatch(one, name) for one in patterns(text)) if match)


def test_every_file_names_a_text_once_and_no_text_lies_in_two_files():
    names = []
    for path in wording.FOLDER.glob("*.json"):
        # all pairs of names and values as they stand, so that a name given twice is seen
        entries = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        assert all([code for code, _ in texts] == ["en", "zh"] for _, texts in entries), path
        names += [name for name, _ in entries]
    assert names and [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) <= set(wording.TEXTS) and "sentence" not in names


def test_the_front_end_s_files_name_a_text_once():
    names = [name for path in (UI / "words.json", *(UI / "words").glob("*.json")) for name in json.loads(path.read_text())]
    assert len(names) == len(set(names)) == len(wording.WORDS) > 300


def test_both_languages_have_every_text_with_the_same_braces():
    for name, pair in wording.TEXTS.items():
        english, chinese = (sorted(re.findall(r"\{(\w+)\}", text)) for text in pair)
        assert english == chinese and all(pair), name


def test_every_word_of_the_front_end_is_in_both_languages_and_used():
    scripts = "".join(path.read_text() for path in UI.rglob("*.js") if "vendor" not in path.parts)
    assembled = re.findall(r"[`'](\w*_)\$\{", scripts)  # word(`link_${key}`)
    endings = tuple(re.findall(r"`\$\{\w+\}(_\w+)`", scripts))  # word(`${id}_title`)
    for name, text in wording.WORDS.items():
        if name == "names":
            assert all(set(pair) == {"en", "zh"} and all(pair.values()) for pair in text.values())
            continue
        english, chinese = (sorted(set(re.findall(r"\{(\w+)\}", text[code]))) for code in ("en", "zh"))
        assert set(text) == {"en", "zh"} and english == chinese and all(text.values()), name
        used = re.search(rf"['`]{name}['`]", scripts) or name.startswith(tuple(assembled))
        assert used or name.endswith(endings), name
    asked = {name for name in re.findall(r"\bword\('(\w+)'", scripts)}
    assert asked <= set(wording.WORDS)


def test_every_text_is_used_and_every_used_text_exists():
    """In Python by its whole name, in a script of SCRIPTS without its beginning."""
    python = source({*PAGE.glob("*.py"), *PAGE.glob("chapters/*.py")} - {PAGE / "wording.py"})
    library = source(LIBRARY.rglob("*.py"))
    scripts = {prefix: source(paths) for prefix, paths in SCRIPTS.items()}
    assert set(scripts) == set(re.findall(r'wording\.part\("(\w+)"\)', python))
    for name in wording.TEXTS:
        given = [is_used(name.removeprefix(prefix), text) for prefix, text in scripts.items() if name.startswith(prefix)]
        said = name.startswith("said_")  # of the library: tests/demo/test_translate.py provokes each
        assert any(given) or said or is_used(name, python, library), name
    named = set(re.findall(r'\bwording\.(?:text|shown)\(\s*"(\w+)"', python))
    assert named and named <= set(wording.TEXTS)


@pytest.mark.parametrize(
    ("header", "code"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,zh;q=0.5", "en"), ("", "en"), ("fr", "en")]
)
def test_the_language_follows_the_browser(header, code):
    request = type("Request", (), {"headers": {"accept-language": header}})
    assert wording.language(request) == code and wording.language(None) == "en"
