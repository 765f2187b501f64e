"""Which class is meant: by its name, or by its number, written #3. One rule for the command line and the library."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from . import validate


def composed(name: str) -> str:
    """A name as it is compared and stored: composed Unicode (NFC). Some systems store file names decomposed."""
    return unicodedata.normalize("NFC", name)


def find_class(text: str, names: Sequence[str], count: int, argument: str = "class") -> int:
    """The label that `text` means among `count` classes, whose names may be unknown (`names` empty).

    An exact name comes first, then one that differs in upper and lower case alone, if it is the only one, then a number: #3,
    or 3 where no class is named by a number. Raises ValueError listing the candidates, at most ten.
    """
    text = composed(text)
    own = [composed(name) for name in names]
    exact = [label for label, name in enumerate(own) if name == text]
    if len(exact) == 1:
        return exact[0]
    alike = exact or [label for label, name in enumerate(own) if name.casefold() == text.casefold()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        which = validate.listed([f"{own[label]} (#{label})" for label in alike])
        raise ValueError(f"{argument} = {validate.shown(text)}: may be {which}; write the name exactly, or --{argument}=#NUMBER")
    numbered = any(_number(name) is not None for name in own)
    value = _number(text.removeprefix("#"))
    if value is not None and (text.startswith("#") or not numbered):
        return validate.integer(argument, value, 0, count - 1)
    numbers = f"a number, #0 to #{count - 1}"
    if not own:
        raise ValueError(f"{argument} = {validate.shown(text)}: must be {numbers}; the classes of this model have no names")
    raise ValueError(f"{argument} = {validate.shown(text)}: must be one of {validate.listed(_near(text, own))}, or {numbers}")


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _near(text: str, names: list[str]) -> list[str]:
    """All names, those first that contain the text or resemble it."""
    folded = {name: name.casefold() for name in names}
    near = [name for name in names if text and text.casefold() in folded[name]]
    close = difflib.get_close_matches(text.casefold(), list(folded.values()), n=5)
    near += [name for name in names if folded[name] in close]
    return list(dict.fromkeys(near + names))
