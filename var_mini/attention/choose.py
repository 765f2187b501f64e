"""`auto`: the choice of a back end by the number of tokens, the rank and the bound on the logits."""

from __future__ import annotations

from .spec import AttentionSpec

# From how many tokens per feature on a whole generation loop is faster than with a KV cache, measured by
# `python -m var_mini bench scaling` on one CPU thread (assets/results/scaling.json).
TOKENS_PER_FEATURE = {"poly": 16, "landmark": 24}
FEWEST_LANDMARKS = 32  # fewer cost nearly the same, since each scale has a fixed cost, too
# Above these logit bounds the methods are poor approximations: `fashion-28`, which reaches 11.6, loses 2 to 16 points of class
# accuracy (assets/results/error-fashion-28.json).
POLY_BOUND, LANDMARK_BOUND = 2.0, 4.0


def choose(tokens: int, head_dim: int, bound: float, landmarks: list[int]) -> tuple[AttentionSpec, str]:
    """What `auto` stands for: a back end for `tokens` tokens with logits within [-bound, bound], and the reason in words.

    `landmarks` lists the calibrated numbers of landmarks; none where the model has not been calibrated.
    """
    least = {m: max(m, FEWEST_LANDMARKS) * TOKENS_PER_FEATURE["landmark"] for m in landmarks}
    fitting = [m for m in landmarks if least[m] <= tokens]
    if fitting and bound <= LANDMARK_BOUND:
        m = max(fitting)
        reason = f"{tokens} tokens are at least {least[m]}, from where {m} landmarks pay off, and logits stay within {bound:g}"
        return AttentionSpec("landmark", landmarks=m), reason
    poly = AttentionSpec("poly")
    enough = poly.features(head_dim) * TOKENS_PER_FEATURE["poly"] if head_dim <= 64 else 1 << 62
    if bound <= POLY_BOUND and tokens >= enough:
        return poly, f"{tokens} tokens are at least {enough}, from where degree 2 pays off, and logits stay within {bound:g}"
    reason = f"{tokens} tokens are too few for a constant-size state to be faster"
    if fitting:
        reason = f"logits reach {bound:g}, too much for landmarks (up to {LANDMARK_BOUND:g}) and for degree 2"
    elif tokens >= enough:
        reason = f"logits reach {bound:g}, too much for degree 2, and the model has no landmarks that pay off at {tokens} tokens"
    return AttentionSpec(), reason
