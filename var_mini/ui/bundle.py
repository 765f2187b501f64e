"""The one module that a notebook's widget takes: `python -m var_mini.ui.bundle` writes dist/notebook.js.

esbuild makes it of hosts/notebook.js and all that this imports; npm brings the pinned version. The web hosts need no build: they
load the modules as they are. The same command writes vendor/d3.js, of the parts of d3 that charts use, when asked for by name.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..files import atomic_write
from .modules import FOLDER, imported

ESBUILD = "0.27.7"
FLAGS = ("--bundle", "--format=esm", "--minify", "--target=es2022", "--charset=utf8", "--legal-comments=none")
LIMIT = 300.0  # seconds that npm and esbuild may take together
# npm packages: two that charts use, and what these need themselves
D3 = {
    "d3-scale": "4.0.2",
    "d3-shape": "3.2.0",
    "d3-array": "3.2.5",
    "d3-color": "3.1.1",
    "d3-format": "3.1.3",
    "d3-interpolate": "3.0.2",
    "d3-path": "3.1.1",
    "d3-time": "3.1.1",
    "d3-time-format": "4.1.1",
    "internmap": "2.0.3",
}
D3_PARTS = """
export { scaleLinear, scaleLog } from 'd3-scale';
export { line, symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle } from 'd3-shape';
"""
ENTRY = "hosts/notebook.js"
OUTPUTS = {"notebook": "dist/notebook.js", "d3": "vendor/d3.js"}


def banner() -> str:
    """The bundle's first line: what it was made by, and the hash of all modules that it was made of."""
    digest = hashlib.sha256()
    for name in imported(ENTRY):
        digest.update(name.encode() + b"\0" + (FOLDER / name).read_bytes() + b"\0")
    return f"// esbuild {ESBUILD}, modules {digest.hexdigest()}"


class NoToolError(RuntimeError):
    """npm is not there, or could not bring a package."""


def built(name: str) -> bytes:
    """The content that one of OUTPUTS must have. Raises NoToolError."""
    npm = shutil.which("npm")
    if npm is None:
        raise NoToolError("npm is not installed")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        packages = {"esbuild": ESBUILD, **(D3 if name == "d3" else {})}
        wanted = [f"{package}@{version}" for package, version in packages.items()]
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, *wanted], folder)
        entry, flags = FOLDER / ENTRY, [*FLAGS, f"--banner:js={banner()}"]
        if name == "d3":
            entry, flags = folder / "d3.js", [*FLAGS]
            entry.write_text(D3_PARTS, encoding="utf-8")
        _run([str(folder / "node_modules/.bin/esbuild"), str(entry), *flags, f"--outfile={folder / 'out.js'}"], folder)
        return (folder / "out.js").read_bytes()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NoToolError(f"{Path(command[0]).name} ended with code {done.returncode}: {' '.join(lines[:3])}")


def main(arguments: list[str] | None = None) -> int:
    """Returns 2 after one line on stderr where a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m var_mini.ui.bundle", description="Builds the notebook's bundle.")
    parser.add_argument("name", nargs="?", choices=OUTPUTS, default="notebook", help="what to build (default: %(default)s)")
    name = parser.parse_args(arguments).name
    try:
        content = built(name)
    except (NoToolError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target = FOLDER / OUTPUTS[name]
    target.parent.mkdir(exist_ok=True)
    with atomic_write(target) as path:
        path.write_bytes(content)
    print(f"{target.relative_to(FOLDER)}  {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
