"""Marks a result that no longer belongs to what the controls say, until a new one takes its place."""

from __future__ import annotations

import json

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
CLEAR = "() => { delete document.getElementById(%s)?.dataset.stale; }"


def follow(controls: list, results: list[gr.HTML]) -> None:
    """From now on `results`, which have an elem_id, are marked when one of the controls is moved, and clear when they change."""
    texts = {code: wording.text("stale", code) for code in ("en", "zh")}
    mark = MARK % {"texts": json.dumps(texts), "ids": json.dumps([result.elem_id for result in results])}
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    for control in controls:
        control.input(None, js=mark, **quiet)
    for result in results:
        result.change(None, js=clear(result), **quiet)


def clear(result: gr.HTML) -> str:
    """The script that takes the mark away."""
    return CLEAR % json.dumps(result.elem_id)
