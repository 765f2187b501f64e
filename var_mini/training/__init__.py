"""Training of both stages, and the evaluation of what came out."""
