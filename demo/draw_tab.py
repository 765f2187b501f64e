"""The tab that draws an image scale by scale: its controls and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import gradio as gr
import torch

from var_mini import checkpoints, validate
from var_mini.generation import Sampling
from var_mini.generation.sampling import MAX_SEED

from . import wording
from .models import class_choices, load_model, model_choices
from .stage import Drawn, Run, stage

# An update replaces the strip's elements, so its scroll position has to be put back by hand.
KEEP_SCROLL = """
let left = 0;
element.addEventListener('scroll', (e) => { if (e.target.matches('.vm-strip')) left = e.target.scrollLeft; }, true);
watch('value', () => { const strip = element.querySelector('.vm-strip'); if (strip) strip.scrollLeft = left; });
"""


def draw(name, label, seed, guidance, temperature, top_k, top_p) -> Iterator[str]:
    """Yields the stage after every scale. Anything the browser sends out of range becomes a gr.Error."""
    try:  # all checks come before the first yield, so that a mistake leaves the last picture on the page
        sampling = Sampling(guidance, temperature, top_k, top_p)
        config = checkpoints.load_config(name)
        label = validate.integer("class", label, 0, config.transformer.num_classes - 1)
        seed = validate.integer("seed", seed, 0, MAX_SEED)
    except ValueError as error:
        raise readable(error) from None
    run = Run(config, label, seed, [])
    yield stage(run, wording.PREPARING.format(model=config.name))
    try:
        run.loaded = load_model(name)
        for step in run.loaded.model.generate(label, seed, sampling):
            run.drawn.append(Drawn.of(step, run.loaded.colours))
            yield stage(run)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        shown = readable(error)
        yield stage(run, wording.FAILED.format(error=shown.message))
        raise shown from None


def choose_model(name) -> tuple:
    """What changes with the model: the class list, the sampling settings, the stage."""
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
        stage(Run(config)),
    )


def stop() -> None:
    """The run itself is cancelled by the queue; this only says so."""
    gr.Info(wording.STOPPED)


def readable(error: Exception) -> gr.Error:
    """An error for the visitor: one sentence, no traceback on the page or in the log."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        text = wording.OUT_OF_MEMORY
    elif isinstance(error, RuntimeError):
        text = wording.RUN_FAILED.format(error=(str(error).splitlines() or [type(error).__name__])[0])
    else:
        text = str(error)
    return gr.Error(text, print_exception=False)


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
    view = gr.HTML(stage(Run(config)), elem_id="vm-stage", js_on_load=KEEP_SCROLL, apply_default_css=False)

    settings = [guidance, temperature, top_k, top_p]
    # one concurrency_id for everything that runs a model: two runs at once would only slow each other down
    running = run_button.click(
        draw, [model, label, seed, *settings], view, concurrency_id="model", concurrency_limit=1, show_progress="hidden"
    )
    # first cancel, then say so: a Generate pressed in between would be dropped; queued, or gr.Info would not reach the page
    stop_button.click(None, cancels=running).then(stop, api_visibility="private")
    model.change(choose_model, model, [label, *settings, view], cancels=running, queue=False, show_progress="hidden")
