"""What is looked at while a model draws: the clock, the weights of attention, and what every token was drawn from.

Drawing does not depend on it: an observer is told of things that have happened already.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from .. import validate
from ..attention import AttentionSpec, AttentionState, Observer
from ..pyramid import ScalePyramid
from .trace import TOP_CANDIDATES, ScaleStep


@dataclass(frozen=True)
class Record:
    """What to keep of a run beside its tokens and f_hat."""

    capture: str = "none"  # or "blocks", attention mass per scale, layer and head, or "full", all weights
    details: bool = True  # entropy, probabilities and candidates of every token
    partial_images: bool = True  # the f_hat of every scale decoded, or the last one only
    keep_logits: bool = False  # each scale's guided logits (B, n, V)
    timed: bool = True  # wait for a GPU before every reading of the clock; without it times mean nothing

    def __post_init__(self) -> None:
        validate.one_of("capture", self.capture, ("none", "blocks", "full"))


BARE = Record(details=False, partial_images=False, timed=False)


class Clock:
    """Seconds of a clock; with `wait`, after the work queued on a GPU is done."""

    def __init__(self, device: torch.device, wait: bool = True):
        self.device = device if wait and device.type in ("cuda", "mps") else None

    def __call__(self) -> float:
        if self.device is not None:
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()


class TimedState:
    """An attention state with a clock around it: the seconds from the coming of the keys to the answer to the queries."""

    def __init__(self, state: AttentionState, clock: Clock):
        self.state, self.clock = state, clock
        self.begin = self.seconds = 0.0

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> None:
        self.begin = self.clock()
        self.state.extend(k, v)

    def attend(self, q: torch.Tensor) -> torch.Tensor:
        out = self.state.attend(q)
        self.seconds += self.clock() - self.begin
        return out

    def __getattr__(self, name: str):
        return getattr(self.state, name)


class Recorder:
    """Makes one ScaleStep of every scale of a run of `images` images."""

    def __init__(self, record: Record, images: int, pyramid: ScalePyramid, attention: AttentionSpec, device: torch.device):
        self.record, self.images, self.pyramid, self.attention = record, images, pyramid, attention
        self.clock = Clock(device, record.timed)
        self.states: list[TimedState] = []
        self.captured: list[torch.Tensor] = []

    @property
    def reserve(self) -> bool | None:
        """What `new_states` is to keep: weights need the keys, which a low-rank state would not keep by itself."""
        return True if self.record.capture != "none" else None

    @property
    def observer(self) -> Observer | None:
        return self._capture if self.record.capture != "none" else None

    def around(self, states: list[AttentionState]) -> list[TimedState]:
        self.states = [TimedState(state, self.clock) for state in states]
        return self.states

    def begin(self) -> None:
        """A scale begins."""
        self.captured = []
        for state in self.states:
            state.seconds = 0.0
        self.begun = self.clock()

    def drawn(self) -> None:
        """Its tokens are drawn; what follows is the decoder."""
        self.at = self.clock()

    def step(self, k: int, ids, f_hat, image, logits, filtered) -> ScaleStep:
        """Its image, if any, is decoded: all that was asked for of scale k."""
        decoded, states = self.clock(), self.states
        attention = sum(state.seconds for state in states)
        step = ScaleStep(
            index=k,
            side=self.pyramid.patch_nums[k],
            token_ids=_to_host(ids),
            f_hat=_to_host(f_hat),
            image=None if image is None else _to_host(image),
            seconds_attention=attention,
            seconds_transformer=self.at - self.begun - attention,
            seconds_decoder=decoded - self.at,
            backend=str(self.attention),
            state_bytes=sum(state.state_bytes for state in states),
            reserve_bytes=sum(state.reserve_bytes for state in states),
            rank=states[0].rank,
            fallbacks=sum(state.fallbacks for state in states),
        )
        if self.record.keep_logits:
            step.logits = _to_host(logits)
        if self.record.details:
            step.smallest_denominator = _smallest(states)
            _describe(step, filtered, ids)
        if self.captured:
            step.attention = torch.stack(self.captured, 1)  # (B, layers, H, ...)
            step.attention_kind = self.record.capture
        return step

    def _capture(self, layer: int, state: AttentionState, q, k, v) -> None:
        weights = state.weights(q)[: self.images]  # the conditional half, where guidance doubled the batch
        if self.record.capture == "blocks":  # mass on each scale so far, mean over the queries
            scales = self.pyramid.scales_in(weights.shape[-1])
            parts = weights.split(self.pyramid.counts[:scales], dim=-1)
            weights = torch.stack([p.sum(-1).mean(-1) for p in parts], -1)
        self.captured.append(_to_host(weights.float()))


def _to_host(x: torch.Tensor) -> torch.Tensor:
    """On the CPU; but a meta tensor, which has a shape and a device only, stays what it is."""
    return x if x.device.type == "meta" else x.cpu()


def _smallest(states: list[TimedState]) -> float | None:
    known = [d for d in (state.smallest_denominator for state in states) if d is not None]
    return min(known, default=None)


def _describe(step: ScaleStep, filtered: torch.Tensor, ids: torch.Tensor) -> None:
    """Entropy, probability of the drawn code and the most likely codes, of the distribution really sampled from."""
    log_p = filtered.log_softmax(-1)
    p = log_p.exp()
    step.entropy = _to_host(-(p * log_p.nan_to_num(neginf=0.0)).sum(-1))
    step.probability = _to_host(p.gather(-1, ids.unsqueeze(-1)).squeeze(-1))
    top = p.topk(min(TOP_CANDIDATES, p.shape[-1]), dim=-1)
    step.top_ids, step.top_probability = _to_host(top.indices), _to_host(top.values)
