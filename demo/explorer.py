"""The explorer as a component of the page, and what a browser may ask of the server about a run."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import torch

import var_mini.view
from var_mini import validate
from var_mini.analysis.inspection import attention_blocks, attention_row
from var_mini.view.payload import weights_payload

from . import gate, models, runs, wording
from .errors import message

VIEW = Path(var_mini.view.__file__).parent
CSS = VIEW / "explorer.css"

# The module is one file for page and notebooks; a page without a second request has it inside, without its `export`.
GLUE = """
{module}
const texts = props.words[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
const checked = async (promise) => {{
  const answer = await promise;
  if (answer && answer.error) throw new Error(answer.error);
  return answer;
}};
const given = (run) => (run.edited || run.opened ? run.scales.map((s) => s.ids) : null); // these need not follow from settings
const explorer = mount(element.querySelector('.vx-root'), {{
  words: texts,
  row: (run, scale, token) => checked(server.row({{ settings: run.settings, ids: given(run), scale, token }})),
  blocks: (run) => checked(server.blocks({{ settings: run.settings, ids: given(run) }})),
}});
element.querySelector('.vx-root').explorer = explorer;
watch('value', () => explorer.show(props.value));
explorer.show(props.value);
"""


def inline(path: Path, name: str = "mount") -> str:
    """A script of one exported function `mount`, for use inside a component under another name."""
    body = path.read_text(encoding="utf-8").replace("export function", "function")
    return f"const {name} = (() => {{ {body}; return mount; }})();"


def component(value: dict | None, elem_id: str) -> gr.HTML:
    """An explorer that shows a payload of var_mini.view.payload."""
    return gr.HTML(
        value,
        html_template='<div class="vx-root"></div>',
        js_on_load=GLUE.format(module=inline(VIEW / "explorer.js")),
        server_functions=[gate.served(row), gate.served(blocks)],
        words=wording.part("explorer_"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def row(query) -> dict:
    """For the browser: attention weights of one token, {settings, scale, token} -> weights_payload, or {error}."""

    def compute(model, ids, s):
        return weights_payload(attention_row(model, ids, s.label, query.get("scale"), query.get("token"), s.attention, s.style))

    return answer(query, compute)


def blocks(query) -> dict:
    """For the browser: attention from scale to scale, {settings} -> weights_payload, or {error}."""
    return answer(query, lambda model, ids, s: weights_payload(attention_blocks(model, ids, s.label, s.attention, s.style)))


def answer(query, compute) -> dict:
    """What `compute(model, ids, settings)` finds out about the run of a query, {settings, ids}; or {error}."""
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        settings = runs.from_record(query.get("settings"))
        if query.get("ids") is None:
            ids = torch.cat([step.token_ids[0] for step in runs.trace(settings).steps])
        else:
            ids = torch.cat(runs.checked_ids(settings.config, query["ids"]))
        return compute(models.load_model(settings.name).model, ids, settings)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return {"error": message(error)}
