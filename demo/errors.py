"""Errors as a visitor should read them: one sentence, no traceback on the page or in the log."""

from __future__ import annotations

import gradio as gr
import torch

from . import wording


def message(error: Exception) -> str:
    """What to tell a visitor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return wording.text("out_of_memory")
    if isinstance(error, RuntimeError):
        return wording.text("run_failed", error=(str(error).splitlines() or [type(error).__name__])[0])
    return str(error)


def readable(error: Exception) -> gr.Error:
    """The error to raise towards the page."""
    return gr.Error(message(error), print_exception=False)
