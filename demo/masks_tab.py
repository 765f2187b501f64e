"""The tab that shows the training mask, the growing cache and the low-rank state in true proportion."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import torch

import var_mini.view
from var_mini import checkpoints, validate
from var_mini.analysis.equivalence import mask_against_loop
from var_mini.attention import AttentionSpec, has_masked_pass
from var_mini.config import PATCH_NUMS_256, PATCH_NUMS_512, ModelConfig, TransformerConfig
from var_mini.cost.ladder import PATCH_NUMS_1024
from var_mini.pyramid import ScalePyramid
from var_mini.view.memory import memory

from . import links, models, runs, wording
from .errors import readable

VIEW = Path(var_mini.view.__file__).parent
BACK_ENDS = {
    "exact": "masks_back_end_exact",
    "poly-2": "masks_back_end_poly",
    "landmark-32": "masks_back_end_landmark_32",
    "landmark-64": "masks_back_end_landmark_64",
    "pool-2": "masks_back_end_pool",
}
# pyramids of VAR without weights: pixels -> patch_nums and the published model whose heads they are counted with
PUBLISHED = {256: (PATCH_NUMS_256, "var_d16"), 512: (PATCH_NUMS_512, "var_d36"), 1024: (PATCH_NUMS_1024, "var_d36")}
FIRST_BACK_END = "poly-2"

GLUE = """
const mountMasks = (() => {{ {module}; return mountMasks; }})();
const words = props.words[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
const picture = mountMasks(element.querySelector('.vb-root'), {{ words }});
watch('value', () => {{
  picture.show(props.value);
  if (props.value && props.value.wanted) trigger('same_numbers');
}});
picture.show(props.value);
"""


def pyramid_choices(default_model: str, language: str = "en") -> list[tuple[str, str]]:
    """(shown name, value): models of the page by name, VAR's pyramids as `var-256`."""
    own = [choice for choice in models.model_choices(default_model) if choice[1] not in checkpoints.OFFICIAL]
    return own + [(wording.text("masks_published", language, size=size), f"var-{size}") for size in PUBLISHED]


def back_end_choices(language: str = "en") -> list[tuple[str, str]]:
    return [(wording.text(name, language), value) for value, name in BACK_ENDS.items()]


def shape(name) -> tuple[str, ScalePyramid, TransformerConfig, ModelConfig | None]:
    """Shown name, pyramid, transformer and, of a model with weights, its configuration. Raises ValueError for anything else."""
    for size, (numbers, published) in PUBLISHED.items():
        if name == f"var-{size}":
            return f"VAR {size} px", ScalePyramid(numbers), checkpoints.load_config(published).transformer, None
    config = models.offered_config(name)
    return config.name, config.pyramid, config.transformer, config


def numbers(name, back_end) -> dict:
    """What the picture shows of a pyramid and a back end. Raises ValueError for names that the page does not offer."""
    shown, pyramid, transformer, _ = shape(name)
    spec = AttentionSpec.parse(validate.one_of("back end", back_end, BACK_ENDS))
    return memory(pyramid, transformer, spec) | {"name": shown, "same": None}


def show(name, back_end, switch) -> dict:
    """The picture of another pyramid or back end, at once; where the switch is on, it asks for the comparison to follow."""
    try:
        return numbers(name, back_end) | {"wanted": switch is True}
    except ValueError as error:
        raise readable(error) from None


def compare(name, back_end, switch, request: gr.Request = None) -> dict:
    """The picture with both ways of computing the same logits compared, where the switch is on; else without.

    The tokens are those of the model's own first run on the page. Anything forged becomes a gr.Error.
    """
    language = wording.language(request)
    try:
        data = numbers(name, back_end)
        if not validate.boolean("same numbers", switch):
            return data
        config = shape(name)[3]
        if config is None:
            return data | {"same": {"note": wording.text("masks_same_no_weights", language)}}
        return data | {"same": _same(name, config, AttentionSpec.parse(back_end), language)}
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None


def _same(name: str, config: ModelConfig, spec: AttentionSpec, language: str) -> dict:
    """JSON of the comparison, made with exact attention where the back end has no masked pass."""
    loaded = models.load_model(name)
    if not loaded.quick:
        return {"note": wording.text("masks_same_large", language, model=config.name)}
    note = ""
    if not has_masked_pass(spec):
        note, spec = wording.text("masks_same_instead", language, name=spec), AttentionSpec()
    label, seed, style = links.first_choice(name)
    trace = runs.trace(runs.Settings(name, label, seed, config.sampling, AttentionSpec(), style))
    ids = torch.cat([step.token_ids[0] for step in trace.steps])
    found = mask_against_loop(loaded.model, ids, label, spec)
    said = {"model": config.name, "name": spec, "subject": config.class_name(label), "seed": seed}
    codes = config.tokenizer.vocab_size
    return {
        "note": note + wording.text("masks_same_note", language, **said),
        "scales": [
            {
                "side": scale.side,
                "logits": scale.side**2 * codes,
                "loop": scale.loop,
                "unmasked": scale.unmasked,
                "triangular": scale.triangular,
                "largest": scale.largest_logit,
            }
            for scale in found
        ],
    }


def open_page(request: gr.Request = None) -> list:
    """Names of the choices in the visitor's language; a dropdown's own names are not translated by the browser."""
    language = wording.language(request)
    return [
        gr.update(choices=pyramid_choices(models.default(), language)),
        gr.update(choices=back_end_choices(language)),
    ]


def component(value: dict) -> gr.HTML:
    """The three pictures, showing what `numbers` gives."""
    module = (VIEW / "masks.js").read_text(encoding="utf-8").replace("export function", "function")
    return gr.HTML(
        value,
        html_template='<div class="vb-root"></div>',
        css_template=(VIEW / "masks.css").read_text(encoding="utf-8"),
        js_on_load=GLUE.format(module=module),
        words=wording.part("masks_"),
        apply_default_css=False,
        elem_id="vm-masks-view",
    )


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
    t = wording.shown
    with gr.Column(elem_id="vm-masks"):
        gr.Markdown(t("masks_lead"))
        with gr.Row(elem_classes="vm-controls"):
            pyramid = gr.Dropdown(
                pyramid_choices(default_model),
                value=default_model,
                label=t("masks_pyramid"),
                info=t("masks_pyramid_info"),
                filterable=False,
                min_width=200,
            )
            back_end = gr.Dropdown(
                back_end_choices(),
                value=FIRST_BACK_END,
                label=t("masks_back_end"),
                info=t("masks_back_end_info"),
                filterable=False,
                min_width=200,
            )
            switch = gr.Checkbox(False, label=t("masks_switch"), info=t("masks_switch_info"), min_width=280)
        view = component(numbers(default_model, FIRST_BACK_END))
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1}
    inputs = [pyramid, back_end, switch]
    for control in (pyramid, back_end):
        control.input(show, inputs, view, queue=False, **quiet)
    for asks in (switch.input, view.same_numbers):
        asks(compare, inputs, view, **one_at_a_time, **quiet)
    gr.context.Context.root_block.load(open_page, None, [pyramid, back_end], queue=False, **quiet)
