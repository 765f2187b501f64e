"""Builds the lessons: student and solution notebooks from their sources, executed, with outputs.

python -m notebooks.build            all lessons
python -m notebooks.build 01 03      some
python -m notebooks.build 01 --draft   without executing, to look at the text
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from notebooks.source import KINDS, read, sources, target
from var_mini.checks import find
from var_mini.files import atomic_write

MAX_BYTES = 1_500_000
CELL_SECONDS = 600


def execute(notebook: nbformat.NotebookNode, folder: Path, widgets: bool = True) -> None:
    """Runs all cells in place, with `folder` as the working directory. Raises ValueError on an error that is not a stub's."""
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        startup_timeout=CELL_SECONDS,  # on a busy machine a kernel takes its time, too
        kernel_name="python3",
        record_timing=False,
        store_widget_state=widgets,
        coalesce_streams=True,  # a progress bar as it ended, not each of its states
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ValueError(str(error)) from None
    for told in faults(notebook):
        raise ValueError(told)


def faults(notebook: nbformat.NotebookNode) -> list[str]:
    """Errors among the outputs other than the NotImplementedError of a stub, and stubs that raise none."""
    found = []
    student = notebook.metadata["var_mini"]["kind"] == "student"
    for cell in notebook.cells:
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        stub = student and "exercise" in cell.metadata.get("var_mini", {})
        allowed = stub and [out.ename for out in errors] == ["NotImplementedError"]
        if (errors or stub) and not allowed:
            told = "; ".join(f"{out.ename}: {out.evalue}" for out in errors) or "the stub raised nothing"
            found.append(f"cell {cell.id}: {told}")
    return found


def build(source: Path, kind: str, run: bool = True) -> Path:
    """Writes one notebook. Raises ValueError where a cell fails or the file would be too large."""
    notebook, path = read(source, kind), target(source, kind)
    path.parent.mkdir(exist_ok=True)
    if run:
        execute(notebook, path.parent)
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"{path.name} has {len(text.encode()):,} bytes: at most {MAX_BYTES:,} allowed")
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def for_nbgrader(source: Path) -> nbformat.NotebookNode:
    """A notebook for nbgrader's source folder: each exercise an answer cell and a graded, locked cell with its check."""
    notebook, cells = read(source, "marked"), []
    for cell in notebook.cells:
        name = cell.metadata.get("var_mini", {}).get("exercise")
        cells.append(cell)
        if name:
            answer, _, check = cell.source.rpartition("\n")
            cell.source = answer.rstrip()
            cells.append(nbformat.v4.new_code_cell(check, id=f"check-{name}"[:64]))
            common = {"schema_version": 3, "cell_type": "code", "task": False}
            cell.metadata["nbgrader"] = {
                **common,
                "grade_id": f"answer-{name}",
                "solution": True,
                "grade": False,
                "locked": False,
            }
            points = find(name).difficulty
            graded = {"grade_id": f"check-{name}", "solution": False, "grade": True, "locked": True, "points": points}
            cells[-1].metadata["nbgrader"] = {**common, **graded}
    notebook.cells = cells
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m notebooks.build", description="Builds the lessons.")
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of the lessons, by default all")
    parser.add_argument("--draft", action="store_true", help="do not execute the cells")
    parser.add_argument("--nbgrader", type=Path, metavar="FOLDER", help="write notebooks for nbgrader to this folder instead")
    options = parser.parse_args()
    chosen = [source for source in sources() if not options.lessons or source.name[:2] in options.lessons]
    if not chosen:
        parser.error(f"lessons = {options.lessons}: must be among {', '.join(source.name[:2] for source in sources())}")
    if options.nbgrader:
        for source in chosen:
            path = options.nbgrader / source.stem / f"{source.stem}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(for_nbgrader(source), path)
            print(path)
        return 0
    failed = False
    for source in chosen:
        for kind in KINDS:
            begin = time.perf_counter()
            try:
                path = build(source, kind, not options.draft)
            except ValueError as error:
                failed = True
                print(f"{source.stem} ({kind}): {error}", file=sys.stderr)
            else:
                print(f"{path}  {time.perf_counter() - begin:.0f} s  {path.stat().st_size:,} bytes")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
