"""The wheel: what is in it, and that it works from any folder once the source is gone."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

import var_mini
from var_mini import checkpoints

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHIPPED = ("var_mini", "demo", "assets", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def run(*command, cwd) -> str:
    """Standard output of a command that knows no path of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the source, which is then deleted."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        source, target = ROOT / name, folder / "source" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (folder / "source" / "assets" / "classifiers" / "things" / "training").mkdir()
    (folder / "source" / "assets" / "classifiers" / "things" / "training" / "state.pt").write_text("left by a training")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source", cwd=folder)
    shutil.rmtree(folder / "source")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs' folder of a fresh environment that has this wheel; other packages it borrows from the one of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    place = Path(run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # a line of a .pth file adds a folder alone, and not what the .pth files in it name: not an editable install of this project
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return programs


@pytest.mark.slow
def test_the_wheel_has_what_library_and_page_read_and_not_the_readme_s_pictures(wheel):
    inside = {name.removeprefix("var_mini/assets/") for name in zipfile.ZipFile(wheel).namelist() if "/assets/" in name}
    for name in checkpoints.available():
        files = {path.name for path in (checkpoints.ASSETS / name).iterdir()}
        assert {f"{name}/{file}" for file in files} <= inside
    for folder in ("samples", "traces", "results", "classifiers"):
        files = [path for path in (checkpoints.ASSETS / folder).rglob("*") if path.is_file() and "training" not in path.parts]
        assert files and {path.relative_to(checkpoints.ASSETS).as_posix() for path in files} <= inside
    everything = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("var_mini/ui/engines", "var_mini/ui/hosts", "demo/live/page", "demo/words"):
        assert {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).iterdir()} <= everything
    assert not [name for name in inside if name.startswith(("figures/", "screenshots/")) or "/training/" in name]


@pytest.mark.slow
def test_metadata_name_one_version_and_a_light_core(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode())
    assert metadata["Version"] == var_mini.__version__ and metadata["License-Expression"] == "MIT"
    core = {r.name for r in map(Requirement, metadata.get_all("Requires-Dist")) if r.marker is None}
    assert core == {"torch", "numpy", "safetensors", "pillow"}
    assert set(metadata.get_all("Provides-Extra")) == {"train", "demo", "notebooks", "heic", "peers", "dev"}


@pytest.mark.slow
def test_the_console_script_draws_from_another_folder(installed, tmp_path):
    assert run(installed / "var-mini", "--version", cwd=tmp_path).split() == ["var-mini", var_mini.__version__]
    run(installed / "var-mini", "generate", "--class", "sneaker", "--seed", "3", "--out", "drawn.png", cwd=tmp_path)
    expected = checkpoints.load("fashion-28").sample_images([7], [3])[0, 0]
    drawn = np.asarray(Image.open(tmp_path / "drawn.png").convert("L"), np.float32) / 255
    assert np.abs(drawn - expected.numpy()).max() <= 0.5 / 255 + 1e-6


@pytest.mark.slow
def test_library_and_page_are_read_from_the_environment_alone(installed, tmp_path):
    code = """
import json, sys
import var_mini, demo.app, demo.links
from var_mini.checkpoints import ASSETS, available
page = demo.app.build("fashion-28")
files = [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] in ("var_mini", "demo")]
print(json.dumps({"models": available(), "blocks": len(page.blocks), "paths": [str(ASSETS), str(demo.links.RECORDED), *files]}))
"""
    told = json.loads(run(installed / "python", "-c", code, cwd=tmp_path).splitlines()[-1])
    assert told["models"] == checkpoints.available() and told["blocks"] > 100
    assert all(Path(path).is_relative_to(installed.parent) for path in told["paths"] if path), told["paths"]
    assert "--port" in run(installed / "var-mini-demo", "--help", cwd=tmp_path)


def lines(name: str) -> set[Requirement]:
    stripped = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {Requirement(line) for line in stripped if line and not line.startswith("-")}


def test_lists_for_pip_and_extras_agree():
    extras = {name: set(map(Requirement, rows)) for name, rows in PROJECT["optional-dependencies"].items()}
    all_but_peers = set(map(Requirement, PROJECT["dependencies"])) | extras["train"] | extras["demo"] | extras["notebooks"]
    wanted = {r for r in all_but_peers if r.name != "var-mini"} | {Requirement("jupyterlab")}
    pinned = {Requirement("torch==2.13.0") if r.name == "torch" else r for r in wanted}
    assert lines("requirements.txt") == pinned
    assert lines("requirements-dev.txt") == extras["dev"]
    space = {r for r in lines("demo/space/requirements.txt") if r.name != "torch"}  # all that the page needs but gradio
    assert space <= set(map(Requirement, PROJECT["dependencies"])) | extras["demo"]


def test_workflow_classifiers_and_citation_agree_with_the_project():
    named = {row.rpartition(" ")[2] for row in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", row)}
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"]
    assert set(workflow["strategy"]["matrix"]["python"]) == named and min(named) == PROJECT["requires-python"].removeprefix(">=")
    commands = [step["run"] for step in workflow["steps"] if "run" in step]
    assert commands == [".ci/run"] and os.access(ROOT / ".ci" / "run", os.X_OK)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"] and {"cff-version", "message", "title", "authors"} <= set(citation)
    assert {work["url"].rpartition("/")[2] for work in citation["references"]} == {"2404.02905", "2501.04377"}


def test_the_lock_fits_every_list_and_names_no_place():
    text = (ROOT / "constraints.txt").read_text()
    assert not any(sign in text for sign in "/@+")  # no address, no build of one machine
    locked = {r.name.lower().replace("_", "-"): r for r in lines("constraints.txt")}
    asked = [Requirement(row) for rows in PROJECT["optional-dependencies"].values() for row in rows]
    for requirement in asked + list(lines("requirements.txt")):
        if requirement.name in ("var-mini", "setuptools", "triton"):  # triton is torch's affair
            continue
        (pin,) = locked[requirement.name.lower().replace("_", "-")].specifier
        assert pin.operator == "==" and pin.version in requirement.specifier, requirement
