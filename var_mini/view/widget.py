"""The token-map explorer in a notebook: the module of the page (explorer.js) as an anywidget, answered by this process.

    from var_mini.view.widget import explorer
    explorer(model, model.trace(label=7, seed=0))

Where no widget can run (GitHub, a printed page) the strip of all scales stands in its place as a picture.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import torch
from PIL import Image

from .. import validate
from ..analysis.inspection import attention_blocks, attention_row
from ..generation import Trace
from ..model import Model
from .images import strip
from .payload import payload, weights_payload
from .words import explorer_words

FOLDER = Path(__file__).parent
MAX_PICTURE = 2000  # widest static picture, pixels

# Questions go to Python as custom messages with a number, and the answer of that number settles the promise.
GLUE = """
export default {
  render({ model, el }) {
    const root = document.createElement('div');
    root.className = 'vx-root';
    el.append(root);
    const waiting = new Map();
    let asked = 0;
    const ask = (question) => new Promise((settle, fail) => {
      waiting.set(++asked, { settle, fail });
      model.send({ ...question, number: asked });
    });
    const answered = (answer) => {
      const promise = waiting.get(answer.number);
      waiting.delete(answer.number);
      if (!promise) return; // another view of the same widget asked
      if (answer.error) promise.fail(new Error(answer.error));
      else promise.settle(answer);
    };
    const words = model.get('words')[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
    const explorer = mount(root, {
      words,
      row: (run, scale, token) => ask({ kind: 'row', scale, token }),
      blocks: () => ask({ kind: 'blocks' }),
    });
    const show = () => explorer.show(model.get('run'));
    model.on('msg:custom', answered);
    model.on('change:run', show);
    show();
    return () => {
      explorer.stop();
      model.off('msg:custom', answered);
      model.off('change:run', show);
    };
  },
};
"""


def explorer(model: Model, trace: Trace):
    """The explorer of one run of `model` as a widget. Its method `show(trace)` puts another run into the same place.

    Raises ValueError where the trace is not one of a whole run of this model.
    """
    widget = _widget_class()(model)
    widget.show(trace)
    return widget


@cache
def _widget_class():
    """The class, made when first needed: its base takes a while to import, and only notebooks have it."""
    import anywidget
    import traitlets

    class Explorer(anywidget.AnyWidget):
        _esm = (FOLDER / "explorer.js").read_text(encoding="utf-8").replace("export function", "function") + GLUE
        _css = (FOLDER / "explorer.css").read_text(encoding="utf-8")
        run = traitlets.Dict().tag(sync=True)
        words = traitlets.Dict().tag(sync=True)

        def __init__(self, model: Model):
            self._model, self._trace = model, None
            super().__init__(words=explorer_words())
            self.on_msg(lambda _, content, buffers: self.send(answer(self._model, self._trace, content)))

        def show(self, trace: Trace) -> None:
            """Shows another run of the same model."""
            sides = tuple(step.side for step in trace.steps)
            if sides != self._model.config.pyramid.patch_nums:
                raise ValueError(f"trace has sides {validate.shown(sides)}: must have {self._model.config.pyramid.patch_nums}")
            self._trace = trace
            self.run = payload(trace, self._model.config, self._model.tokenizer.quantize.embedding.weight)

        def _repr_mimebundle_(self, **options):
            bundle = super()._repr_mimebundle_(**options)
            data, about = bundle if isinstance(bundle, tuple) else (bundle, {})
            told = describe(self.run)
            picture = static_picture(self._model, self._trace)
            return {**data, "text/plain": told, "image/png": picture}, {**about, "image/png": {"alt": told}}

    return Explorer


def answer(model: Model, trace: Trace, question: object) -> dict:
    """What the explorer asks: {number, kind: "row", scale, token} or {number, kind: "blocks"} -> weights_payload, or {error}."""
    question = question if isinstance(question, dict) else {}
    number = question.get("number")
    try:
        kind = validate.one_of("kind", question.get("kind"), ("row", "blocks"))
        settings = trace.settings
        label, attention = settings.get("label", 0), settings.get("attention", "exact")
        label = label[0] if isinstance(label, list) else label
        ids = torch.cat([step.token_ids[0] for step in trace.steps])
        if kind == "row":
            weights = attention_row(model, ids, label, question.get("scale"), question.get("token"), attention)
        else:
            weights = attention_blocks(model, ids, label, attention)
        return {"number": number, **weights_payload(weights)}
    except (ValueError, RuntimeError) as error:
        return {"number": number, "error": str(error)}


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
