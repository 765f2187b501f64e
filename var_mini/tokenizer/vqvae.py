"""VQVAE: image <-> token maps, the whole tokenizer."""

from __future__ import annotations

import torch
from torch import nn

from .. import precision, validate
from ..config import TokenizerConfig
from .autoencoder import Decoder, Encoder
from .quantizer import MultiScaleQuantizer, Quantized


class VQVAE(nn.Module):
    """Encoder, multi-scale quantizer and decoder. Images are float (B, channels, S, S) in [-1, 1]."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.pyramid = config.pyramid
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = MultiScaleQuantizer(config)
        self.quant_conv = nn.Conv2d(config.z_channels, config.z_channels, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(config.z_channels, config.z_channels, 3, padding=1)

    def check_image(self, image: torch.Tensor) -> None:
        """Raises ValueError unless `image` is float (B >= 1, channels, S, S) of this tokenizer and finite."""
        size, channels = self.config.image_size, self.config.image_channels
        if not isinstance(image, torch.Tensor) or not image.is_floating_point():
            kind = image.dtype if isinstance(image, torch.Tensor) else type(image).__name__
            raise ValueError(f"image has type {kind}: must be a floating-point torch tensor")
        if image.ndim != 4 or image.shape[0] < 1 or tuple(image.shape[1:]) != (channels, size, size):
            raise ValueError(
                f"image has shape {validate.shown(tuple(image.shape))}: must be (batch >= 1, {channels}, {size}, {size})"
            )
        if image.device.type != "meta" and not torch.isfinite(image).all():
            raise ValueError("image has NaN or infinite values: must be finite, in [-1, 1]")

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Image -> feature map f of shape (B, Cvae, side, side)."""
        self.check_image(image)
        return self.encode_raw(image)

    def encode_raw(self, image: torch.Tensor) -> torch.Tensor:
        """The same without looking at the values first, for which the host would have to wait for a GPU: for training."""
        return self.quant_conv(precision.compute(self.encoder, image))

    def tokenize(self, image: torch.Tensor) -> Quantized:
        """Image -> its K token maps and the f_hat after each scale."""
        return self.quantize.quantize(self.encode(image))

    def decode(self, f_hat: torch.Tensor) -> torch.Tensor:
        """f_hat (B, Cvae, side, side) -> image in [-1, 1].

        A partial image is the decoded f_hat accumulated so far, always at full side.
        """
        return self.decode_raw(f_hat).clamp(-1, 1)

    def decode_raw(self, f_hat: torch.Tensor) -> torch.Tensor:
        """The decoder's output before clamping: what the training loss sees."""
        return precision.compute(self.decoder, self.post_quant_conv(f_hat))
