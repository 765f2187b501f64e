"""`python -m demo`: reads the command line, checks it, and serves the page until Ctrl-C."""

from __future__ import annotations

import argparse
import socket
import sys

from . import wording


def main(argv: list[str] | None = None) -> int:
    """Serves the page. Returns 2 after one line on stderr where an argument cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=wording.COMMAND)
    parser.add_argument("--host", default="127.0.0.1", help=wording.HOST_HELP)
    parser.add_argument("--port", default=7860, type=int, help=wording.PORT_HELP)
    parser.add_argument("--model", default="fashion-28", help=wording.MODEL_HELP)
    options = parser.parse_args(argv)
    try:
        check_address(options.host, options.port)
        from .app import launch  # gradio and torch take seconds to import, so a typing error is reported before

        launch(options.model, options.host, options.port)
    except (ValueError, OSError) as error:
        print(wording.COMMAND_ERROR.format(error=error), file=sys.stderr)
        return 2
    return 0


def check_address(host: str, port: int) -> None:
    """Raises ValueError unless a server could listen there now."""
    if not 1 <= port <= 65535:
        raise ValueError(f"port = {port}: must be a whole number from 1 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left by another server is free
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no host name at all
        raise ValueError(f"host = {host!r}, port = {port}: cannot listen there ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
