"""Marks a result that no longer belongs to what the controls say, until a new one takes its place.

What depends on the settings of the first screen says which they were (`of`), and the page compares them with those it has now
(var_mini/ui/hosts/gradio.js): a result that arrives late is marked, too. Controls of a chapter's own mark when they are moved.
"""

from __future__ import annotations

import json
from html import escape

import gradio as gr

from . import wording

# the text stands in an attribute that the style sheet shows, so that no result has to know of it
MARK = """
(...values) => {
  const text = %(texts)s[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
  for (const id of %(ids)s) {
    const result = document.getElementById(id);
    if (result?.querySelector('figure, table, svg, .vx[data-drawn]:not([data-drawn="0"])')) result.dataset.stale = text;
  }
  return values;
}
"""
CLEAR = "() => { window.varMini?.renewed(%s); }"


def follow(controls: list, results: list[gr.HTML]) -> None:
    """From now on `results`, which have an elem_id, are marked when one of the controls is moved, and clear when they change."""
    texts = {code: wording.text("stale", code) for code in ("en", "zh")}
    mark = MARK % {"texts": json.dumps(texts), "ids": json.dumps([result.elem_id for result in results])}
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    for control in controls:
        control.input(None, js=mark, **quiet)
    for result in results:
        result.change(None, js=clear(result), **quiet)


def of(record: dict, html: str, *names: str) -> str:
    """A result with the settings that it depends on, all of the record where none are named."""
    told = {name: record.get(name) for name in names or record}
    return f'<div data-settings="{escape(json.dumps(told))}">{html}</div>'


def clear(result: gr.HTML) -> str:
    """The script that takes the mark away."""
    return CLEAR % json.dumps(result.elem_id)
