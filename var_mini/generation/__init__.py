"""Drawing images: sampling, the scale-by-scale generator, and the record of a run."""

from ..config import Sampling
from .generate import generate, normalise, normalise_styles, sample_images
from .graphs import Graphs
from .trace import ScaleStep, Trace

__all__ = ["Graphs", "Sampling", "ScaleStep", "Trace", "generate", "normalise", "normalise_styles", "sample_images"]
