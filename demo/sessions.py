"""What Gradio remembers of a visitor, without what this page has no use for."""

from __future__ import annotations

from gradio.state_holder import SessionState, StateHolder


class Slim(SessionState):
    """The choices that a visitor's controls have now, by which Gradio checks what they send, and nothing else.

    Gradio also keeps a copy of the page's whole configuration for every visitor, 0.3 MB, and in it the last value of every
    component, up to a megabyte: for links that this page does not have.
    """

    def __init__(self, blocks):
        super().__init__(blocks)
        self.config_values = {}

    def __setitem__(self, key: int, value) -> None:
        super().__setitem__(key, value)
        self.config_values = {}

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value) -> None:
        pass


class Sessions(StateHolder):
    """Slim states; the one used longest ago is forgotten first."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Slim(self.blocks)
        return super().__getitem__(session_id)


def slim(app, page) -> None:
    """Makes a Gradio app that serves `page` remember no more than that. To be called before its first visitor."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(page)
