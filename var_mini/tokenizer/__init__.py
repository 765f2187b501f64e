"""The multi-scale tokenizer: image <-> K token maps."""

from .quantizer import MultiScaleQuantizer
from .vqvae import VQVAE

__all__ = ["VQVAE", "MultiScaleQuantizer"]
