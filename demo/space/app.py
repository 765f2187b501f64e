"""Starts the page on a Hugging Face Space, which expects it on all addresses of its machine, at port 7860."""

import os

from demo import DEFAULT_MODEL
from demo.app import launch
from demo.hosting import Hosting

# The Space's own proxy stands in front: it decides under which names the page is reached, and its site shows it in a frame. A
# Space is told its own name.
# All visitors seem to come from the proxy, so the limit of an address is that of the whole queue.
SPACE = Hosting(
    allowed_hosts=("*", *filter(None, [os.environ.get("SPACE_HOST")])),
    frame_ancestors=("https://huggingface.co", "https://*.hf.space"),
    per_address=64,
)

if __name__ == "__main__":
    launch(DEFAULT_MODEL, host="0.0.0.0", port=7860, hosting=SPACE)
