"""The committed notebooks are what their sources make, hold no error, and run."""

import ast
import os
import re
import subprocess
import sys

import nbformat
import pytest

from notebooks import address
from notebooks.build import MAX_BYTES, execute, faults, for_nbgrader
from notebooks.source import FOLDER, KINDS, _badge, _name_cells, _set_up, _stub, read, sources, target
from var_mini.checks import exercises, find

ALL = [(source, kind) for source in sources() for kind in KINDS]
NAMES = [f"{source.stem}-{kind}" for source, kind in ALL]
RUN = [(source, "solution") for source in sources()] + [(sources()[0], "student")]
FOREIGN = re.compile(r"/(home|root|work|tmp|usr|var|Users)/|[A-Z]:\\\\")  # places of the machine that built them


@pytest.fixture(scope="module", params=ALL, ids=NAMES)
def built(request):
    source, kind = request.param
    return source, kind, nbformat.read(target(source, kind), as_version=4)


def test_a_committed_notebook_is_what_its_source_makes(built):
    source, kind, committed = built
    wanted = read(source, kind)
    assert [(c.id, c.cell_type, c.source, c.metadata) for c in committed.cells] == [
        (c.id, c.cell_type, c.source, c.metadata) for c in wanted.cells
    ], f"run `python -m notebooks.build {source.stem[:2]}`"
    assert committed.metadata["var_mini"] == wanted.metadata["var_mini"]
    nbformat.validate(committed)


def test_a_committed_notebook_has_outputs_and_no_error_but_a_stubs(built):
    _, _, committed = built
    assert faults(committed) == []
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert any("image/png" in out.get("data", {}) for cell in code for out in cell.outputs)


def test_a_committed_notebook_is_small_and_tells_nothing_of_the_machine(built):
    source, kind, committed = built
    assert target(source, kind).stat().st_size <= MAX_BYTES
    for cell in committed.cells:
        for out in cell.get("outputs", []):
            text = str(out.get("text", "")) + str(out.get("traceback", "")) + str(out.get("data", {}).get("text/plain", ""))
            assert not FOREIGN.search(text), (cell.id, FOREIGN.search(text))


def test_every_picture_has_words_for_those_who_do_not_see_it(built):
    _, _, committed = built
    for cell in committed.cells:
        for out in cell.get("outputs", []):
            if "image/png" in out.get("data", {}):
                assert len(out.metadata.get("image/png", {}).get("alt", "")) > 10, cell.id


def test_a_notebook_begins_with_a_link_to_all_lessons_and_the_set_up_cell(built):
    source, kind, committed = built
    head, set_up = committed.cells[:2]
    assert "[All lessons](" in head.source and set_up.metadata["tags"] == ["setup"]
    if address.REPOSITORY is None:
        assert "http" not in head.source + set_up.source and "clone" not in set_up.source
        linked = re.search(r"\[All lessons\]\((.+)\)", head.source)[1]
        assert (target(source, kind).parent / linked).resolve() == FOLDER / "README.md"


def test_a_published_notebook_begins_with_a_badge_and_clones_what_is_missing():
    source = sources()[0]
    for kind, path in (("student", f"notebooks/{source.stem}.ipynb"), ("solution", f"notebooks/solutions/{source.stem}.ipynb")):
        head = _badge(source, kind, "https://github.com/owner/name")
        assert f"(https://colab.research.google.com/github/owner/name/blob/{address.BRANCH}/{path})" in head
        assert f"[All lessons](https://github.com/owner/name/tree/{address.BRANCH}/notebooks)" in head
    code = _set_up("https://github.com/owner/name")
    compile(code, "set-up", "exec")
    assert '"git", "clone"' in code and '"https://github.com/owner/name"' in code


