"""Errors as a visitor should read them: one sentence in the own language, no traceback on the page or in the log."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import torch

from var_mini import checkpoints

from . import models, translate, wording


def message(error: Exception) -> str:
    """What to tell a visitor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return wording.text("out_of_memory")
    if isinstance(error, RuntimeError):
        return wording.text("run_failed", error=_without_paths((str(error).splitlines() or [type(error).__name__])[0]))
    if isinstance(error, OSError) and error.strerror:
        return wording.text("file_failed", error=error.strerror)
    return _without_paths(translate.sentence(str(error)))


def _without_paths(text: str) -> str:
    """The same without the folders that models lie in: where they are on this machine is nobody's business."""
    for folder in (Path(models.default()).parent, checkpoints.ASSETS):
        if folder.is_absolute():
            text = text.replace(f"{folder}/", "")
    return text


def readable(error: Exception) -> gr.Error:
    """The error to raise towards the page."""
    # the page of Gradio 6 leaves the title unread and writes its own, "Error"; programs are told it
    return gr.Error(message(error), title=wording.text("toast_error"), print_exception=False)
