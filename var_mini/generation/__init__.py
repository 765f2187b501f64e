"""Drawing images: sampling, the scale-by-scale generator, and the record of a run."""

from ..config import Sampling
from .generate import generate, sample_images
from .graphs import Graphs
from .observe import BARE, Record
from .settings import RunSettings, labels_and_seeds, styles_per_image
from .trace import ScaleStep, Trace

__all__ = [
    "BARE",
    "Graphs",
    "Record",
    "RunSettings",
    "Sampling",
    "ScaleStep",
    "Trace",
    "generate",
    "labels_and_seeds",
    "sample_images",
    "styles_per_image",
]
