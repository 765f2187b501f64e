"""The guided tour: about ten steps through the page, each with a question to answer before anything moves.

The steps stand here, their words in words/tour.json (`tour_<name>_...`), what happens in the browser in
var_mini/ui/views/Tour.js. The server learns nothing of the answers: they stay in the visitor's browser.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import gradio as gr

from var_mini.config import TokenizerConfig

from .. import scripts, wording
from . import frame

TEXTS = ("title", "look", "question", "a", "b", "c", "why", "try")  # of every step
SCRIPT = scripts.MODULE + ".then((host) => host.tour(element, props));"


@dataclass(frozen=True)
class Step:
    name: str
    chapter: str  # of demo.CHAPTERS, or "first", the first screen
    target: str  # selector, inside of it, of what to look at
    right: int  # index of the right answer


STEPS = (
    Step("input", "first", ".vu-pyramid", 1),
    Step("together", "draw", "#vm-run", 0),
    Step("mask", "masks", "#vm-masks", 2),
    Step("codebook", "first", ".vu-pyramid", 0),
    Step("phi", "tokenize", "#vm-tokenize", 1),
    Step("coarse", "first", ".vu-pyramid", 1),
    Step("count", "first", ".vu-caption", 2),
    Step("diffusion", "first", ".vu-right", 2),
    Step("lowrank", "lowrank", "#vm-lowrank", 1),
    Step("cost", "cost", "#vm-cost", 2),
    Step("edit", "edit", "#vm-edit", 1),
)


def values(language: str) -> dict[str, str]:
    """What fills the braces of the texts: numbers of the published 256-pixel VAR, and names as the page shows them."""
    published = TokenizerConfig()
    pyramid, word = published.pyramid, wording.WORDS
    return {
        "side": str(pyramid.side),
        "last": str(pyramid.counts[-1]),
        "tokens": str(pyramid.tokens),
        "scales": str(pyramid.num_scales),
        "ratio": f"{published.phi_ratio:g}",
        "phis": str(published.phi_count),
        "generate": word["new"][language],
        "added": word["added_title"][language],
        "blocks": word["blocks"][language],
        "both": wording.text("lowrank_run", language),
        **{f"chapter_{name}": _title(name, language) for name in {step.chapter for step in STEPS} - {"first"}},
    }


def _title(chapter: str, language: str) -> str:
    return wording.WORDS["numbers_title" if chapter == "draw" else f"{chapter}_title"][language]


def build() -> None:
    """Adds the tour to the Blocks being built."""
    gr.HTML(
        html_template='<section id="tour" class="vt"></section>',
        js_on_load=SCRIPT,
        words=wording.part("tour_"),
        values={language: values(language) for language in wording.LANGUAGES},
        steps=[asdict(step) for step in STEPS],
        apply_default_css=False,
        elem_id="vm-tour",
    )
    frame.foot("tour")