def test_the_set_up_cell_says_what_to_do_where_the_package_is_missing(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-I", "-c", "import importlib.util as u; u.find_spec = lambda name: None\n" + _set_up(None)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1 and "inside a copy of the repository" in ran.stderr


def test_every_exercise_stands_in_the_notebook_of_its_lesson_in_the_order_of_its_number():
    for source in sources():
        lesson = [name for name, exercise in exercises().items() if exercise.lesson == int(source.stem[:2])]
        found = [cell.metadata.get("var_mini", {}).get("exercise") for cell in read(source, "student").cells]
        assert [name for name in found if name] == lesson, source.stem


def test_the_notebook_for_nbgrader_has_an_answer_and_a_graded_check_per_exercise():
    source = next(source for source in sources() if source.stem == "01_pyramid")
    made = for_nbgrader(source)
    lesson = [exercise for exercise in exercises().values() if exercise.lesson == 1]
    cells = {cell.metadata["nbgrader"]["grade_id"]: cell for cell in made.cells if "nbgrader" in cell.metadata}
    assert list(cells) == [f"{part}-{exercise.name}" for exercise in lesson for part in ("answer", "check")]
    for exercise in lesson:
        answer, check = cells[f"answer-{exercise.name}"], cells[f"check-{exercise.name}"]
        assert "### BEGIN SOLUTION" in answer.source and "checks." not in answer.source.splitlines()[-1]
        assert check.source == f"checks.{exercise.name}({exercise.name})"
        assert check.metadata["nbgrader"]["points"] == exercise.difficulty
    nbformat.validate(made)


def test_cell_ids_stay_when_text_changes_and_cells_are_added_elsewhere():
    new = nbformat.v4

    def named(*cells):
        _name_cells("x", cells)
        return [cell.id for cell in cells]

    def title(text):
        return new.new_markdown_cell(text)

    before = named(title("# A"), new.new_code_cell("1"), title("# B"), new.new_code_cell("2"))
    after = named(title("# A"), new.new_code_cell("1, edited"), new.new_code_cell("new"), title("# B"), new.new_code_cell("2"))
    assert after[:2] == before[:2] and after[3:] == before[2:]
    with pytest.raises(ValueError, match="the same"):
        named(title("# A"), title("# A"))


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
def test_every_stub_compiles_and_raises_inside_its_function(source):
    cells = [cell for cell in read(source, "student").cells if "exercise" in cell.metadata.get("var_mini", {})]
    assert cells
    for cell in cells:
        name, body = cell.metadata["var_mini"]["exercise"], ast.parse(cell.source).body
        assert ast.unparse(body[-1]) == f"checks.{name}({name})"
        namespace = {}
        exec(compile(ast.Module(body[:-1], []), name, "exec"), namespace)
        with pytest.raises(NotImplementedError):
            namespace[name](*find(name).inputs(0)[0].values())


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
def test_a_lesson_tells_its_minutes_and_asks_for_predictions(source):
    text = "\n".join(cell.source for cell in read(source, "student").cells if cell.cell_type == "markdown")
    told = re.search(r"^Time: (\d+) minutes with the exercises, (\d+) without\.", text, re.MULTILINE)
    written = sum(exercise.minutes for exercise in exercises().values() if exercise.lesson == int(source.stem[:2]))
    assert abs(int(told[1]) - int(told[2]) - written) <= 2, (told[0], written)
    assert text.count("**Predict.**") == text.count("<details><summary>Answer</summary>")
    assert text.count("**Predict.**") + text.count("**Guess:**") >= 3


def test_a_stub_keeps_the_docstring_and_the_check():
    source = 'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    y = x\n    return y\n    ### END SOLUTION\n\n\nchecks.f(f)'
    wanted = 'def f(x):\n    """Doc."""\n    raise NotImplementedError\n\n\nchecks.f(f)'
    assert _stub(source) == wanted
    assert _stub(source.replace("SOLUTION\n    y = x", "SOLUTION\n\n    def y(): ...")) == wanted  # begins with a blank line


def test_faults_are_told():
    new = nbformat.v4
    error = new.new_output("error", ename="ValueError", evalue="no", traceback=[])
    good = new.new_output("error", ename="NotImplementedError", evalue="", traceback=[])
    stub = {"var_mini": {"exercise": "f"}}
    for kind, metadata, outputs, count in (
        ("student", {}, [error], 1), ("student", {}, [good], 1), ("student", stub, [good], 0), ("student", stub, [], 1),
        ("student", stub, [error], 1), ("solution", stub, [], 0), ("solution", stub, [good], 1),
    ):  # fmt: skip
        cell = new.new_code_cell("x", metadata=metadata, outputs=outputs)
        notebook = new.new_notebook(cells=[cell], metadata={"var_mini": {"kind": kind}})
        assert len(faults(notebook)) == count, (kind, metadata, outputs)


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
def test_what_stands_between_exercises_calls_no_function_that_may_be_a_stub(source):
    """It takes them from `checks.use`, so that a student's notebook reads on; `build` has run it so."""
    for cell in read(source, "student").cells:
        if cell.cell_type == "code" and "exercise" not in cell.metadata.get("var_mini", {}):
            called = [node.func for node in ast.walk(ast.parse(_plain(cell.source))) if isinstance(node, ast.Call)]
            assert not {name.id for name in called if isinstance(name, ast.Name)} & set(exercises()), cell.source


def _plain(code: str) -> str:
    return "\n".join(line for line in code.splitlines() if not line.startswith(("%", "!")))


@pytest.mark.slow
@pytest.mark.parametrize("source, kind", RUN, ids=[f"{source.stem}-{kind}" for source, kind in RUN])
def test_a_notebook_runs(source, kind, tmp_path, monkeypatch):
    """Solutions with all checks passing; a student's, where the stubs alone fail. FAST shortens training, skips nothing."""
    monkeypatch.setenv("VAR_MINI_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    notebook = read(source, kind)
    execute(notebook, tmp_path, widgets=False)
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))
    lesson = [name for name, exercise in exercises().items() if exercise.lesson == int(source.stem[:2])]
    passed = [name for name in lesson if f"{name}: right on all" in printed]
    assert passed == (lesson if kind == "solution" else [])
