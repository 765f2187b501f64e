"""The lessons: sources, and what builds notebooks from them."""
