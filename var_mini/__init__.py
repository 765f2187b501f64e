"""VAR Mini: Visual Autoregressive Modeling (arXiv 2404.02905), small, really trained and explained.

from var_mini import load
model = load("fashion-28")
for step in model.generate(label=7, seed=0):
    print(step.side, step.token_ids)
"""

from .checkpoints import load, load_official
from .generation import Sampling, ScaleStep, Trace
from .model import Model
from .pyramid import ScalePyramid

__version__ = "0.1.0"  # the only place: pyproject.toml reads it
__all__ = ["Model", "Sampling", "ScalePyramid", "ScaleStep", "Trace", "load", "load_official"]
