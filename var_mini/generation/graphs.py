"""Drawing with CUDA graphs: the work of every scale is recorded once and replayed, so that launching it costs nearly nothing.

A small model leaves a GPU idle while the host launches hundreds of kernels a scale. A graph launches them all at once, on fixed
memory: labels and noise are copied into buffers before, ids and pictures read from buffers after. Nothing inside may wait for
the GPU, so what `generate` looks at in every scale, whether logits are finite and denominators positive, is looked at once, at
the end; where it fails, the batch is drawn again by `generate`, which falls back to exact attention or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .. import validate
from ..attention import AttentionSpec
from ..attention.features import FeatureState
from ..config import Sampling
from ..tokenizer import VQVAE
from ..transformer import VAR
from .generate import generate, guided_and_filtered, scale_logits
from .observe import BARE
from .sampling import exponential, noise_generators, pick
from .settings import MAX_BATCH, conditions, labels_and_seeds, styles_per_image
from .trace import Trace

WARM_UPS = 3  # runs before recording: libraries choose kernels and allocate what stays
Recording = Callable[[Callable[[], None]], Callable[[], None]]


class Graphs:
    """One graph a scale for batches of `batch` images, one back end and one sampling setting; draws what `generate` draws.

    `why_not` says in words why there are no graphs (no CUDA device, an operation that cannot be recorded); images are then
    drawn by `generate`. `redrawn` counts the batches that had to be drawn again. `record` turns a function into one that
    replays it, for tests; by default a CUDA graph. Raises torch.OutOfMemoryError where the buffers do not fit.
    """

    def __init__(
        self,
        tokenizer: VQVAE,
        transformer: VAR,
        batch: int = 1,
        sampling: Sampling | None = None,
        attention: str | AttentionSpec = "exact",
        record: Recording | None = None,
    ):
        self.tokenizer, self.transformer = tokenizer, transformer
        self.batch = validate.integer("batch", batch, 1, MAX_BATCH)
        self.sampling = sampling or Sampling()
        self.attention = transformer.resolve(attention)
        self.redrawn = 0
        self.why_not: str | None = None
        self.device = transformer.pos_1LC.device
        if record is None and self.device.type != "cuda":
            self.why_not = f"CUDA graphs need a GPU, the model is on {self.device}"
            return
        try:
            self._build(record or _CUDAGraphs(self.device))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # an operation that waits for the GPU, or a library that cannot be recorded
            self.why_not = f"recording failed: {str(error).splitlines()[0]}"

    def draw(self, label: int | list[int], seed: int | list[int], style=None) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids int64 (B, L) and images float (B, channels, S, S) in [0, 1] of `batch` labels and seeds, on the CPU."""
        config = self.transformer.config
        labels, seeds = labels_and_seeds(label, seed, config.num_classes)
        styles = styles_per_image(style, len(labels), config.num_styles)
        if len(labels) != self.batch:
            raise ValueError(f"batch = {len(labels)}: these graphs were recorded for {self.batch}")
        if self.why_not is None:
            drawn = self._replay(conditions(labels, styles), seeds)
            if drawn is not None:
                return drawn
            self.redrawn += 1
        how = self.sampling, self.attention, BARE
        steps = list(generate(self.tokenizer, self.transformer, labels, seeds, *how, style=styles))
        return torch.cat([step.token_ids for step in steps], 1), Trace(steps=steps).image

    # -- recording ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _build(self, record: Recording) -> None:
        pyramid, device, B = self.transformer.pyramid, self.device, self.batch
        self.guided = self.sampling.guidance > 0
        rows = 2 * B if self.guided else B
        self.label = self.transformer.null_label(rows).to(device)
        self.noise = [torch.ones(B, count, self.transformer.vocab_size, device=device) for count in pyramid.counts]
        self.states = self.transformer.new_states(rows, self.attention, reserve=False)  # what needs a reserve is drawn again
        for state in self.states:
            if isinstance(state, FeatureState):  # the others have nothing to check
                state.unchecked = True
        self.ids: list[torch.Tensor] = [torch.empty(0)] * pyramid.num_scales
        self.fine = self.image = torch.empty(0)
        if device.type == "cuda":
            side = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    for k in range(pyramid.num_scales):
                        self._scale(k)
            torch.cuda.current_stream(device).wait_stream(side)
        self._run = [record(lambda k=k: self._scale(k)) for k in range(pyramid.num_scales)]

    def _scale(self, k: int) -> None:
        """What is recorded: scale k from the buffers, the results kept as attributes."""
        transformer, tokenizer = self.transformer, self.tokenizer
        if k == 0:
            for state in self.states:
                state.clear()
            self.condition = transformer.condition(self.label)
            side = transformer.pyramid.side
            self.f_hat = torch.zeros(self.batch, transformer.z_channels, side, side, device=self.device)
            self.fine = torch.ones((), dtype=torch.bool, device=self.device)
        raw = scale_logits(tokenizer, transformer, k, self.f_hat, self.condition, self.states, self.guided)
        self.fine = self.fine & raw.isfinite().all()
        _, filtered = guided_and_filtered(raw, self.sampling, transformer.pyramid.progress(k))
        self.ids[k] = filtered.argmax(-1) if self.sampling.top_k == 1 else pick(filtered, self.noise[k])
        self.f_hat = self.f_hat + tokenizer.quantize.contribution(self.ids[k], k)
        if k == transformer.pyramid.num_scales - 1:
            self.image = (tokenizer.decode(self.f_hat) + 1) / 2
            for state in self.states:
                if isinstance(state, FeatureState) and state.smallest is not None:
                    self.fine = self.fine & (state.smallest > 0)  # false of NaN, too

    # -- replaying ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _replay(self, label: torch.Tensor, seeds: list[int]) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Ids and images; None where something was not finite or a denominator not positive."""
        self.label.copy_(torch.cat([label, self.transformer.null_label(len(label) if self.guided else 0)]))
        generators = noise_generators(seeds)
        for k, noise in enumerate(self.noise):  # the GPU works on one scale while the host draws the noise of the next
            if self.sampling.top_k != 1:
                noise.copy_(exponential(generators, *noise.shape[1:]))
            self._run[k]()
        if not self.fine:
            return None
        return torch.cat(self.ids, 1).cpu(), self.image.cpu()


class _CUDAGraphs:
    """Records functions as CUDA graphs that share one pool of memory, to be replayed in the order of recording."""

    def __init__(self, device: torch.device):
        self.device, self.pool = device, torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device):
            torch.cuda.synchronize()
            with torch.cuda.graph(graph, pool=self.pool):
                function()
        return graph.replay
