"""Attention back ends behind one interface: a running state with `extend(k, v)` and `attend(q)`.

At inference VAR has no mask: scale after scale new keys and values arrive, and the new queries attend to all so
far. Teacher-forced training is the same loop seen at once, which `masked` computes in one pass. A back end is chosen
by name, per call.
"""

from .backends import has_masked_pass, masked, new_state
from .choose import choose
from .spec import AttentionSpec
from .state import AttentionState

__all__ = ["AttentionSpec", "AttentionState", "choose", "has_masked_pass", "masked", "new_state"]
