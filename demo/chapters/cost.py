"""The chapter that measures time as resolution grows: recorded curves, a measurement by the visitor, closed forms, a roofline."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from html import escape

import gradio as gr

from var_mini import validate
from var_mini.cost import live
from var_mini.cost.roofline import DEVICES

from .. import charts, fold, scripts, wording
from ..errors import message, readable
from ..events import event_field
from . import cost_ladder, cost_view, frame

SECONDS = 20.0  # of one measurement: others wait for the worker
SIDES = (8, 12, 16, 24, 32)  # chosen at first; live.SIDES has all
CHOSEN = {
    "attention": ("exact", "exact-uncached", "poly-2", "landmark-32"),
    "transformer": ("exact", "exact-uncached", "poly-2", "landmark-32"),
    "raster": ("raster", "raster-cached", "var-cached", "var-poly-2"),
}
FIRST = ("attention", 16)  # what is shown at first: kind, and the head dimension of the model that the page opens with
FINAL_SIDES = (4, 96)
FINAL_SIDE = 32
# the chart, who wins at a side of the last map, and the points measured here, which are the component's value {rows}; what else
# is about that side or about what is timed follows by the events `side` and `kind`
TELL = "{ side: (side) => trigger('side', { side }), kind: (what, head_dim) => trigger('kind', { what, head_dim }) }"
ANSWER = scripts.MODULE + f".then((host) => host.cost(element, props, watch, {TELL}));"
SENT = ("what", "head_dim", "side", "method", "median_s")  # of a measured row, to the chart
KEPT = 256  # visitors whose measurement can be stopped, and those whose results are kept

_STOPS: OrderedDict[str, threading.Event] = OrderedDict()  # session -> set when its visitor wants to stop
_MEASURED: OrderedDict[str, dict[str, list]] = OrderedDict()  # session -> rows by kind
_LOCK = threading.Lock()


# -- a measurement ---------------------------------------------------------------------------------------------------


def prepare(what, head_dim, sides, methods, request: gr.Request = None) -> str:
    """Checks what is asked for and makes it stoppable before its turn comes; the status line."""
    try:
        asked = live.Sweep.checked(what, head_dim, sides, methods)
    except ValueError as error:
        raise readable(error) from None
    session = _session(request)
    with _LOCK:
        if session not in _STOPS or _STOPS[session].is_set():  # what is going on goes on listening to its own
            _STOPS[session] = threading.Event()
        _STOPS.move_to_end(session)
        while len(_STOPS) > KEPT:
            _STOPS.popitem(last=False)
    return _status(wording.text("cost_waiting", wording.language(request)), 0, len(asked.sides) * len(asked.methods))


def stop(request: gr.Request = None) -> None:
    """Ends this visitor's measurement at the next scale; the measurement itself then says so."""
    with _LOCK:
        wish = _STOPS.get(_session(request))
    if wish is not None:
        wish.set()


def measure(what, head_dim, sides, methods, request: gr.Request = None) -> Iterator[tuple[dict, str, str]]:
    """Yields what this visitor has measured so far, for the chart; slopes and speed-ups of it; and the status line."""
    language, session = wording.language(request), _session(request)
    try:
        asked = live.Sweep.checked(what, head_dim, sides, methods)
    except ValueError as error:
        raise readable(error) from None
    with _LOCK:
        wish = _STOPS.setdefault(session, threading.Event())
    begin, progress = time.monotonic(), live.Progress(len(asked.sides) * len(asked.methods))

    def shown(text: str) -> tuple[dict, str, str]:
        rows = progress.rows
        _keep(session, _key(what, head_dim), rows)
        done = progress.done if progress.finished else len(rows)
        return points_of(request), cost_view.measured(what, head_dim, rows, language), _status(text, done, progress.total)

    try:
        for progress in live.sweep(asked, SECONDS, wish.is_set, cost_view.device(what)):
            if progress.rows:
                yield shown(_so_far(progress, language))
        yield shown(_outcome(progress, time.monotonic() - begin, language))
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        yield shown(message(error))
        raise readable(error) from None


