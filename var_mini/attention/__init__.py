"""Attention back ends behind one interface: a running state with `extend(k, v)` and `attend(q)`.

At inference VAR has no mask: scale after scale new keys and values arrive, and the new queries attend to all so
far. Teacher-forced training is the same loop seen at once, which `masked` computes in one pass. A back end is chosen
by name, per call.
"""

from .exact import ExactState, masked_exact
from .polynomial import masked_polynomial
from .state import STATES, AttentionState, masked, new_state

__all__ = ["STATES", "AttentionState", "ExactState", "masked", "masked_exact", "masked_polynomial", "new_state"]
