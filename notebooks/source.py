"""From one source of a lesson to its student notebook and its solution notebook, not yet executed.

A source is a jupytext percent script. What is generated, so that nothing is written twice:

    badge and set-up cell     at the top of every notebook; the badge and what the set-up cell clones, once there is an address
    cell with tag exercise    the lines between ### BEGIN SOLUTION and ### END SOLUTION become `raise NotImplementedError`
                              in the student notebook; in the solution notebook only the two markers go
    {{exercise NAME}}         in a markdown cell: number, name, difficulty and minutes, from var_mini.checks
    {{help NAME}}             in a markdown cell: the common mistakes that the check knows and the solution, folded
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import jupytext
import nbformat

from notebooks.address import BRANCH, REPOSITORY
from var_mini.checks import find
from var_mini.checks.registry import number_of

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "sources"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
KINDS = ("student", "solution")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

FIND = """\
# Finds VAR Mini{or_installs}. Run this cell first.
import importlib.util
{imports}import sys
from pathlib import Path

for folder in (Path.cwd(), *Path.cwd().parents):  # the notebook lies inside a copy of the repository
    if (folder / "var_mini" / "pyramid.py").is_file():
        sys.path.insert(0, str(folder))
        break
if importlib.util.find_spec("var_mini") is None:
{missing}
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()"""
TELL = """\
    raise ModuleNotFoundError("open this notebook inside a copy of the repository, or pip install FOLDER[notebooks]")"""
INSTALL = """\
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{repository}", "var-mini"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", "./var-mini[notebooks]"], check=True)
    sys.path.insert(0, str(Path("var-mini").resolve()))"""


def sources() -> list[Path]:
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def target(source: Path, kind: str) -> Path:
    """The notebook that a source makes."""
    return (FOLDER / "solutions" if kind == "solution" else FOLDER) / f"{source.stem}.ipynb"


def read(source: Path, kind: str) -> nbformat.NotebookNode:
    """The notebook of a source. Raises ValueError that names what is wrong in the source.

    kind   `student`, `solution`, or `marked`: solutions with the markers around them, which nbgrader takes out itself
    """
    text = source.read_text(encoding="utf-8")
    cells = jupytext.reads(text, fmt="py:percent").cells
    solutions = {name: _solution(cell.source) for cell in cells if (name := _exercise(cell))}
    made = [_markdown(_badge(source, kind), []), _code(_set_up(REPOSITORY), ["setup"])]
    for cell in cells:
        tags = list(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            made.append(_markdown(_filled(cell.source, solutions), tags))
        elif name := _exercise(cell):
            code = {"student": _stub, "solution": _solved, "marked": str}[kind](cell.source)
            made.append(_code(code, tags + ["raises-exception"] * (kind == "student")))
            made[-1].metadata["var_mini"] = {"exercise": name}
        else:
            made.append(_code(cell.source, tags))
    _name_cells(source.stem, made)
    lesson = int(source.stem[:2])
    return nbformat.v4.new_notebook(cells=made, metadata={**KERNEL, "var_mini": {"lesson": lesson, "kind": kind}})


def _set_up(repository: str | None) -> str:
    if repository is None:
        return FIND.format(or_installs="", imports="", missing=TELL)
    missing = INSTALL.format(repository=repository)
    return FIND.format(or_installs=", or installs it where it is missing (Colab)", imports="import subprocess\n", missing=missing)


def _badge(source: Path, kind: str, repository: str | None = REPOSITORY) -> str:
    told = "This copy has the solutions of all exercises." if kind == "solution" else "Exercises are to be written by you."
    if repository is None:
        return f"{told} [All lessons]({'../' * (kind == 'solution')}README.md)"
    path = target(source, kind).relative_to(FOLDER.parent).as_posix()
    colab = repository.replace("https://github.com", "https://colab.research.google.com/github")
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}/blob/{BRANCH}/{path})"
    return f"{badge}\n\n{told} [All lessons]({repository}/tree/{BRANCH}/notebooks)"


def _exercise(cell) -> str | None:
    """The name of the exercise in a cell, which is that of the check in its last line."""
    if cell.cell_type != "code" or "exercise" not in cell.metadata.get("tags", []):
        return None
    last = re.fullmatch(r"checks\.(\w+)\((\w+)\)", cell.source.rstrip().splitlines()[-1])
    if last is None or last[1] != last[2] or BEGIN not in cell.source or END not in cell.source:
        raise ValueError(f"an exercise needs {BEGIN}, {END} and the last line checks.NAME(NAME):\n{cell.source[:300]}")
    return find(last[1]).name


def _parts(source: str) -> tuple[list[str], list[str], list[str]]:
    lines = source.splitlines()
    begin, end = (next(i for i, line in enumerate(lines) if line.strip() == marker) for marker in (BEGIN, END))
    return lines[:begin], lines[begin + 1 : end], lines[end + 1 :]


def _stub(source: str) -> str:
    before, solution, after = _parts(source)
    first = next(line for line in solution if line.strip())  # a solution may begin with a blank line
    indent = re.match(r"\s*", first)[0]
    return "\n".join([*before, f"{indent}raise NotImplementedError", *after])


def _solved(source: str) -> str:
    before, solution, after = _parts(source)
    return "\n".join([*before, *solution, *after])


def _solution(source: str) -> str:
    """The function without its docstring, to be shown folded."""
    before, solution, _ = _parts(source)
    head = re.sub(r'\n\s*""".*?"""', "", "\n".join(before), flags=re.DOTALL)
    return f"{head}\n" + "\n".join(solution)


def _filled(text: str, solutions: dict[str, str]) -> str:
    text = re.sub(r"\{\{exercise (\w+)\}\}", lambda found: _heading(found[1]), text)
    return re.sub(r"\{\{help (\w+)\}\}", lambda found: _help(found[1], solutions), text)


def _heading(name: str) -> str:
    exercise = find(name)
    dots = "●" * exercise.difficulty + "○" * (5 - exercise.difficulty)
    told = f"Difficulty {dots} ({exercise.difficulty} of 5), about {exercise.minutes} minutes."
    return f"### Exercise {number_of(exercise)}: `{name}`\n\n{told}"


def _help(name: str, solutions: dict[str, str]) -> str:
    mistakes = "\n".join(f"- The code {mistake.what}. {mistake.why}" for mistake in find(name).mistakes)
    return (
        f"<details><summary>Common mistakes</summary>\n\n{mistakes}\n\n</details>\n"
        f"<details><summary>Solution</summary>\n\n```python\n{solutions[name]}\n```\n\n</details>"
    )


def _markdown(text: str, tags: list[str]):
    return nbformat.v4.new_markdown_cell(text, metadata={"tags": tags} if tags else {})


def _code(text: str, tags: list[str]):
    return nbformat.v4.new_code_cell(text, metadata={"tags": tags} if tags else {})


def _name_cells(lesson: str, cells: list) -> None:
    """Ids that stay when text is edited or cells are added under another heading."""
    heading, count, taken = "", 0, set()
    for cell in cells:
        found = re.search(r"^#+ .*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            heading, count = found[0], 0
        exercise = cell.metadata.get("var_mini", {}).get("exercise")
        place = f"{lesson}/{heading}/{count}"
        cell.id = f"exercise-{exercise}"[:64] if exercise else hashlib.sha1(place.encode()).hexdigest()[:12]
        if cell.id in taken:
            raise ValueError(f"{lesson}: two headings or exercises are the same: {heading!r}")
        taken.add(cell.id)
        count += 1
