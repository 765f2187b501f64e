"""`python -m demo`, installed also `var-mini-demo`: reads the command line, checks it, and serves the page until Ctrl-C."""

from __future__ import annotations

import argparse
import socket
import sys

from . import DEFAULT_MODEL
from .hosting import Hosting

COMMAND = "Serves the VAR Mini page: watch a transformer draw an image scale by scale."
HOST_HELP = "address to listen on; 0.0.0.0 makes the page reachable from other machines (default: %(default)s)"
PORT_HELP = "port to listen on (default: %(default)s)"
MODEL_HELP = "model chosen at first: a shipped name, var_d16 (downloaded first), or a checkpoint folder (default: %(default)s)"
DTYPE_HELP = (
    "type of most weights; bfloat16 halves the memory and is fast on a processor with units for it (default: %(default)s)"
)
SHARE_HELP = "also give out a public link for a week, through Gradio's servers; needs the internet"
ROOT_HELP = "path of the page behind a reverse proxy, such as /var-mini"
PROXY_HELP = "address or network of a reverse proxy whose X-Forwarded-... headers are believed; may be given several times"
ALLOWED_HELP = "host name under which the page may be reached, besides addresses and this machine's name; * is any; repeatable"
FRAME_HELP = "origin whose pages may show this one in a frame, such as https://school.example; repeatable"
VISITOR_HELP = "runs of one browser window that may wait at once (default: %(default)s)"
ADDRESS_HELP = "runs of one address, which may be a whole class behind one router, that may wait at once (default: %(default)s)"
MISSING = "demo: the package {name} is not installed: pip install '.[demo]' in the repository"
COMMAND_ERROR = "demo: {error}"


def main(argv: list[str] | None = None) -> int:
    """Serves the page. Returns 2 after one line on stderr where an argument cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=COMMAND)
    parser.add_argument("--host", default="127.0.0.1", help=HOST_HELP)
    parser.add_argument("--port", default=7860, type=int, help=PORT_HELP)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=MODEL_HELP)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help=DTYPE_HELP)
    parser.add_argument("--share", action="store_true", help=SHARE_HELP)
    parser.add_argument("--root-path", default="", help=ROOT_HELP)
    parser.add_argument("--trusted-proxy", action="append", default=[], metavar="ADDRESS", help=PROXY_HELP)
    parser.add_argument("--allowed-host", action="append", default=[], metavar="NAME", help=ALLOWED_HELP)
    parser.add_argument("--frame-ancestor", action="append", default=[], metavar="ORIGIN", help=FRAME_HELP)
    parser.add_argument("--per-visitor", default=Hosting.per_visitor, type=int, help=VISITOR_HELP)
    parser.add_argument("--per-address", default=Hosting.per_address, type=int, help=ADDRESS_HELP)
    options = parser.parse_args(argv)
    try:
        hosting = Hosting(
            options.root_path,
            tuple(options.trusted_proxy),
            tuple(options.allowed_host),
            tuple(options.frame_ancestor),
            options.per_visitor,
            options.per_address,
        )
        check_address(options.host, options.port)
        from . import models  # torch and gradio take seconds to import, so a typing error is reported before
        from .app import launch

        models.compute_in(options.dtype)
        launch(options.model, options.host, options.port, options.share, hosting)
    except ModuleNotFoundError as error:  # installed without the extra that the page needs
        print(MISSING.format(name=error.name), file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(COMMAND_ERROR.format(error=error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it still starts; afterwards Gradio ends the server in an orderly way
        return 130
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
