"""Command line: python -m var_mini generate | train | evaluate | bench | gpu | parity | figure | results | models.

An installed package has it as `var-mini`, too. Each command is a file in commands/.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys

from . import __version__
from .commands import bench, evaluate, figure, generate, gpu, parity, results, train

COMMANDS = (generate, train, evaluate, bench, gpu, parity, figure, results)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0 fine, 1 a comparison failed, 2 bad input, 128 and a signal's number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name of a class need not be in the terminal's encoding
    options = _parser().parse_args(arguments)
    try:
        for name, value in vars(options).items():
            if value == []:  # what argparse makes of --name=--
                raise ValueError(f"{name} = '--': must be a value")
        code = options.run(options) or 0
        sys.stdout.flush()  # while a broken pipe can still be caught
        return code
    except BrokenPipeError:  # whoever read our output has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (ValueError, OSError, MemoryError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"var_mini: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:  # the core needs few packages, the extras bring the others
        print(f"var_mini: the package {error.name} is not installed: pip install '.[train]' in the repository", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"var_mini: {stop}" if str(stop) else "var_mini: stopped", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m var_mini", description="Visual Autoregressive Modeling, small and explained.")
    parser.add_argument("--version", action="version", version=f"var-mini {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
