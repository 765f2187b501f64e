"""The token-map explorer in a notebook: the views of the page (var_mini/ui) as an anywidget, answered by this process.

    from var_mini.view.widget import explorer
    explorer(model, model.trace(label=7, seed=0))

With engine="browser" the model itself goes along, some megabytes, and is computed in the browser, so that the notebook, exported
as a page, still draws.

Where no widget can run (GitHub, a printed page) the strip of all scales stands in its place as a picture.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from PIL import Image

from .. import validate
from ..generation import RunSettings, Trace
from ..generation.settings import of_one_image
from ..model import Model
from ..ui.embedded import embedded
from . import questions
from .images import strip
from .payload import payload

UI = Path(__file__).parents[1] / "ui"
BUNDLE = UI / "dist" / "notebook.js"
MAX_PICTURE = 2000  # widest static picture, pixels
ENGINES = ("python", "browser")


def explorer(model: Model, trace: Trace, engine: str = "python"):
    """The explorer of one run of `model` as a widget. Its method `show(trace)` puts another run into the same place.

    A run that this process draws in it becomes its attribute `trace`.

    engine   "python": this process answers. "browser": the model goes along and is computed where the widget is shown, also in an
             exported page; the notebook grows by its size (two bytes a weight, a third more as text)
    Raises ValueError where the trace is not one of a whole run of this model, or the browser cannot compute it.
    """
    browser = validate.one_of("engine", engine, ENGINES) == "browser"
    widget = _widget_class()(model, **(embedded(model) if browser else {}))
    widget.show(trace)
    return widget


@cache
def _widget_class():
    """The class, made when first needed: its base takes a while to import, and only notebooks have it."""
    import anywidget
    import traitlets

    class Explorer(anywidget.AnyWidget):
        _esm = BUNDLE.read_text(encoding="utf-8")
        _css = (UI / "style.css").read_text(encoding="utf-8")
        run = traitlets.Dict().tag(sync=True)
        words = traitlets.Dict().tag(sync=True)
        described = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)  # see ui/embedded.py
        weights, calibration, product = (traitlets.Bytes().tag(sync=True) for _ in range(3))

        def __init__(self, model: Model, **files):
            self._model = model
            self.trace: Trace | None = None
            super().__init__(words=json.loads((UI / "words.json").read_text(encoding="utf-8")), **files)
            self.on_msg(lambda _, content, buffers: self._answer(content))

        def show(self, trace: Trace) -> None:
            """Shows another run of the same model."""
            sides = tuple(step.side for step in trace.steps)
            if sides != self._model.config.pyramid.patch_nums:
                raise ValueError(f"trace has sides {validate.shown(sides)}: must have {self._model.config.pyramid.patch_nums}")
            self.trace, self.run = trace, shown(self._model, trace)

        def _answer(self, question: object) -> None:
            for told in answers(self._model, question):
                if isinstance(told, Trace):
                    self.show(told)
                else:
                    self.send(told)

        def _repr_mimebundle_(self, **options):
            bundle = super()._repr_mimebundle_(**options)
            data, about = bundle if isinstance(bundle, tuple) else (bundle, {})
            assert self.trace is not None  # explorer() has shown one
            told, picture = describe(self.run), static_picture(self._model, self.trace)
            return {**data, "text/plain": told, "image/png": picture}, {**about, "image/png": {"alt": told}}

    return Explorer


def answers(model: Model, question: object) -> Iterator[dict | Trace]:
    """What the explorer asks, {number, kind, ...} -> one or more {number, ...}, the last {number, error} where it cannot be done.

    draw               {settings}                                   {run} after every scale, and in the end the trace itself
    attention, blocks  {settings, ids, scale, token, layer, head}   see `questions`
    code               {code}
    """
    question = question if isinstance(question, dict) else {}
    number = {"number": question.get("number")}
    try:
        kind = validate.one_of("kind", question.get("kind"), ("attention", "blocks", "code", "draw"))
        if kind == "draw":
            yield from ((number | {"run": told} if isinstance(told, dict) else told) for told in _drawn(model, question))
        elif kind == "code":
            yield number | questions.code(model, question.get("code"))
        else:
            s = of_one_image(RunSettings.from_dict(question.get("settings"), model.config))
            ids = torch.cat(questions.checked_ids(model.config, question.get("ids")))
            asked = (question,) if kind == "attention" else ()
            yield number | getattr(questions, kind)(model, ids, s.label, *asked, s.attention, s.style)
    except (ValueError, RuntimeError) as error:
        yield number | {"error": str(error)}


def _drawn(model: Model, question: dict) -> Iterator[dict | Trace]:
    """The run so far after every scale, as the explorer takes it; then its trace."""
    s = of_one_image(RunSettings.from_dict(question.get("settings"), model.config))
    given = s.label, s.seed, s.sampling
    trace = Trace(model.trace_settings(*given, s.attention, s.style))
    for step in model.generate(*given, s.style, s.attention):
        trace.steps.append(step)
        yield shown(model, trace)
    yield trace


def shown(model: Model, trace: Trace) -> dict:
    """A run as the explorer takes it."""
    return payload(trace, model.config, model.tokenizer.quantize.embedding.weight)


def static_picture(model: Model, trace: Trace) -> bytes:
    """PNG of all scales side by side, token maps above, images below: what is seen where no widget can run."""
    picture = Image.fromarray(strip(trace, model.tokenizer.quantize.embedding.weight))
    picture.thumbnail((MAX_PICTURE, MAX_PICTURE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def describe(run: dict) -> str:
    """The run in one sentence, for those who do not see the picture."""
    sides = ", ".join(f"{side}×{side}" for side in run["sides"])  # noqa: RUF001 (a real multiplication sign)
    return f"{run['subject']}, drawn by {run['model']} over the scales {sides}: token maps above, the image decoded so far below"
