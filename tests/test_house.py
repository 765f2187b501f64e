"""The house: which room of var_mini may import which, and how long a file may be.

Imports inside functions and under TYPE_CHECKING count.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "var_mini"
MOST_LOOSE = 12  # files that lie in no room
MOST_LINES = 400  # of a file that somebody reads or changes
WRITTEN = ("*.py", "*.js", "*.mjs", "*.css", "*.md", "words.json", "words/*.json")

# A room is a folder of var_mini, or a file that lies loose in it. Each may import itself and the rooms beside it here, all of
# which stand above it in the table: so arrows run one way.
CORE = "validate files pyramid classes config precision initial attention tokenizer transformer generation model checkpoints data"
MAY_IMPORT = {
    "validate": "",
    "files": "validate",
    "pyramid": "validate",
    "classes": "validate",
    "config": "validate pyramid classes",
    "precision": "validate",
    "initial": "",
    "attention": "validate pyramid config precision",
    "tokenizer": "validate pyramid config precision",
    "transformer": "validate pyramid config precision initial attention",
    "generation": "validate files pyramid config precision attention tokenizer transformer",
    "model": "validate classes config precision attention tokenizer transformer generation",
    "checkpoints": "validate files config precision attention tokenizer transformer model",
    "data": "validate files classes config checkpoints",
    "training": CORE,
    "analysis": f"{CORE} training",
    "cost": f"{CORE} training analysis",
    "theory": f"{CORE} training analysis cost",
    "ui": "files config attention tokenizer model checkpoints",
    "view": f"{CORE} training analysis cost theory ui",
    "checks": f"{CORE} training analysis cost theory",
    "gpu": f"{CORE} training analysis cost",
    "commands": f"{CORE} training analysis cost view gpu",
    "__init__": "pyramid generation model checkpoints",
    "__main__": "__init__ commands",
}
OUTSIDE = {"gradio", "gradio_client", "demo", "notebooks", "tests"}  # what uses the library, which must not use it


def imported(path: Path, package: list[str]) -> set[str]:
    """The full names of all that a file of `package` imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            found |= {".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return found


def graph(house: Path) -> dict[str, set[str]]:
    """Each module of the package -> what it imports: modules of the package, and other packages' by their full names."""
    places = {path: [house.name, *path.relative_to(house).with_suffix("").parts] for path in house.rglob("*.py")}
    modules = {".".join(parts).removesuffix(".__init__"): (path, parts[:-1]) for path, parts in places.items()}

    def module(name: str) -> str:
        return next((known for known in (name, name.rpartition(".")[0]) if known in modules), name)

    return {name: {module(target) for target in imported(*place)} - {name} for name, place in modules.items()}


def room(module: str) -> str:
    return (module.split(".") + ["__init__"])[1]


def forbidden(arrows: dict[str, set[str]]) -> list[str]:
    """The arrows that the table does not have, and those that lead out to what uses the library."""
    every = [(start, end) for start, ends in arrows.items() for end in ends]
    inside = [(a, b) for a, b in every if b in arrows and room(b) not in [room(a), *MAY_IMPORT[room(a)].split()]]
    return sorted(f"{a} -> {b}" for a, b in inside + [(a, b) for a, b in every if b.split(".")[0] in OUTSIDE])


@pytest.fixture(scope="module")
def arrows():
    return graph(HOUSE)


def test_no_module_imports_itself_by_way_of_others(arrows):
    TopologicalSorter(arrows).prepare()  # a CycleError names the circle


def test_every_arrow_is_one_of_the_table(arrows):
    assert forbidden(arrows) == []


def test_the_table_has_every_room_and_lets_it_import_only_rooms_above(arrows):
    assert set(MAY_IMPORT) == {room(module) for module in arrows}
    above = set()
    for name, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= above, name
        above.add(name)


def test_few_files_lie_loose():
    assert len(list(HOUSE.glob("*.py"))) <= MOST_LOOSE


def test_what_is_forbidden_is_seen(tmp_path):
    house = tmp_path / "var_mini"
    for name, text in {
        "config": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .model import Model",
        "model": "def f():\n    from . import config",
        "data/__init__": "def f():\n    from ..view import images",
        "view/images": "import gradio.themes\nfrom demo import app",
    }.items():
        path = house / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = graph(house)
    with pytest.raises(CycleError, match=r"var_mini\.model"):
        TopologicalSorter(found).prepare()
    assert forbidden(found) == [
        "var_mini.config -> var_mini.model",
        "var_mini.data -> var_mini.view.images",
        "var_mini.view.images -> demo.app",
        "var_mini.view.images -> gradio.themes",
    ]


def too_long(root: Path) -> list[str]:
    """The files of the project, by their paths, that have more than MOST_LINES lines.

    Not those of others (vendor), nor the lessons' sources: a lesson is read from its top, and one file makes its notebook.
    """
    folders = ("var_mini", "demo", "notebooks", "tests", "docs")
    files = {path for folder in folders for kind in WRITTEN for path in (root / folder).rglob(kind)} | {*root.glob("*.md")}
    own = [path for path in files if not {"vendor", "sources"} & {*path.relative_to(root).parts}]
    return sorted(p.relative_to(root).as_posix() for p in own if len(p.read_text(encoding="utf-8").splitlines()) > MOST_LINES)


def test_no_file_is_too_long_to_read_at_once():
    assert too_long(ROOT) == []


def test_a_file_that_is_too_long_is_seen(tmp_path):
    lengths = {"demo/words/a.json": 401, "demo/b.js": 400, "demo/vendor/c.js": 401, "notebooks/sources/d.py": 401, "A.md": 401}
    for name, lines in lengths.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n" * lines)
    assert too_long(tmp_path) == ["A.md", "demo/words/a.json"]
