"""A tab that nothing watches, for measuring its memory: of a page that Playwright drives, DevTools keep a copy of all that was
downloaded, in the page's own process.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

PAUSE_S = 0.02  # between two looks whether an answer has come


class Tab:
    """One tab, asked by single messages of the DevTools protocol; its network is not recorded."""

    def __init__(self, browser, url: str):
        self._session = browser.new_browser_cdp_session()
        self._session.on("Target.receivedMessageFromTarget", self._received)
        self._target = self._session.send("Target.createTarget", {"url": url})["targetId"]
        attached = self._session.send("Target.attachToTarget", {"targetId": self._target, "flatten": False})
        self._id, self._asked, self._answers = attached["sessionId"], 0, {}
        self._ask("Page.bringToFront")  # browsers slow down what nobody sees

    def _received(self, event: dict) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message

    def _ask(self, method: str, **parameters) -> dict:
        self._asked += 1
        message = json.dumps({"id": self._asked, "method": method, "params": parameters})
        self._session.send("Target.sendMessageToTarget", {"sessionId": self._id, "message": message})
        while self._asked not in self._answers:
            time.sleep(PAUSE_S)
            self._session.send("Browser.getVersion")  # which lets what has come be heard
        return self._answers.pop(self._asked)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression, awaited. Raises RuntimeError where it fails."""
        told = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        found = told.get("result", {})
        if "result" not in found or "exceptionDetails" in found:
            raise RuntimeError(f"{expression[:60]}: {json.dumps(found or told)[:400]}")
        return found["result"].get("value")

    def close(self) -> None:
        self._session.send("Target.closeTarget", {"targetId": self._target})
        self._session.detach()


@contextlib.contextmanager
def unwatched(browser, url: str = "about:blank") -> Iterator[Tab]:
    """A tab on `url`, closed at the end. `browser` is Playwright's, launched by it."""
    tab = Tab(browser, url)
    try:
        yield tab
    finally:
        tab.close()
