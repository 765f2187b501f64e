"""What Gradio remembers of a visitor, without what this page has no use for."""

from __future__ import annotations

from collections import Counter

from gradio.state_holder import SessionState, StateHolder

from . import visitors


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
    """Slim states. Where there is no room, the address that has most forgets the one that it used longest ago.

    Anybody can make up names of sessions: those of one address must not push out the visitors of all others.
    """

    def __init__(self):
        super().__init__()
        self.address: dict[str, str] = {}  # of a session

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            while len(self.session_data) >= self.capacity:
                self._forget_one()
            self.session_data[session_id] = Slim(self.blocks)
            self.address[session_id] = visitors.CURRENT.get().address
        return super().__getitem__(session_id)

    def _forget_one(self) -> None:
        most, _ = Counter(self.address[session] for session in self.session_data).most_common(1)[0]
        oldest = next(session for session in self.session_data if self.address[session] == most)
        for kept in (self.session_data, self.address, self.time_last_used):
            kept.pop(oldest, None)


def slim(app, page) -> None:
    """Makes a Gradio app that serves `page` remember no more than that. To be called before its first visitor."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(page)
