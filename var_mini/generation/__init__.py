"""Drawing images: sampling, the scale-by-scale generator, and the record of a run."""

from ..config import Sampling
from .generate import generate, normalise, normalise_styles, sample_images
from .trace import ScaleStep, Trace

__all__ = ["Sampling", "ScaleStep", "Trace", "generate", "normalise", "normalise_styles", "sample_images"]
