"""Starts the page on a Hugging Face Space, which expects it on all addresses of its machine, at port 7860."""

from demo.app import launch

if __name__ == "__main__":
    launch("fashion-28", host="0.0.0.0", port=7860)
