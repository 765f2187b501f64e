"""`python -m demo.live build | serve`: the page without a server; `--check` holds it against Python in a real browser."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading

from var_mini import validate

from .build import build
from .serve import serving

COMMAND = "The page without a server: a folder of static files in which the model runs in the visitor's browser."
OUT_HELP = "folder to write; new, empty, or a site built before (default: %(default)s)"
MODEL_HELP = "a shipped model, or a checkpoint folder; may be given several times (default: all shipped ones)"
PORT_HELP = "port on this machine; 0 takes a free one (default: %(default)s)"
CHECK_HELP = "build into a temporary folder, draw there in Chromium, and compare with Python"
SEEDS_HELP = "seeds of every model and kind of attention in --check (default: %(default)s)"
JSON_HELP = "print the figures of --check as JSON"
BUILT = "The site is in {out}: {files} files, {mb:.1f} MB. Any static host serves it."
SERVED = "The site is on {url} (Ctrl-C ends it)."
NOTHING = "what = nothing: must be build, serve or --check"
COMMAND_ERROR = "demo.live: {error}"


def main(argv: list[str] | None = None) -> int:
    """Returns 2 after one line on stderr where an argument cannot be used, 1 where --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m demo.live", description=COMMAND)
    parser.add_argument("what", nargs="?", choices=("build", "serve"))
    parser.add_argument("--out", default="site", help=OUT_HELP)
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help=MODEL_HELP)
    parser.add_argument("--port", type=int, default=8000, help=PORT_HELP)
    parser.add_argument("--check", action="store_true", help=CHECK_HELP)
    parser.add_argument("--seeds", type=int, default=40, help=SEEDS_HELP)
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
    options = parser.parse_args(argv)
    try:
        validate.integer("port", options.port, 0, 65535)
        if options.check:
            from .check import check, told  # needs a browser

            figures = check(options.model or None, options.seeds)
            print(json.dumps(figures) if options.json else told(figures))
            return 0 if figures["sound"] else 1
        if options.what is None:
            raise ValueError(NOTHING)
        out = build(options.out, options.model or None)
        files = [path for path in out.rglob("*") if path.is_file()]
        print(BUILT.format(out=out, files=len(files), mb=sum(path.stat().st_size for path in files) / 1e6))
        if options.what == "serve":
            with serving(out, options.port) as url, contextlib.suppress(KeyboardInterrupt):
                print(SERVED.format(url=url), flush=True)
                threading.Event().wait()
    except (ValueError, OSError, RuntimeError) as error:
        print(COMMAND_ERROR.format(error=error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
