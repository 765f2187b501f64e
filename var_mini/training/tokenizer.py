"""Stage one: train the multi-scale tokenizer (reconstruction + quantizer loss, dead codes revived).

The published repository has no code for this stage. Codes die because only chosen codes get a gradient; every
`REVIVE_EVERY` steps the codes that were not chosen since are put where the encoder's residuals really lie.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ..data import to_unit
from ..tokenizer import VQVAE
from .objective import Objective

REVIVE_EVERY = 50
REVIVE_UNTIL = 0.8  # share of training after which codes are left to settle


class TokenizerObjective(Objective[VQVAE]):
    """(step, images) -> (loss, metrics) for the Trainer; images are float (B, channels, S, S) in [-1, 1]."""

    def __init__(self, model: VQVAE, steps: int, mse_weight: float = 1.0, fresh: bool = True):
        super().__init__(model)
        self.mse_weight = mse_weight
        self.fresh = fresh  # whether the codes are still to be placed
        self.revive_until = int(steps * REVIVE_UNTIL)
        K, V = model.pyramid.num_scales, model.config.vocab_size
        # How often each scale chose each code since the last revival. Saved with the run, but no buffer: every process
        # counts for itself, and buffers would be overwritten by the first process's at each step.
        self.usage = torch.zeros(K, V)
        self.candidates: torch.Tensor | None = None  # residual vectors of the last batch

    def forward(self, step: int, images: torch.Tensor):
        f = self.model.encode_raw(images)
        with torch.autocast(images.device.type, enabled=False):  # nearest codes and their gradients in float32
            f = f.float()
            if step == 0 and self.fresh:
                self._data_init(f.detach())
            quantized = self.model.quantize.quantize(f)
            quantizer_loss, straight_through = self.vq_loss(f, quantized.f_hat)
            self._count(f.detach(), quantized, step)
        reconstruction = self.model.decode_raw(straight_through).float()
        mse = F.mse_loss(reconstruction, images)
        loss = self.mse_weight * mse + quantizer_loss
        return loss, {"psnr_train": _psnr(mse.detach()), "quantizer_loss": quantizer_loss.detach()}

    def vq_loss(self, f: torch.Tensor, f_hats: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The quantizer's loss, and what the decoder gets: the last f_hat, with the gradient of f (straight-through)."""
        return self.model.quantize.loss(f, f_hats), f_hats[-1].detach() + f - f.detach()

    def get_extra_state(self) -> torch.Tensor:
        return self.usage

    def set_extra_state(self, state: torch.Tensor) -> None:
        self.usage = state.clone()

    @torch.no_grad()
    def _data_init(self, f: torch.Tensor) -> None:
        """Codes start at feature vectors of the first batch, seen at random scales."""
        codes = self.model.quantize.embedding.weight
        vectors = self._vectors([f] * self.model.pyramid.num_scales)
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(len(vectors), (len(codes),), generator=generator).to(f.device)
        noise = torch.randn(codes.shape, generator=generator).to(f.device) * vectors.std() * 0.05
        codes.copy_(_from_first_process(vectors[chosen] + noise))

    def _vectors(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """One feature map (B, Cvae, side, side) per scale, each seen at its scale: all its vectors, (N, Cvae)."""
        seen = [self.model.quantize.transformer_input(f, k) for k, f in enumerate(maps)]
        return torch.cat([part.flatten(0, 1) for part in seen])

    @torch.no_grad()
    def _count(self, f: torch.Tensor, quantized, step: int) -> None:
        self.usage = self.usage.to(f.device)
        for k, ids in enumerate(quantized.token_ids):  # bincount would make the host wait for a GPU
            flat = ids.flatten()
            self.usage[k].index_add_(0, flat, torch.ones_like(flat, dtype=self.usage.dtype))
        if (step + 1) % REVIVE_EVERY == 0:  # what each scale had to quantize, in this batch
            before = [torch.zeros_like(f), *quantized.f_hat[:-1]]
            self.candidates = self._vectors([f - f_hat for f_hat in before])

    @torch.no_grad()
    def after_step(self, step: int, accelerator) -> None:
        """Moves codes unused in the last REVIVE_EVERY steps onto residual vectors of the current batch."""
        if (step + 1) % REVIVE_EVERY or self.candidates is None:
            return
        usage = accelerator.reduce(self.usage, "sum")
        if step < self.revive_until:
            dead = (usage.sum(0) == 0).nonzero().flatten()
            codes = self.model.quantize.embedding.weight
            generator = torch.Generator().manual_seed(step)
            chosen = torch.randint(len(self.candidates), (len(dead),), generator=generator).to(codes.device)
            codes[dead] = _from_first_process(self.candidates[chosen])
        self.usage.zero_()
        self.candidates = None


class DecoderObjective(Objective[VQVAE]):
    """(step, images) -> (loss, metrics): the decoder alone learns to draw f_hat as it is; encoder, codebook and phi stay.

    Token ids do not change, so a transformer that was trained on them still fits.
    """

    def forward(self, step: int, images: torch.Tensor):
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            f_hat = self.model.quantize.quantize(self.model.encode_raw(images)).f_hat[-1]
        mse = F.mse_loss(self.model.decode_raw(f_hat).float(), images)
        return mse, {"psnr_train": _psnr(mse.detach())}


def _from_first_process(tensor: torch.Tensor) -> torch.Tensor:
    """The first process's value: every process must hold the same codebook."""
    if torch.distributed.is_initialized():
        torch.distributed.broadcast(tensor, 0)
    return tensor


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for images in [-1, 1] (peak-to-peak 2)."""
    return 10 * math.log10(4.0 / max(mse, 1e-12))


def _psnr(mse: torch.Tensor) -> torch.Tensor:
    """The same of a mean squared error that stays on its device."""
    return 10 * (4.0 / mse.clamp(min=1e-12)).log10()


@torch.inference_mode()
def measure_tokenizer(model: VQVAE, images: torch.Tensor, batch_size: int = 500) -> dict:
    """PSNR in dB and codebook use on uint8 test images.

    PSNR is of the mean squared error over all images, on the clamped reconstruction. Returns `psnr_db`,
    `codebook_used` (share of codes chosen at least once) and `codebook_used_per_scale`.
    """
    device = next(model.parameters()).device
    total, used = 0.0, torch.zeros(model.pyramid.num_scales, model.config.vocab_size, dtype=torch.bool, device=device)
    for batch in images.split(batch_size):
        x = to_unit(batch).to(device)
        quantized = model.tokenize(x)
        total += F.mse_loss(model.decode(quantized.f_hat[-1]), x, reduction="sum").item()
        for k, ids in enumerate(quantized.token_ids):
            used[k, ids.flatten().unique()] = True
    return {
        "psnr_db": psnr(total / images.numel()),
        "codebook_used": used.any(0).float().mean().item(),
        "codebook_used_per_scale": used.float().mean(1).tolist(),
    }
