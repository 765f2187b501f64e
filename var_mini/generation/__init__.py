"""Drawing images: sampling, the scale-by-scale generator, and the record of a run."""

from .generate import generate, sample_images
from .sampling import Sampling
from .trace import ScaleStep, Trace

__all__ = ["Sampling", "ScaleStep", "Trace", "generate", "sample_images"]
