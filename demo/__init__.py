"""The browser page: `python -m demo` serves it. It uses `var_mini` and is used by nothing."""

import os

# Gradio reads these while it is imported, so they are set here, before any file of this package imports it.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # the page makes no outside request
os.environ["GRADIO_RUN_HISTORY"] = "False"  # and keeps no record of runs in the browser
# It would also summarise all runs so far after every run, though nobody may read that here: time and memory for nothing.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"

DEFAULT_MODEL = "things-64"  # the model that the page opens with unless another is asked for
# What Gradio makes of the page, below the first screen and the chapters that var_mini/ui has alone: chapters of the story, which
# ends with limits.py, and what stands beside it. chapters/NAME.py builds each.
STORY, BESIDE = ("masks", "lowrank", "cost", "edit"), ("tokenize", "draw")
CHAPTERS = STORY + BESIDE
