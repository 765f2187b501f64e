"""The training loop both stages share: EMA, log, save and resume, on one device or many (accelerate).

A run is a pure function of its configuration: batch and randomness of step t depend on (seed, t) alone, so a
resumed run continues exactly as if it had never stopped, and only weights, optimizer and the step need saving. (With
several processes, what the others counted of codes since the last revival is forgotten.)
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import math
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from .. import validate
from ..files import atomic_write
from .memory import to_device
from .muon import Muon, cpu_has
from .objective import M, Objective
from .schedule import Schedule
from .stopping import Noted, Stopped, noted_signals

SAVE_SECONDS = 120.0
Batch = Callable[[torch.Tensor, torch.Generator], list[torch.Tensor]]  # indices (n,), and what may be drawn from


def digest(*parts) -> str:
    """A fingerprint of tensors (by their bytes, -0 as 0) and of anything else (by its repr)."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part + 0.0 if part.is_floating_point() else part  # averaging turns -0 into 0, which is the same weight
            sha.update(part.detach().contiguous().cpu().numpy().tobytes())
        else:
            sha.update(repr(part).encode())
    return sha.hexdigest()


def preferred_precision() -> str:
    """Returns "bf16" where matrix units make it several times faster (a GPU that has it, a CPU with AMX), else "no"."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if cpu_has("amx_bf16") else "no"


def _groups(objective: nn.Module, schedule: Schedule) -> tuple[list, list]:
    """Parameters for AdamW (as groups with and without weight decay) and for Muon."""
    embeddings = {id(m.weight) for m in objective.modules() if isinstance(m, nn.Embedding)}
    decayed, plain, hidden = [], [], []
    for name, p in objective.named_parameters():
        squeezed = [s for s in p.shape if s > 1]
        if len(squeezed) <= 1 or id(p) in embeddings or p.ndim == 3:  # biases, norms, scales, position embeddings
            plain.append(p)
        elif schedule.muon_lr and p.ndim == 2 and "blocks." in name:
            hidden.append(p)
        else:
            decayed.append(p)
    return [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}], hidden


class Trainer(Generic[M]):
    """Runs `objective(step, *batch) -> (loss, metrics)`.

    `out` receives `state.pt` (weights, EMA, optimizer; read back with weights_only) and `log.csv`. A run in the same folder
    resumes from the last save. `precision` is "auto", "no" or "bf16"; `cpu` keeps off a GPU. `identity` stands for all else the
    run depends on (see `digest`): a saved state of another identity or schedule is refused instead of continued.
    """

    def __init__(
        self,
        objective: Objective[M],
        schedule: Schedule,
        out: Path | str,
        precision: str = "auto",
        cpu: bool = False,
        identity: str = "",
    ):
        precision = preferred_precision() if precision == "auto" else validate.one_of("precision", precision, ("no", "bf16"))
        # one program may train twice: with another precision, or on another device, which accelerate holds in PartialState
        AcceleratorState._reset_state(reset_partial_state=PartialState._shared_state.get("_cpu", cpu) != cpu)
        parallel = DistributedDataParallelKwargs(find_unused_parameters=True)  # few scales leave some phi unused
        self.accelerator = Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[parallel])
        self.schedule, self.out = schedule, Path(out)
        self.identity = digest(identity, schedule)
        adamw, hidden = _groups(objective, schedule)
        self.optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(adamw, lr=schedule.lr, betas=(0.9, 0.95), fused=True)]
        if hidden:
            self.optimizers.append(Muon(hidden, lr=schedule.muon_lr, weight_decay=schedule.weight_decay))
        self.objective = self.accelerator.prepare_model(objective)
        self.bare = objective  # the same without the wrapper of several processes
        self.ema = {n: p.detach().clone() for n, p in self.bare.model.named_parameters()}
        self.broken = torch.full((), -1, device=self.accelerator.device)  # first step whose gradient was not finite; -1: none
        self.step = 0
        self.saved: int | None = None  # the step that state.pt is of
        self.rows: list[dict] = []
        self.seconds = 0.0  # spent in this run, over all its resumptions

    # -- state -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes state.pt and log.csv, each to a temporary file that is then renamed. Raises ValueError as `check_finite`."""
        self.check_finite()
        if not self.accelerator.is_main_process:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "objective": self.bare.state_dict(),
            "ema": self.ema,
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        self.out.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.out / "state.pt") as path:
            torch.save(state, path)
        self.saved = self.step
        if self.rows:
            with atomic_write(self.out / "log.csv") as path, open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(k for row in self.rows for k in row)))
                writer.writeheader()
                writer.writerows(self.rows)

    def resume(self) -> bool:
        """Continues from state.pt if `out` has one. Raises ValueError where it is unreadable or of another model."""
        path = self.out / "state.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
            if state["identity"] != self.identity:
                raise ValueError(
                    "it was made with other settings, pictures, another tokenizer or from another model; use another --out, or "
                    "remove it"
                )
            self.bare.load_state_dict(state["objective"])
            for name, value in self.ema.items():
                value.copy_(state["ema"][name])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.saved = self.step
        except Exception as error:  # torch raises many kinds here, from pickle errors to shape mismatches
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path} does not hold a state of this training run: {first}") from None
        log = self.out / "log.csv"
        if log.exists():
            self.rows = self._logged(log)
        return True

    def _logged(self, log: Path) -> list[dict]:
        """The rows up to here of an earlier sitting's log. One that was edited or damaged is no reason to lose the run."""
        try:
            with open(log, newline="") as file:
                rows = [row for row in csv.DictReader(file, strict=True) if int(row["step"]) <= self.step]
            if any(None in row for row in rows):
                raise ValueError("a row has more entries than the first line has names")
            return rows
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            warnings.warn(f"{log} is no log of this run and will be written anew, without its old rows: {error!r}", stacklevel=2)
            return []

    def _last_save(self) -> None:
        try:
            self.save()
        except OSError as error:
            raise OSError(f"{error}. Trained to step {self.step} of {self.schedule.steps}; {self._kept()}") from None

    def _kept(self) -> str:
        """What of this run is on disk, in words."""
        if self.saved is None:
            return f"nothing of this run is saved in {self.out}, its {self.step} steps are lost"
        return f"the state in {self.out} is of step {self.saved}, the {self.step - self.saved} steps after it are lost"

    @contextlib.contextmanager
    def averaged(self) -> Iterator[M]:
        """Inside, the model carries the EMA weights."""
        parameters = dict(self.bare.model.named_parameters())
        kept = {n: p.detach().clone() for n, p in parameters.items()}
        with torch.no_grad():
            for n, p in parameters.items():
                p.copy_(self.ema[n])
        try:
            yield self.bare.model
        finally:
            with torch.no_grad():
                for n, p in parameters.items():
                    p.copy_(kept[n])

    @contextlib.contextmanager
    def finished(self) -> Iterator[M]:
        """As `averaged`, for writing what was trained: where that fails, OSError says that the training itself is kept."""
        try:
            with self.averaged() as model:
                yield model
        except OSError as error:
            text = f"{error}. All {self.step} steps are saved in {self.out}: the same command writes the result once it can"
            raise OSError(text) from None

    # -- the loop ----------------------------------------------------------------------------------------------

    def run(
        self,
        count: int,
        batch: Batch,
        validate_every: int = 0,
        validation: Callable[[M], dict[str, float]] | None = None,
        stop_at: int | None = None,
        minutes: float | None = None,
    ) -> bool:
        """Trains to the end of the schedule, to step `stop_at`, or for so many minutes; returns whether the schedule has ended.

        `batch(indices, generator)` returns the tensors of the examples `indices` out of `count`; what it draws from the
        generator depends on seed, step and process alone. On a GPU the examples should lie there, too (see `take`): then a step
        never waits for its result, and numbers are read every `log_every` steps. `validation(model) -> dict` runs with EMA
        weights every `validate_every` steps and at the end; its numbers go into the log.

        Ctrl-C and SIGTERM end it after the running step, saved, with `Stopped`. A save that fails is tried again with the
        next one; the last one raises OSError that says what is lost.
        """
        s, acc = self.schedule, self.accelerator
        smallest = min(s.batch_at(0), s.batch_size, count)
        if smallest < acc.num_processes:
            raise ValueError(f"batch_size = {smallest}: must be at least the {acc.num_processes} processes")
        if self.resume():
            print(f"resumed at step {self.step} of {s.steps}", file=sys.stderr)
        last = min(s.steps, stop_at) if stop_at is not None else s.steps
        with noted_signals() as noted:
            try:
                self._steps(last, count, batch, validate_every, validation, minutes, noted)
                self._last_save()
            except KeyboardInterrupt:
                raise Stopped(f"stopped at once in step {self.step + 1} of {s.steps}; {self._kept()}", signal.SIGINT) from None
        if noted.number and self.step < last:
            text = f"stopped after step {self.step} of {s.steps}, saved in {self.out}; the same command goes on from it"
            raise Stopped(text, noted.number)
        return self.step == s.steps

    def _steps(self, last: int, count: int, batch, validate_every: int, validation, minutes, noted: Noted) -> None:
        s, acc = self.schedule, self.accelerator
        before, started = self.seconds, time.monotonic()
        saved = started
        bar = tqdm(total=s.steps, initial=self.step, disable=not acc.is_local_main_process, mininterval=2, file=sys.stderr)
        until = started + 60 * minutes if minutes is not None else math.inf
        while self.step < last and not self._ending(noted, until):
            mine = s.indices_at(self.step, count)[acc.process_index :: acc.num_processes]
            generator = torch.Generator().manual_seed((s.seed * 1_000_003 + self.step) * 1024 + acc.process_index)
            metrics = self._update([to_device(part, acc.device) for part in batch(mine, generator)])
            self.step += 1
            bar.update(1)
            ended = self.step == s.steps
            if validation and (ended or (validate_every and self.step % validate_every == 0)):
                with self.averaged() as model:
                    metrics = {k: float(v) for k, v in metrics.items()} | validation(model)
            elif not ended and self.step % s.log_every:
                metrics = None
            self.seconds = before + time.monotonic() - started
            if metrics:
                self.check_finite()
                metrics = {k: float(f"{float(v):.5g}") for k, v in metrics.items()}
                row = {"step": self.step, "images": s.examples(self.step, count), "seconds": round(self.seconds, 1)}
                self.rows.append(row | metrics)
                bar.set_postfix(metrics)
            if time.monotonic() - saved > SAVE_SECONDS:
                try:
                    self.save()
                except OSError as error:  # a full disk may have room again by then
                    print(f"not saved at step {self.step}: {error}; the next try is in {SAVE_SECONDS:.0f} s", file=sys.stderr)
                saved = time.monotonic()
        bar.close()

    def _ending(self, noted: Noted, until: float) -> bool:
        """Whether a signal has come or the time is up, here or in any other process: all must stop after the same step.

        Several processes ask each other only every `log_every` steps, since that makes them wait.
        """
        here = [noted.number > 0, time.monotonic() >= until]
        if self.accelerator.num_processes == 1:
            return any(here)
        if self.step % self.schedule.log_every:
            return False
        told = self.accelerator.reduce(torch.tensor(here, device=self.accelerator.device).float(), "sum")
        assert isinstance(told, torch.Tensor)  # as what was given
        signalled, late = told.tolist()
        noted.number = noted.number or (signal.SIGTERM if signalled else 0)
        return bool(signalled or late)

    def check_finite(self) -> None:
        """Raises ValueError where a gradient was not finite, naming the step. Waits for a GPU."""
        step = int(self.broken)
        if step >= 0:
            raise ValueError(f"lr = {self.schedule.lr}: the gradient was not finite at step {step}; a lower value may help")

    def _update(self, batch: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """One step. Nothing here may read a number of the GPU's: the host runs ahead of it and keeps its queue filled."""
        self.objective.train()
        loss, metrics = self._loss(batch)
        self._backward(loss)
        self._optimize()
        return {"loss": loss.detach(), **metrics}

    def _loss(self, batch: list[torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        with self.accelerator.autocast():
            return self.objective(self.step, *batch)

    def _backward(self, loss: torch.Tensor) -> None:
        self.accelerator.backward(loss)

    def _optimize(self) -> None:
        s = self.schedule
        for optimizer, peak in zip(self.optimizers, (s.lr, s.muon_lr)):
            for group in optimizer.param_groups:
                group["lr"] = peak * s.rate(self.step)
        norm = self.accelerator.clip_grad_norm_(list(self.bare.parameters()), s.clip)
        assert norm is not None  # DeepSpeed alone tells none
        self.broken = torch.where(torch.isfinite(norm) | (self.broken >= 0), self.broken, self.broken * 0 + self.step)
        if self.broken.device.type == "cpu":
            self.check_finite()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.bare.after_step(self.step, self.accelerator)
        decay = min(s.ema, (1 + self.step) / (10 + self.step))  # follows closely at first
        names, parameters = zip(*self.bare.model.named_parameters())
        get_ema_multi_avg_fn(decay)([self.ema[name] for name in names], parameters, None)
