"""The commands of `python -m var_mini`, one file each: `add` its options, and `run`. What is heavy is imported when it runs."""