def _session(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", None))


def _keep(session: str, key: str, rows: list) -> None:
    with _LOCK:
        _MEASURED.setdefault(session, {})[key] = rows
        _MEASURED.move_to_end(session)
        while len(_MEASURED) > KEPT:
            _MEASURED.popitem(last=False)


def measured_by(request: gr.Request | None, what: str, head_dim: int) -> list:
    """What this visitor has measured of a kind."""
    with _LOCK:
        return _MEASURED.get(_session(request), {}).get(_key(what, head_dim), [])


def points_of(request: gr.Request | None) -> dict:
    """The points of every kind that this visitor has measured, as the chart takes them."""
    with _LOCK:
        kinds = _MEASURED.get(_session(request), {})
        return {"rows": [{name: row[name] for name in SENT} for rows in kinds.values() for row in rows]}


def _key(what: str, head_dim: int) -> str:
    return f"{what}-{head_dim}"


def _so_far(progress: live.Progress, language: str) -> str:
    row = progress.rows[-1]
    values = {"side": row["side"], "tokens": f"{row['tokens']:,}", "milliseconds": cost_view.number(1000 * row["median_s"])}
    name = cost_view.method_name(row["method"], language)
    return wording.text("cost_progress", language, done=progress.done, total=progress.total, name=name, **values)


def _outcome(progress: live.Progress, seconds: float, language: str) -> str:
    name = "cost_stopped" if progress.stopped else "cost_finished" if progress.finished else "cost_time_up"
    values = {"done": len(progress.rows), "total": progress.total, "seconds": f"{seconds:.1f}"}
    told = [wording.text(name, language, **values)]
    if progress.left_out and not progress.stopped:
        sides: dict[str, list[str]] = {}
        for point in progress.left_out:
            sides.setdefault(point["method"], []).append(str(point["side"]))
        points = [
            wording.text("cost_left_point", language, name=cost_view.method_name(method, language), sides=", ".join(found))
            for method, found in sides.items()
        ]
        told.append(wording.text("cost_left_out", language, points=" \u00b7 ".join(points)))
    return " ".join(told)


def _status(text: str, done: int, total: int) -> str:
    share = f'<progress max="{total}" value="{done}" aria-label="{done} / {total}"></progress>' if total else ""
    return f'<div class="vm-cost-status" role="status">{share}<p>{escape(text)}</p></div>'


# -- what the controls show ------------------------------------------------------------------------------------------


def show(before, event: gr.EventData, request: gr.Request = None) -> tuple:
    """Another kind or head dimension: (what, head_dim, methods on offer, slopes and speed-ups); `before` was the kind until now.

    The methods stay as they are chosen where only the head dimension is another.
    """
    language = wording.language(request)
    try:
        what, head_dim = event_field(event, "what"), event_field(event, "head_dim")
        what = validate.one_of("what", what, live.METHODS)
        dims = live.HEAD_DIMS[what]
        head_dim = dims[0] if len(dims) == 1 else int(validate.one_of("head_dim", str(head_dim), [str(d) for d in dims]))
    except ValueError as error:
        raise readable(error) from None
    same = {what, before} <= {"attention", "transformer"}
    methods = gr.skip() if same else gr.update(choices=_method_choices(what, language), value=list(CHOSEN[what]))
    return what, head_dim, methods, cost_view.measured(what, head_dim, measured_by(request, what, head_dim), language)


def show_counts(event: gr.EventData, request: gr.Request = None) -> str:
    """The closed forms at one final side."""
    try:
        return cost_view.counted(validate.integer("n", event_field(event, "side"), *FINAL_SIDES), wording.language(request))
    except ValueError as error:
        raise readable(error) from None


def show_roofline(device, head_dim, request: gr.Request = None) -> str:
    """The roofline of a device at a head dimension."""
    try:
        name = validate.one_of("device", device, DEVICES)
        head_dim = int(validate.one_of("head_dim", str(head_dim), [str(d) for d in cost_view.ROOFLINE_HEAD_DIMS]))
    except ValueError as error:
        raise readable(error) from None
    return cost_view.modelled(name, head_dim, wording.language(request))


def open_page(request: gr.Request = None) -> list:
    """Everything that Python writes, in the visitor's language."""
    language, (what, head_dim) = wording.language(request), FIRST
    return [
        gr.update(choices=_method_choices(what, language)),
        cost_view.measured(what, head_dim, [], language),
        _status(wording.text("cost_ready", language, seconds=f"{SECONDS:g}"), 0, 0),
        cost_view.counted(FINAL_SIDE, language),
        cost_view.modelled(next(iter(DEVICES)), FIRST[1], language),
        roofline_fold(language),
    ]


def roofline_fold(language: str = "en") -> str:
    """The fold over the roofline and its controls."""
    return fold.fold("modelled", wording.text("cost_modelled", language))


def _method_choices(what: str, language: str = "en") -> list[tuple[str, str]]:
    return [(cost_view.method_name(method, language), method) for method in live.METHODS[what]]


# -- components ------------------------------------------------------------------------------------------------------


def build(default_model: str) -> None:
    """Adds the chapter to the Blocks being built. It needs no model, except for the ladder of trained ones."""
    t, (first_what, first_dim) = wording.shown, FIRST
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    with gr.Column(elem_id="vm-cost"):
        frame.head("cost", default_model)
        part = {"elem_classes": "vm-cost-part", "apply_default_css": False, "js_on_load": fold.KEEP + charts.DRAW}
        answer = gr.HTML(
            {"rows": []}, html_template=frame.PLACE, js_on_load=ANSWER, apply_default_css=False, elem_id="vm-cost-answer"
        )
        what, head_dim = gr.State(first_what), gr.State(first_dim)  # as they are chosen beside the chart

        gr.Markdown(f"### {t('cost_measured')}")
        gr.Markdown(t("cost_measured_intro"))
        with gr.Row(elem_classes="vm-controls"):
            methods = gr.CheckboxGroup(
                _method_choices(first_what),
                value=list(CHOSEN[first_what]),
                label=t("cost_methods"),
                scale=4,
                min_width=260,
                elem_id="vm-cost-methods",
            )
            sides = gr.CheckboxGroup(
                list(live.SIDES),
                value=list(SIDES),
                label=t("cost_sides"),
                scale=2,
                min_width=260,
                elem_id="vm-cost-sides",
            )
        with gr.Row(elem_classes="vm-controls"):
            run_button = gr.Button(t("cost_measure"), variant="primary", scale=2, min_width=140, elem_id="vm-cost-measure")
            stop_button = gr.Button(t("stop"), scale=1, min_width=80, elem_id="vm-cost-stop")
        status = gr.HTML(elem_id="vm-cost-progress", apply_default_css=False)
        details = gr.HTML(elem_id="vm-cost-measured", **part)

        gr.Markdown(f"### {t('cost_counted')}")
        gr.Markdown(t("cost_counted_intro"))
        counts = gr.HTML(elem_id="vm-cost-counted", **part)

        over = gr.HTML(roofline_fold(), apply_default_css=False, elem_classes="vm-fold-over", js_on_load=fold.KEEP)
        with gr.Column():
            gr.Markdown(t("cost_modelled_intro"))
            with gr.Row(elem_classes="vm-controls"):
                gpus = [(d.name, key) for key, d in DEVICES.items()]
                gpu = gr.Radio(gpus, value=next(iter(DEVICES)), label=t("cost_device"))
                gpu_dim = gr.Radio(list(cost_view.ROOFLINE_HEAD_DIMS), value=first_dim, label=t("cost_head_dim"))
            model = gr.HTML(elem_id="vm-cost-modelled", **part)
        cost_ladder.build()
        frame.foot("cost")

    asked = [what, head_dim, sides, methods]
    prepared = run_button.click(prepare, asked, status, **quiet)
    prepared.success(
        measure,
        asked,
        [answer, details, status],
        concurrency_id="model",
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
    stop_button.click(stop, **quiet)
    answer.kind(show, what, [what, head_dim, methods, details], trigger_mode="multiple", **quiet)
    answer.side(show_counts, None, counts, trigger_mode="multiple", **quiet)
    for control in (gpu, gpu_dim):
        control.input(show_roofline, [gpu, gpu_dim], model, **quiet)
    gr.context.Context.root_block.load(open_page, None, [methods, details, status, counts, model, over], **quiet)
