"""Attention back ends behind one interface: a running state with `extend(k, v)` and `attend(q)`.

At inference VAR has no mask: scale after scale new keys and values arrive, and the new queries attend to all so
far. Teacher-forced training is the same loop seen at once, which `masked` computes in one pass. A back end is chosen
by name, per call.
"""

from .backends import has_masked_pass, masked, new_state
from .calibration import Calibration
from .choose import choose
from .layer import SelfAttention
from .model import BackEnds
from .spec import AttentionSpec
from .state import AttentionState, Observer, attend_through

__all__ = [
    "AttentionSpec",
    "AttentionState",
    "BackEnds",
    "Calibration",
    "Observer",
    "SelfAttention",
    "attend_through",
    "choose",
    "has_masked_pass",
    "masked",
    "new_state",
]
