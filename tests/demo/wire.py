"""Requests to a served page as a forger would write them, not through a client that tidies them up."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from pathlib import Path
from urllib.parse import urlparse

from demo import guard
from var_mini import checkpoints
from var_mini.config import Sampling

ROOT = Path(__file__).parents[2]
API = "/gradio_api"
PATIENCE = 3600  # seconds for one answer: on a busy machine everything is slow, and nothing here is about speed
JSON = {"Content-Type": "application/json"}


def readable(text) -> None:
    """Fails unless a visitor can read this and learns nothing of the machine."""
    assert isinstance(text, str) and text.strip(), text
    assert len(text) <= guard.LONGEST and "Traceback" not in text and "site-packages" not in text, text
    assert str(ROOT) not in text, text


def forged(path: str) -> dict:
    """A file as the browser names it after an upload, at a path that was never uploaded."""
    return {"path": path, "url": None, "orig_name": "x", "mime_type": None, "size": None, "meta": {"_type": "gradio.FileData"}}


def until(true) -> None:
    """Waits, however long it takes a busy machine."""
    while not true():
        time.sleep(0.02)


class Wire:
    """A connection to a page, `tiny` being the folder of its model, from an address of this machine; `headers` go with it all."""

    def __init__(self, page, tiny: str, source: str = "127.0.0.1", headers: dict | None = None):
        self.page, self.tiny, self.source, self.headers = page, tiny, source, headers or {}
        self.address = urlparse(page.local_url)
        self.wanted = None

    def ask(self, method: str, path: str, body=None, headers=None) -> tuple[int, bytes]:
        """Status and body of the answer. The path goes out exactly as it is written; a body that is no bytes goes as JSON."""
        source, headers = (self.source, 0), self.headers | (headers or {})
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, PATIENCE, source)
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), JSON | headers
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None and "Transfer-Encoding" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(self, name: str, content: bytes) -> tuple[int, bytes]:
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: application/octet-stream'
        body = f"--edge\r\n{head}\r\n\r\n".encode() + content + b"\r\n--edge--\r\n"
        return self.ask("POST", f"{API}/upload", body, {"Content-Type": "multipart/form-data; boundary=edge"})

    def call(self, index: int, data, query: str = "", **more) -> dict:
        """The last output of a listener, over the queue or directly as the browser would, with the `status` of the answer."""
        session = more.get("session_hash") or uuid.uuid4().hex
        body = {"fn_index": index, "data": data, "session_hash": session} | more
        if not self.page.fns[index].queue:
            status, answer = self.ask("POST", f"{API}/run/predict{query}", body)
            return json.loads(answer) | {"status": status}
        status, answer = self.ask("POST", f"{API}/queue/join{query}", body)
        if status != 200:
            return json.loads(answer) | {"status": status}
        _, stream = self.ask("GET", f"{API}/queue/data?session_hash={session}")
        messages = [json.loads(line.removeprefix("data: ")) for line in stream.decode().split("\n\n") if line]
        (done,) = [message for message in messages if message["msg"] == "process_completed"]
        return done["output"] | {"status": 200 if done["success"] else 500}

    def still_right(self) -> None:
        """Draws one image as any visitor would; fails unless it is the library's."""
        if self.wanted is None:
            trace = checkpoints.load(self.tiny).trace(1, 77, Sampling(0.0, 1.0, 0, 1.0))
            self.wanted = [step.token_ids[0].tolist() for step in trace.steps]
        status, answer = self.ask("POST", f"{API}/call/generate", {"data": [self.tiny, 1, 77, 0, 1, 0, 1, "exact"]})
        assert status == 200, answer
        _, stream = self.ask("GET", f"{API}/call/generate/{json.loads(answer)['event_id']}")
        drawn = json.loads(stream.decode().split("event: complete\ndata: ")[1].split("\n")[0])[0]
        assert [scale["ids"] for scale in drawn["scales"]] == self.wanted
