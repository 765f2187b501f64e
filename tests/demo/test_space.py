"""The Hugging Face Space: its front matter, its versions, and a copy of it that starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "demo" / "space"
README = (SPACE / "README.md").read_text()


def lines(path: Path) -> list[str]:
    stripped = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in stripped if line and not line.startswith("-")]


@pytest.fixture(scope="module")
def front_matter() -> dict:
    _, head, _ = README.split("---\n", 2)
    return yaml.safe_load(head)


def test_front_matter_says_what_a_space_needs(front_matter):
    assert {"title", "sdk", "sdk_version", "app_file", "python_version", "license"} <= set(front_matter)
    assert front_matter["sdk"] == "gradio" and (SPACE / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60  # the Hub refuses longer ones


def test_versions_agree_with_the_repository_s(front_matter):
    ours = {Requirement(line).name: Requirement(line) for line in lines(ROOT / "requirements.txt")}
    assert front_matter["sdk_version"] in ours["gradio"].specifier
    for line in lines(SPACE / "requirements.txt"):
        assert Requirement(line) == ours[Requirement(line).name], line
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text()).group(1)
    assert front_matter["python_version"] == wanted


@pytest.mark.slow
def test_the_copy_that_the_readme_describes_starts(tmp_path):
    folder = tmp_path / "space"
    folder.mkdir()
    copies = re.findall(r"cp (?:-r )?([^&\n]+) space/", README)
    for name in " ".join(copies).split():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", "training"))
        else:
            shutil.copy(source, folder)
    command = "import app, demo, var_mini; demo.app.build('fashion-28'); print(demo.__file__); print(var_mini.__file__)"
    done = subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "demo/__init__.py"), str(folder / "var_mini/__init__.py")]
