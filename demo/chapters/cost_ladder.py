"""One class drawn by trained models of growing resolution, exact against low-rank; where there are none, nothing is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import gradio as gr
import numpy as np
from PIL import Image

from var_mini import checkpoints, validate
from var_mini.attention import AttentionSpec
from var_mini.cost.trained import LADDER, time_image
from var_mini.view.images import enlarge, to_uint8

from .. import links, models, runs, stale, wording
from ..errors import readable
from . import compare, cost_view
from .gallery import data_uri

BACKENDS = ("exact", "landmark-32")
ROUNDS = 3  # timed runs of a picture
SHOWN = 192  # least pixels of a picture


@dataclass(frozen=True)
class Picture:
    """One model's picture with one back end, and what it cost."""

    name: str
    attention: str
    pixels: np.ndarray
    row: dict  # of var_mini.cost.trained.time_image


def offered() -> tuple[str, ...]:
    """The trained models of the ladder that are there, from coarse to fine."""
    there = checkpoints.available()
    return tuple(name for name in LADDER if name in there)


def draw(label, seed, request: gr.Request = None) -> Iterator[str]:
    """Yields the pictures so far, after every model and back end."""
    language, names = wording.language(request), offered()
    try:
        if not names:
            raise ValueError(f"model = {LADDER[0]!r}: is not there")
        classes = checkpoints.load_config(names[0]).transformer.num_classes
        label = validate.integer("class", label, 0, classes - 1)
        seed = runs.checked_seed(seed)
        pictures: list[Picture] = []
        for name in names:
            for attention in BACKENDS:
                model = models.load_model(name).model
                if _can(model, attention):
                    image = model.sample_images([label], [seed], attention=attention)[0]
                    pictures.append(Picture(name, attention, to_uint8(image), time_image(model, attention, ROUNDS, label)))
                    yield shown(pictures, label, language, len(names) * len(BACKENDS))
        yield shown(pictures, label, language, 0)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise readable(error) from None


def _can(model, attention: str) -> bool:
    try:
        model.transformer.resolve(AttentionSpec.parse(attention))
    except ValueError:
        return False  # trained without landmarks
    return True


def shown(pictures: list[Picture], label: int, language: str, total: int) -> str:
    """A column per model, a picture and its numbers per back end; `total` is 0 once all are drawn."""
    columns = []
    for name in dict.fromkeys(picture.name for picture in pictures):
        config, mine = checkpoints.load_config(name), [picture for picture in pictures if picture.name == name]
        pixels, tokens = config.tokenizer.image_size, config.pyramid.tokens
        title = wording.text("cost_ladder_size", language, pixels=pixels, tokens=f"{tokens:,}")
        subject = wording.named(config.class_name(label), language)
        figures = "".join(_figure(picture, subject, pixels, language) for picture in mine)
        columns.append(f'<section data-model="{escape(name)}"><h4>{escape(title)}</h4><div>{figures}</div></section>')
    if total:
        note = wording.text("cost_ladder_drawing", language, done=len(pictures), total=total)
    else:
        guided = all(checkpoints.load_config(picture.name).sampling.guidance > 0 for picture in pictures)
        condition = wording.condition(language, "", **models.timed(), guided=guided)
        note = wording.text("cost_ladder_done", language, condition=condition, rounds=ROUNDS)
    return f'<p class="vm-cost-note" role="status">{escape(note)}</p><div class="vm-cost-ladder">{"".join(columns)}</div>'


def _figure(picture: Picture, subject: str, pixels: int, language: str) -> str:
    name, row = cost_view.method_name(picture.attention, language), picture.row
    uri = data_uri(Image.fromarray(enlarge(picture.pixels, len(picture.pixels) * -(-SHOWN // len(picture.pixels)))))
    alt = wording.text("cost_ladder_alt", language, subject=subject, pixels=pixels, name=name)
    facts = [
        ("row_total", _milliseconds(row["seconds"], language)),
        ("cost_row_share", f"{row['attention_share']:.0%}"),
        ("row_state", compare.size(row["state_bytes"])),
    ]
    listed = "".join(f"<dt>{escape(wording.text(key, language))}</dt><dd>{escape(value)}</dd>" for key, value in facts)
    return f'<figure><img src="{uri}" alt="{escape(alt)}"><figcaption>{escape(name)}</figcaption><dl>{listed}</dl></figure>'


def _milliseconds(seconds: float, language: str) -> str:
    return wording.text("milliseconds", language, value=cost_view.number(1000 * seconds))


def build() -> None:
    """Adds the part to the chapter being built, if there is a model for it."""
    names, t = offered(), wording.shown
    if not names:
        return
    config = checkpoints.load_config(names[0])
    gr.Markdown(f"### {t('cost_ladder')}")
    gr.Markdown(t("cost_ladder_intro"))
    with gr.Row(elem_classes="vm-controls"):
        first, seed_first, _ = links.first_choice(names[-1])
        label = gr.Dropdown(models.class_choices(config), value=first, label=t("class"), scale=3, min_width=150)
        seed = gr.Number(seed_first, label=t("seed"), scale=1, min_width=90)
        button = gr.Button(t("cost_draw_ladder"), scale=2, min_width=160, elem_id="vm-cost-draw-ladder")
        stop = gr.Button(t("stop"), scale=1, min_width=80)
    pictures = gr.HTML(elem_id="vm-cost-pictures", elem_classes="vm-cost-part", apply_default_css=False)
    running = button.click(
        draw,
        [label, seed],
        pictures,
        concurrency_id="model",
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
        api_name="draw_ladder",
    )
    stop.click(None, cancels=[running])
    stale.follow([label, seed], [pictures])
