"""The process that runs a student's notebook for the grader: it executes cells and calls functions, and judges nothing.

It speaks JSON lines with grade.py: {"cell": source} -> {"submitted": names}; {"call": name, "args": ...} -> an outcome.
The expected results never enter this process, so nothing that a notebook prints or patches can make it right.
"""

from __future__ import annotations

import json
import os
import sys


def limit(memory_mb: int) -> None:
    """Bounds memory and the size of files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    size = memory_mb * 1024 * 1024
    for name, value in (("RLIMIT_DATA", size), ("RLIMIT_FSIZE", 64 * 1024 * 1024), ("RLIMIT_CORE", 0)):
        hard = resource.getrlimit(getattr(resource, name))[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))


def private_streams():
    """The pipes to the grader, moved away from where student code reads and prints."""
    requests, answers = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    return requests, answers


def main() -> None:
    requests, answers = private_streams()
    limit(int(sys.argv[1]))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from .calling import quiet_call
    from .session import submitted
    from .wire import decode, encode

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)

    def answer(request: dict) -> dict:
        if "cell" in request:
            shell.run_cell(request["cell"], store_history=False)
            return {"submitted": sorted(submitted())}
        outcome = quiet_call(submitted()[request["call"]], decode(request["args"]))
        return {**asdict_shallow(outcome), "value": encode(outcome.value)}

    for line in requests:
        try:
            told = json.dumps(answer(json.loads(line)))
        except BaseException as error:  # MemoryError, SystemExit and the like must not end the conversation
            told = json.dumps({"failed": type(error).__name__})
        answers.write(told + "\n")
        answers.flush()


def asdict_shallow(outcome) -> dict:
    return {"fault": outcome.fault, "unsolved": outcome.unsolved, "changed": list(outcome.changed)}


if __name__ == "__main__":
    main()
