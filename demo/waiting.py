"""Tells visitors their place in the queue, wherever on the page they wait.

Gradio sends every waiting page its place and writes it, in English and hidden, into the output that waits. A line at the foot
of the page says it in the visitor's language, for eyes and screen readers alike.
"""

from __future__ import annotations

import gradio as gr

from . import wording

EVERY_MS = 400
FRESH_MS = 2000  # a text that stood still for so long is no longer true
SCRIPT = """
const words = props.words[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
const line = element.querySelector('[role=status]');
const seen = new WeakMap();
setInterval(() => {
  const places = [], now = Date.now();
  for (const tracker of document.querySelectorAll('[data-testid=status-tracker] .progress-text')) {
    const text = tracker.textContent, last = seen.get(tracker);
    if (!last || last.text !== text) seen.set(tracker, { text, at: last ? now : 0 });
    const found = /queue: (\\d+)\\/(\\d+)/.exec(text);
    // a clock runs in the text while its run waits; afterwards the last text stays, hidden
    if (found && now - seen.get(tracker).at < props.fresh) places.push(found.slice(1).map(Number));
  }
  const [place, all] = places.sort((a, b) => a[0] - b[0])[0] ?? [0, 0];
  const text = place ? words.place.replace('{place}', place).replace('{all}', all) : '';
  if (line.textContent !== text) line.textContent = text;
}, props.every);
"""


def build() -> None:
    """Adds the line to the Blocks being built."""
    gr.HTML(
        html_template='<p class="vm-waiting" role="status"></p>',
        js_on_load=SCRIPT,
        words=wording.part("class_"),
        every=EVERY_MS,
        fresh=FRESH_MS,
        apply_default_css=False,
        elem_id="vm-waiting",
    )
