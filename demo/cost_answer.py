"""Who wins at a side of the last map, in words: made of the recorded times, with the recorded errors of trained models."""

from __future__ import annotations

import math
from html import escape

from var_mini import checkpoints
from var_mini.cost.ladder import official_like

from . import cost_view, models, wording

LOW_RANK, POOLED = ("poly-2", "landmark-32", "landmark-64"), ("pool-2", "pool-4")
TRAINED = ("fashion-28", "fashion-28-bounded")  # models whose errors are recorded: one with large logits, one with small ones


def answer(side: int, head_dim: int, language: str) -> str:
    """Low rank against exact attention at the recorded side that is nearest to `side`; its error; what all that is of."""

    def text(name: str, /, **values) -> str:
        return wording.text(f"cost_answer_{name}", language, **values)

    ratios, whole = _ratios("attention", head_dim), _ratios("transformer", head_dim)
    at = min({one for one, _ in ratios}, key=lambda one: abs(math.log(one / side)))
    low, pooled = (max(methods, key=lambda method: ratios[at, method]) for methods in (LOW_RANK, POOLED))
    ratio, told = ratios[at, low], [] if at == side else [text("near", n=side, side=at)]
    facts = {"side": at, "tokens": f"{official_like(at).tokens:,}", "start": _ahead_from(ratios, low)}
    facts |= {"name": cost_view.method_name(low, language), "whole": f"{whole[at, low]:.2f}"}
    told.append(text("wins" if ratio > 1 else "loses", ratio=f"{max(ratio, 1 / ratio):.2f}", **facts))
    if ratios[at, pooled] > ratio:
        name = cost_view.method_name(pooled, language)
        errors = " / ".join(str(_recorded(model, pooled)["error"]) for model in TRAINED)
        told.append(text("pooled", name=name, ratio=f"{ratios[at, pooled]:.2f}", errors=errors))
    places = "; ".join(text("on", **_recorded(model, low)) for model in TRAINED)
    price = text("error", name=facts["name"], places=places)
    lead = "".join(f'<p class="vm-cost-lead">{escape(line)}</p>' for line in (" ".join(told), price))
    stored = cost_view.stored("scaling")
    machine = wording.text("cost_recorded_on", language, **stored["machine"] | {"threads": stored["threads_timed"]})
    notes = [wording.text("cost_of", language, head_dim=head_dim), machine, *_own(at, language)]
    return f'<div class="vm-cost-answer">{lead}<p class="vm-cost-note">{escape(" ".join(notes))}</p></div>'


def _ratios(what: str, head_dim: int) -> dict[tuple[int, str], float]:
    """(side, method) -> how many times as fast as exact attention with a cache it was recorded."""
    return {(row["side"], row["method"]): row["speedup_vs_exact"] for row in cost_view.recorded_rows(what, head_dim)}


def _ahead_from(ratios: dict[tuple[int, str], float], method: str) -> int | str:
    """The least recorded side at which, as at all larger ones, a method is faster than exact attention."""
    start: int | str = wording.NO_VALUE
    for side in sorted({side for side, _ in ratios}, reverse=True):
        if ratios[side, method] <= 1:
            break
        start = side
    return start


def _recorded(model: str, method: str) -> dict[str, str | int]:
    """What a method errs on a trained model, and what that model is."""
    result, config = cost_view.stored(f"error-{model}"), checkpoints.load_config(model)
    found = result["backends"][method]
    return {
        "model": model,
        "head_dim": config.transformer.head_dim,
        "tokens": config.pyramid.tokens,
        "bound": cost_view.number(max(map(max, result["logit_scales"]))),
        "error": f"{found['median_error_last_scale']:.0%}",
        "same": f"{found['token_agreement']:.0%}",
    }


def _own(side: int, language: str) -> list[str]:
    """A line where a model of this page has the same last map in a pyramid of fewer maps."""
    tokens = official_like(side).tokens
    for config in map(models.offered_config, [models.default(), *models.offered()]):
        own = config.pyramid
        if own.side == side and own.tokens < tokens:
            values = {"model": config.name, "own": own.tokens, "tokens": f"{tokens:,}", "maps": own.num_scales}
            return [wording.text("cost_answer_own", language, side=side, all=official_like(side).num_scales, **values)]
    return []
