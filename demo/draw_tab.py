"""The tab that draws an image scale by scale: its controls and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import gradio as gr

from var_mini import checkpoints, validate
from var_mini.generation import Sampling
from var_mini.generation.sampling import MAX_SEED

from . import backend, compare, wording
from .errors import readable
from .models import class_choices, load_model, model_choices
from .stage import Drawn, Run, stage

# An update replaces the strip's elements, so its scroll position has to be put back by hand.
KEEP_SCROLL = """
let left = 0;
element.addEventListener('scroll', (e) => { if (e.target.matches('.vm-strip')) left = e.target.scrollLeft; }, true);
watch('value', () => { const strip = element.querySelector('.vm-strip'); if (strip) strip.scrollLeft = left; });
"""


def draw(
    name, label, seed, guidance, temperature, top_k, top_p, method="exact", polynomial="2", landmarks=64, factor=2
) -> Iterator[str]:
    """Yields the stage after every scale. `method` is the attention back end, of which one of the last three is the parameter.

    Anything the browser sends out of range becomes a gr.Error."""
    try:  # all checks come before the first yield, so that a mistake leaves the last picture on the page
        sampling = Sampling(guidance, temperature, top_k, top_p)
        config = checkpoints.load_config(name)
        label = validate.integer("class", label, 0, config.transformer.num_classes - 1)
        seed = validate.integer("seed", seed, 0, MAX_SEED)
        spec = backend.checked(name, config, method, polynomial, landmarks, factor)
    except ValueError as error:
        raise readable(error) from None
    run = Run(config, label, seed, [])
    yield stage(run, wording.PREPARING.format(model=config.name))
    try:
        run.loaded = load_model(name)
        run.loaded.warm_up(str(spec))
        for step in run.loaded.model.generate(label, seed, sampling, attention=spec):
            run.drawn.append(Drawn.of(step, run.loaded.colours))
            yield stage(run)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        shown = readable(error)
        yield stage(run, wording.FAILED.format(error=shown.message))
        raise shown from None


def choose_model(name) -> tuple:
    """What changes with the model: the class list, the sampling settings, the landmarks on offer, the stage; no comparison."""
    try:
        config = checkpoints.load_config(name)
    except ValueError as error:
        raise readable(error) from None
    s = config.sampling
    return (
        gr.update(choices=class_choices(config), value=0),
        s.guidance,
        s.temperature,
        gr.update(maximum=config.tokenizer.vocab_size, value=s.top_k),
        s.top_p,
        gr.update(choices=[(str(m), m) for m in backend.landmark_choices(name)], value=backend.landmark_choices(name)[-1]),
        stage(Run(config)),
        gr.update(visible=False),
    )


def stop() -> None:
    """The run itself is cancelled by the queue; this only says so."""
    gr.Info(wording.STOPPED)


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
    config = checkpoints.load_config(default_model)
    s = config.sampling
    with gr.Row(elem_classes="vm-controls"):
        model = gr.Dropdown(model_choices(default_model), value=default_model, label=wording.MODEL, scale=3, min_width=220)
        label = gr.Dropdown(class_choices(config), value=0, label=wording.CLASS, scale=3, min_width=150)
        seed = gr.Number(0, label=wording.SEED, scale=2, min_width=110)
        run_button = gr.Button(wording.GENERATE, variant="primary", scale=2, min_width=130)
        stop_button = gr.Button(wording.STOP, scale=1, min_width=80)
    with gr.Row(elem_classes="vm-controls"):
        top, slider = config.tokenizer.vocab_size, partial(gr.Slider, min_width=150)
        guidance = slider(0, 10, s.guidance, step=0.1, label=wording.GUIDANCE, info=wording.GUIDANCE_INFO)
        temperature = slider(0.1, 2, s.temperature, step=0.05, label=wording.TEMPERATURE, info=wording.TEMPERATURE_INFO)
        top_k = slider(0, top, s.top_k, step=1, label=wording.TOP_K, info=wording.TOP_K_INFO)
        top_p = slider(0, 1, s.top_p, step=0.01, label=wording.TOP_P, info=wording.TOP_P_INFO)
    with gr.Row(elem_classes="vm-controls"):
        chosen = backend.controls(default_model)
    view = gr.HTML(stage(Run(config)), elem_id="vm-stage", js_on_load=KEEP_SCROLL, apply_default_css=False)

    settings = [guidance, temperature, top_k, top_p]
    inputs = [model, label, seed, *settings, *chosen]
    area = compare.build_area()
    chosen[0].change(backend.visibility, chosen[0], chosen[1:], queue=False, show_progress="hidden", api_visibility="private")
    # one concurrency_id for everything that runs a model: two runs at once would only slow each other down
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}
    running = run_button.click(draw, inputs, view, **one_at_a_time)
    comparing = running.success(compare.compare, inputs, area, **one_at_a_time)
    # first cancel, then say so: a Generate pressed in between would be dropped; queued, or gr.Info would not reach the page
    stop_button.click(None, cancels=[running, comparing]).then(stop, api_visibility="private")
    outputs = [label, *settings, chosen[2], view, area[0]]
    model.change(choose_model, model, outputs, cancels=[running, comparing], queue=False, show_progress="hidden")
