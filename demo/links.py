"""What the page shows before a click: the run of the link it was opened with, or a recorded one."""

from __future__ import annotations

import json
from functools import lru_cache

import gradio as gr

from var_mini import checkpoints
from var_mini.generation import Trace
from var_mini.view.payload import payload

from . import backend, compare, models, runs, wording
from .errors import message

RECORDED = checkpoints.ASSETS / "traces"
NUMBERS = {"label": int, "seed": int, "guidance": float, "temperature": float, "top_k": int, "top_p": float}


@lru_cache(maxsize=8)
def recorded(name: str) -> dict | None:
    """The recorded run of a shipped model, as the explorer shows it; None where there is none. Loads no model."""
    path = RECORDED / f"{name}.trace"
    if name not in checkpoints.available() or not path.exists():
        return None
    colours = models.colours_of(name)
    return payload(Trace.load(path), checkpoints.load_config(name), colours=colours)


def first_run(name: str, language: str = "en") -> dict:
    """What stands on the page before the first click."""
    found = recorded(name)
    if found is not None:
        return found | {"note": wording.text("explorer_recorded", language), "recorded": True}
    config = checkpoints.load_config(name)
    needs = wording.text("published_needs", language) if name in checkpoints.OFFICIAL else ""
    return payload(Trace({}), config, colours=models.no_colours(config)) | {"note": needs}


def first_choice(name: str) -> tuple[int, int, int | None]:
    """Class, seed and style that stand in the controls at first: those of the recorded run, so that Generate repeats it."""
    settings = (recorded(name) or {}).get("settings", {})
    any_style = checkpoints.load_config(name).transformer.num_styles or None
    return settings.get("label", 0), settings.get("seed", 0), settings.get("style", any_style)


def parse(query: dict[str, str]) -> runs.Settings:
    """Settings from a link's parameters. Raises ValueError that names what is wrong with them."""
    record = {"model": query.get("model"), "attention": query.get("attention", "exact")}
    for name, kind in NUMBERS.items():
        record[name] = _number(name, query.get(name, ""), kind)
    if "style" in query:
        record["style"] = _number("style", query["style"], int)
    return runs.from_record(record)


def _number(name: str, text: str, kind: type) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"link: {name} = {text[:40]!r}: must be a number") from None


def scale_of(query: dict[str, str], scales: int) -> int:
    """The scale, from 1 on, at which a link shows its run; the last one where it names none that there is."""
    named = query.get("scale", "")
    return int(named) if named.isdecimal() and len(named) < 4 and 1 <= int(named) <= scales else scales


def open_page(request: gr.Request) -> list:
    """Controls and run of the link, in the visitor's language; without a link, or with a spoilt one, the defaults.

    The last value is the record of the link's run as JSON, which is still to be drawn, or empty.
    """
    language, query = wording.language(request), dict(request.query_params) if request else {}
    words = [gr.update(choices=backend.choices(name, language)) for name in ("method", "polynomial")]
    factor, versus = gr.update(choices=backend.choices("factor", language)), gr.update(choices=compare.choices(language))
    unchanged = [gr.skip()] * 7
    style = gr.update(choices=models.style_choices(checkpoints.load_config(models.default()), language))
    if "model" not in query:
        shown = gr.skip() if language == "en" else first_run(models.default(), language)
        return [*unchanged, *words, gr.skip(), factor, style, versus, shown, ""]
    try:
        settings = parse(query)
    except (ValueError, OSError) as error:
        return [
            *unchanged,
            *words,
            gr.skip(),
            factor,
            style,
            versus,
            first_run(models.default(), language) | {"note": message(error)},
            "",
        ]
    s, spec, config = settings.sampling, settings.attention, settings.config
    numbers, styles = backend.landmark_choices(settings.name), models.style_choices(config, language)
    polynomial = f"{spec.degree}-calibrated" if spec.calibrated else str(spec.degree)
    values = [settings.name, gr.update(choices=models.class_choices(config), value=settings.label), settings.seed, s.guidance,
              s.temperature, gr.update(maximum=config.tokenizer.vocab_size, value=s.top_k), s.top_p]  # fmt: skip
    return [
        *values,
        gr.update(choices=backend.choices("method", language), value=spec.method),
        gr.update(choices=backend.choices("polynomial", language), value=polynomial, visible=spec.method == "poly"),
        gr.update(choices=[(str(m), m) for m in numbers], value=spec.landmarks, visible=spec.method == "landmark"),
        gr.update(choices=backend.choices("factor", language), value=spec.factor, visible=spec.method == "pool"),
        gr.update(choices=styles, value=settings.style, visible=bool(styles)),
        versus,
        first_run(settings.name, language),
        json.dumps(settings.to_dict() | {"scale": scale_of(query, config.pyramid.num_scales)}),
    ]


def restore(draw, inputs: list, versus: gr.Dropdown, view: gr.HTML) -> None:
    """Lets the page open as its link says; `draw(link)` draws the run of a link's record."""
    # hidden, and not a gr.State, since the browser tells of the change of a component alone; and it holds the whole record,
    # since the controls may not have their new values yet
    link = gr.Textbox("", visible="hidden")
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    gr.context.Context.root_block.load(open_page, None, [*inputs, versus, view, link], queue=False, **quiet)
    # on a change only: a page that has nothing to draw must not take a place in the queue
    link.change(draw, link, view, concurrency_id="model", concurrency_limit=1, **quiet)
