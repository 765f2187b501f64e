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
  changed: (run, state) => {{ {changed} }},
}});
element.querySelector('.vx-root').explorer = explorer;
watch('value', () => explorer.show(props.value));
explorer.show(props.value);
"""

# The link of the page reproduces the run that it shows. A recorded run leaves it alone: it is shown before the page has
# read the link that it was opened with.
LINK = """
if (run.recorded || run.opened || run.scales.length < run.sides.length || !run.settings.model) return;
const query = new URLSearchParams({ ...run.settings, scale: state.scale + 1 });
for (const [name, value] of new URLSearchParams(location.search)) if (name.startsWith('__')) query.set(name, value);
history.replaceState(null, '', '?' + query);
"""


def inline(path: Path, name: str = "mount") -> str:
    """A script of one exported function `mount`, for use inside a component under another name."""
    body = path.read_text(encoding="utf-8").replace("export function", "function")
    return f"const {name} = (() => {{ {body}; return mount; }})();"


def script(changed: str = "") -> str:
    """What the browser runs once for an explorer; `changed` runs whenever another scale or token is chosen."""
    return GLUE.format(module=inline(VIEW / "explorer.js"), changed=changed)


def component(value: dict | None, elem_id: str, link: bool = False) -> gr.HTML:
    """An explorer that shows a payload of var_mini.view.payload."""
    return gr.HTML(
        value,
        html_template='<div class="vx-root"></div>',
        js_on_load=script(LINK if link else ""),
        server_functions=[gate.served(row), gate.served(blocks)],
        words=wording.part("explorer_"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def row(query) -> dict:
    """For the browser: attention weights of one token, {settings, scale, token} -> weights_payload, or {error}."""

    def compute(model, ids, s):
        return attention_row(model, ids, s.label, query.get("scale"), query.get("token"), s.attention, s.style)

    return _answer(query, compute)


def blocks(query) -> dict:
    """For the browser: attention from scale to scale, {settings} -> weights_payload, or {error}."""
    return _answer(query, lambda model, ids, s: attention_blocks(model, ids, s.label, s.attention, s.style))


def _answer(query, compute) -> dict:
    try:
        if not isinstance(query, dict):
            raise ValueError(f"query = {validate.shown(query)}: must be a JSON object")
        settings = runs.from_record(query.get("settings"))
        if query.get("ids") is None:
            ids = torch.cat([step.token_ids[0] for step in runs.trace(settings).steps])
        else:
            ids = torch.cat(runs.checked_ids(settings.config, query["ids"]))
        return weights_payload(compute(models.load_model(settings.name).model, ids, settings))
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return {"error": message(error)}
