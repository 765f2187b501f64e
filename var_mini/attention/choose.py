"""`auto`: the choice of a back end by the number of tokens, the rank and the bound on the logits."""

from __future__ import annotations

from .spec import AttentionSpec

# From how many tokens per feature on a whole generation loop is faster than with a KV cache, measured by
# `python -m var_mini bench scaling` on one CPU thread (assets/results/scaling.json).
TOKENS_PER_FEATURE = {"poly": 16, "landmark": 24}
POLY_BOUND = 2.0  # above this logit bound degree 2 is a poor approximation


def choose(tokens: int, head_dim: int, bound: float, landmarks: list[int]) -> tuple[AttentionSpec, str]:
    """A back end for sequences of `tokens` tokens with logits within [-bound, bound], and the reason in words.

    `landmarks` lists the calibrated numbers of landmarks; none where the model has not been calibrated.
    """
    fitting = [m for m in landmarks if m * TOKENS_PER_FEATURE["landmark"] <= tokens]
    if fitting:
        m = max(fitting)
        least = m * TOKENS_PER_FEATURE["landmark"]
        return AttentionSpec("landmark", landmarks=m), f"{tokens} tokens are at least {least}, from where {m} landmarks pay off"
    poly = AttentionSpec("poly")
    least = poly.rank(head_dim) * TOKENS_PER_FEATURE["poly"] if head_dim <= 64 else 1 << 62
    if bound <= POLY_BOUND and tokens >= least:
        return poly, f"{tokens} tokens are at least {least}, from where degree 2 pays off, and logits stay within {bound:g}"
    reason = f"{tokens} tokens are too few for a constant-size state to be faster"
    if tokens >= least:
        reason = f"logits reach {bound:g}, too much for degree 2, and the model has no landmarks"
    return AttentionSpec(), reason
