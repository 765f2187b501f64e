"""Errors as a visitor should read them: one sentence, no traceback on the page or in the log."""

from __future__ import annotations

import gradio as gr
import torch

from . import wording


def readable(error: Exception) -> gr.Error:
    """The error to raise towards the page."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        text = wording.OUT_OF_MEMORY
    elif isinstance(error, RuntimeError):
        text = wording.RUN_FAILED.format(error=(str(error).splitlines() or [type(error).__name__])[0])
    else:
        text = str(error)
    return gr.Error(text, print_exception=False)
