"""The token-map explorer in a notebook: the module of the page (explorer.js) as an anywidget, answered by this process.

    from var_mini.view.widget import explorer
    explorer(model, model.trace(label=7, seed=0))

With engine="browser" the model itself goes along, some megabytes, and is computed in the browser, so that the notebook, exported
as a page, still draws: `explorer(model, trace, engine="browser")`.

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
from ..ui.embedded import embedded
from ..ui.modules import inlined
from .images import strip
from .payload import payload, weights_payload
from .words import explorer_words

FOLDER = Path(__file__).parent
MAX_PICTURE = 2000  # widest static picture, pixels
ENGINES = ("python", "browser")
HOST = "hosts/notebook_engine.js"

# Questions go to Python as custom messages with a number, and the answer of that number settles the promise. Where the model came
# along they go to the engine in this browser, which draws, too.
GLUE = """
// of one token the weights in all layers and heads, as Python answers
async function rowOf(engine, run, scale, token) {
  const place = run.sides.slice(0, scale).reduce((sum, side) => sum + side * side, token), rows = [];
  for (let layer = 0; layer < run.layers; layer++) {
    for (let head = 0; head < run.heads; head++) rows.push((await engine.attention(run, { layer, head, token: place })).weights);
  }
  const shares = Uint16Array.from(rows.flat(), (weight) => Math.round(65535 * Math.min(1, Math.max(0, weight))));
  const letters = Array.from(new Uint8Array(shares.buffer), (byte) => String.fromCharCode(byte));
  return { shape: [run.layers, run.heads, rows[0].length], weights: btoa(letters.join('')) };
}

// a button that draws with another seed, and what is said of it
function drawing(engine, words, explorer) {
  const status = make('span', { class: 'vx-hint', role: 'status' });
  const button = make('button', { type: 'button', onclick: async () => {
    const { settings } = explorer.run(), seed = Math.floor(Math.random() * 2 ** 32);
    button.disabled = true;
    status.textContent = words.engine_busy;
    try {
      explorer.show(await engine.draw({ ...settings, seed }));
      status.textContent = fill(words.engine_drawn, { seed });
    } catch (error) { status.textContent = fill(words.engine_unable, { reason: error.message }); }
    button.disabled = false;
  } }, words.engine_draw);
  return make('div', { class: 'vx-controls vx-engine' }, button, status);
}

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
    const engine = model.get('described') ? notebookEngine((name) => model.get(name), words.engine_missing) : null;
    const explorer = mount(root, {
      words,
      row: (run, scale, token) => (engine ? rowOf(engine, run, scale, token) : ask({ kind: 'row', scale, token })),
      blocks: (run) => (engine ? engine.blocks(run) : ask({ kind: 'blocks' })),
    });
    if (engine) root.prepend(drawing(engine, words, explorer));
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


def explorer(model: Model, trace: Trace, engine: str = "python"):
    """The explorer of one run of `model` as a widget. Its method `show(trace)` puts another run into the same place.

    engine   "python": this process answers. "browser": the model goes along and is computed where the widget is shown, also in an
             exported page; the notebook grows by its size (two bytes a weight, a third more as text)
    Raises ValueError where the trace is not one of a whole run of this model, or the browser cannot compute it.
    """
    browser = validate.one_of("engine", engine, ENGINES) == "browser"
    widget = _widget_class(browser)(model, **(embedded(model) if browser else {}))
    widget.show(trace)
    return widget


@cache
def _widget_class(browser: bool):
    """The class, made when first needed: its base takes a while to import, and only notebooks have it."""
    import anywidget
    import traitlets

    class Explorer(anywidget.AnyWidget):
        _esm = "\n".join([
            (FOLDER / "explorer.js").read_text(encoding="utf-8").replace("export function", "function"),
            inlined(HOST) if browser else "const notebookEngine = null;",
            GLUE,
        ])  # fmt: skip
        _css = (FOLDER / "explorer.css").read_text(encoding="utf-8")
        run = traitlets.Dict().tag(sync=True)
        words = traitlets.Dict().tag(sync=True)
        described = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)  # see ui/embedded.py
        weights, calibration, product = (traitlets.Bytes().tag(sync=True) for _ in range(3))

        def __init__(self, model: Model, **files):
            self._model, self._trace = model, None
            super().__init__(words=explorer_words(), **files)
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
