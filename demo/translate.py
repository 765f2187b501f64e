"""What the library says, in the visitor's language.

Errors and reasons of var_mini are English. Those that an ordinary visitor can meet stand in words/said.json: under "en" as the
library says them, with braces where it puts values and … for what is left out, under "zh" what is said instead. All others, which
only a forged request or a spoilt installation brings, stay English. tests/demo/test_translate.py provokes every one of them.
"""

from __future__ import annotations

import re
from functools import cache

from . import wording

LONGEST = 2000  # characters that are looked at: a forged file can make a message of any length


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Name of a text -> what fits its English, its braces being groups; in the order of the file, the particular first."""
    return {name: _pattern(english) for name, (english, _) in wording.TEXTS.items() if name.startswith("said_")}


def _pattern(english: str) -> re.Pattern[str]:
    fixed = re.escape(english).replace("…", ".*")
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", fixed), re.DOTALL)


def sentence(english: str, code: str | None = None) -> str:
    """A sentence of the library in the language `code`, or in that of the visitor who is being answered."""
    code = code or wording.current()
    if code == "en":
        return english
    for name, pattern in _patterns().items():
        if found := pattern.fullmatch(english[:LONGEST]):
            values = found.groupdict()
            own = f"argument_{values.get('name')}"  # what the page calls this argument
            return wording.text(name, code, **values | ({"name": wording.text(own, code)} if own in wording.TEXTS else {}))
    return english
