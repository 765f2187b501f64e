"""What fast VAR can and cannot do, one short file a paper: the formula, the fast algorithm, the explicit one, and an experiment.

Each module's `experiment()` runs at laptop size and returns plain numbers; `python -m var_mini.theory NAME --json` prints them.
Nothing here proves a theorem: the docstrings say what a paper proves, and on what condition, and what is only measured here.
"""
