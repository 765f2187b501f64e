"""What begins and ends a chapter that Gradio makes: its number and question, the settings of the first screen, the ways on.

Those settings are kept in the browser alone (var_mini/ui): while the chapter is in sight the value of `head` is their record, as
runs.from_record takes it, so a listener that has the head among its inputs is given what the first screen says. Its event
`follow` comes when the chapter is in sight and one of the settings in `follows` has changed since, so also when it first comes in
sight.
"""

from __future__ import annotations

import gradio as gr

from .. import backend, links, models, scripts

HEAD = scripts.MODULE + ".then((host) => host.chapter(element, props, () => trigger('follow')));"
FOOT = scripts.MODULE + ".then((host) => host.foot(element, props.name));"
PLACE = '<div class="vu"></div>'


def first_record(name: str, low_rank: bool = False) -> dict:
    """The settings before the browser has told any: those of the model's recorded run, by its own sampling."""
    label, seed, style = links.first_choice(name)
    sampling = models.offered_config(name).sampling
    record = {"model": name, "label": label, "seed": seed} | vars(sampling)
    specs = [spec for spec in backend.specs(name) if spec not in ("exact", "auto")]
    return record | ({} if style is None else {"style": style}) | {"attention": specs[0] if low_rank and specs else "exact"}


def head(name: str, default_model: str, wants: tuple[str, ...] = (), follows: tuple[str, ...] = ()) -> gr.HTML:
    """Adds the head of a chapter to the Blocks being built, which shows the settings in `wants`.

    Of model, class, style, seed, guidance and low_rank; with the last, the record's attention is the one that is set beside the
    exact one.
    """
    return gr.HTML(
        first_record(default_model, "low_rank" in wants),
        html_template=PLACE,
        js_on_load=HEAD,
        name=name,
        wants=wants,
        follows=follows,
        apply_default_css=False,
        elem_id=f"vm-head-{name}",
        elem_classes="vm-chapter",
    )


def foot(name: str) -> None:
    """Adds the ways back and on."""
    gr.HTML(
        html_template=PLACE,
        js_on_load=FOOT,
        name=name,
        apply_default_css=False,
        elem_id=f"vm-foot-{name}",
        elem_classes="vm-chapter",
    )
