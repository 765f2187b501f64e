"""Folds: what experts ask for, closed at first. They are HTML's own <details>, which keyboards and screen readers know."""

from __future__ import annotations

from html import escape

# for gr.HTML's js_on_load: a fold that a visitor has opened stays open when its result is replaced by a newer one
KEEP = """
const opened = new Set();
element.addEventListener('toggle', ({ target }) => {
  if (target.dataset.fold) opened[target.open ? 'add' : 'delete'](target.dataset.fold);
}, true);
new MutationObserver(() => {
  for (const fold of element.querySelectorAll('details[data-fold]')) fold.open = opened.has(fold.dataset.fold);
}).observe(element, { childList: true, subtree: true });
"""


def fold(name: str, summary: str, html: str = "") -> str:
    """A fold with safe `html` in it.

    Without any, and alone in a gr.HTML of the class vm-fold-over, it folds the component that comes next (style.css).
    """
    return f'<details class="vm-fold" data-fold="{escape(name)}"><summary>{escape(summary)}</summary>{html}</details>'
