"""The tab that draws an image scale by scale: its controls and what they do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import gradio as gr

from var_mini import checkpoints, validate
from var_mini.generation import Trace
from var_mini.view.payload import payload

from . import backend, compare, explorer, gallery, guard, links, models, runs, stale, wording
from .errors import readable


def draw(
    name, label, seed, guidance, temperature, top_k, top_p, method="exact", polynomial="2", landmarks=64, factor=2,
    style=None, request: gr.Request = None,
) -> Iterator[dict]:  # fmt: skip
    """Yields the run so far, as the explorer shows it, after every scale.

    `method` is the attention back end, of which one of the last three is the parameter. Anything the browser sends out of
    range becomes a gr.Error, before the first yield, so that a mistake leaves the last picture on the page.
    """
    try:
        settings = runs.checked(
            name, label, seed, guidance, temperature, top_k, top_p, method, polynomial, landmarks, factor, style
        )
    except ValueError as error:
        raise readable(error) from None
    yield from _stream(settings, request)


def draw_link(link, request: gr.Request = None) -> Iterator[dict]:
    """Draws the run of the link that the page was opened with: its record as JSON, or nothing."""
    try:
        record = json.loads(link) if link else None
        settings = runs.from_record(record) if link else None
        scale = validate.integer("scale", record.get("scale"), 1, settings.config.pyramid.num_scales) if link else None
    except (ValueError, TypeError, RecursionError) as error:
        raise readable(error) from None
    if settings is None:
        yield gr.skip()  # a generator without a value would empty the picture
    else:
        for shown in _stream(settings, request):
            yield shown | {"scale": scale}


def _stream(settings: runs.Settings, request: gr.Request | None) -> Iterator[dict]:
    """The run so far, after every scale."""
    language, config = wording.language(request), settings.config
    trace = Trace(settings.to_dict())
    shown = partial(payload, trace, config)
    none = models.no_colours(config)
    yield shown(colours=none) | {"note": wording.text("explorer_preparing", language, model=config.name)}
    try:
        colours = models.load_model(settings.name).colours
        for step in runs.draw(settings):
            trace.steps.append(step)
            yield shown(colours=colours)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        told = readable(error)
        yield shown(colours=none if not trace.steps else colours) | {
            "note": wording.text("explorer_failed", language, error=told.message)
        }
        raise told from None


def choose_model(name, request: gr.Request = None) -> tuple:
    """What changes with the model: classes, seed, sampling settings, landmarks on offer, the run shown; no comparison."""
    try:
        config = models.offered_config(name)
    except ValueError as error:
        raise readable(error) from None
    s, numbers = config.sampling, backend.landmark_choices(name)
    first_label, first_seed, first_style = links.first_choice(name)  # of the run that is shown now
    styles = models.style_choices(config, wording.language(request))
    return (
        gr.update(choices=models.class_choices(config), value=first_label),
        first_seed,
        s.guidance,
        s.temperature,
        gr.update(maximum=config.tokenizer.vocab_size, value=s.top_k),
        s.top_p,
        gr.update(choices=[(str(m), m) for m in numbers], value=numbers[-1]),
        gr.update(choices=styles, value=first_style, visible=bool(styles)),
        links.first_run(name, wording.language(request)),
        gr.update(visible=False),
    )


def stop(request: gr.Request = None) -> None:
    """The run itself is cancelled by the queue; this only says so, where there was one."""
    running = guard.was_running(request)
    gr.Info(wording.text("stopped" if running else "stopped_nothing", wording.language(request)))


def build_tab(default_model: str) -> None:
    """Adds the tab to the Blocks being built. Raises ValueError where there is no such model."""
    config = checkpoints.load_config(default_model)
    s, t = config.sampling, wording.shown
    first_label, first_seed, first_style = links.first_choice(default_model)
    styles = models.style_choices(config)
    with gr.Row(elem_classes="vm-controls"):
        offered = models.model_choices(default_model)
        model = gr.Dropdown(offered, value=default_model, label=t("model"), scale=3, min_width=200)
        label = gr.Dropdown(models.class_choices(config), value=first_label, label=t("class"), scale=3, min_width=150)
        style = gr.Dropdown(
            styles, value=first_style, label=t("style"), scale=2, min_width=120, visible=bool(styles), elem_id="vm-style"
        )
        seed = gr.Number(first_seed, label=t("seed"), scale=2, min_width=90)
        run_button = gr.Button(t("generate"), variant="primary", scale=2, min_width=120, elem_id="vm-generate")
        stop_button = gr.Button(t("stop"), scale=1, min_width=80)
    with gr.Row(elem_classes="vm-controls"):
        chosen = backend.controls(default_model)
        versus = compare.control()
    # closed, so that the picture is seen without scrolling
    with gr.Accordion(t("sampling"), open=False, elem_id="vm-sampling"), gr.Row(elem_classes="vm-controls"):
        top, slider = config.tokenizer.vocab_size, partial(gr.Slider, min_width=150)
        guidance = slider(0, 10, s.guidance, step=0.1, label=t("guidance"), info=t("guidance_info"))
        temperature = slider(0.1, 2, s.temperature, step=0.05, label=t("temperature"), info=t("temperature_info"))
        top_k = slider(0, top, s.top_k, step=1, label=t("top_k"), info=t("top_k_info"))
        top_p = slider(0, 1, s.top_p, step=0.01, label=t("top_p"), info=t("top_p_info"))
    view = explorer.component(links.first_run(default_model), "vm-explorer", link=True)
    area = compare.build_area()
    settings = [guidance, temperature, top_k, top_p]
    inputs = [model, label, seed, *settings, *chosen, style]
    brought = gallery.build(inputs, view)

    chosen[0].change(backend.visibility, chosen[0], chosen[1:], queue=False, show_progress="hidden", api_visibility="private")
    # one concurrency_id for everything that runs a model: two runs at once would only slow each other down
    one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}
    running = run_button.click(draw, inputs, view, api_visibility="private", **one_at_a_time)
    comparing = running.success(
        compare.compare, [*inputs, versus], area, api_name="area", api_visibility="private", **one_at_a_time
    )
    # first cancel, then say so: a Generate pressed in between would be dropped; queued, or gr.Info would not reach the page
    stop_button.click(None, cancels=[running, comparing]).then(stop, api_visibility="private")
    outputs = [label, seed, *settings, chosen[2], style, view, area[0]]
    model.input(
        choose_model, model, outputs, cancels=[running, comparing], queue=False, show_progress="hidden", api_visibility="private"
    )
    stale.follow(inputs, [view, area[1], brought])
    stale.follow([versus], [area[1]])
    links.restore(draw_link, inputs, versus, view)
