"""A model that travels inside a page, as a notebook's widget takes it along: it draws in Node what Python draws."""

import base64
import json
import shutil
import subprocess

import pytest
import torch

from var_mini import checkpoints
from var_mini.ui.embedded import embedded
from var_mini.ui.modules import FOLDER
from var_mini.view.widget import explorer

NODE = shutil.which("node")
ASK = """
import { pathToFileURL } from 'node:url';
const { notebookEngine } = await import(pathToFileURL(process.argv[2]));
let input = '';
for await (const chunk of process.stdin) input += chunk;
const { files, settings } = JSON.parse(input);
const view = (text) => new DataView(new Uint8Array(Buffer.from(text, 'base64')).buffer);
const get = (name) => (name === 'described' ? files[name] : view(files[name]));
const engine = notebookEngine(get, 'it did not come along'), idsOf = (run) => run.scales.map((scale) => scale.ids);
const told = [];
for (const one of settings) told.push(await engine.draw(one).then(idsOf, (error) => error.message));
console.log(JSON.stringify(told));
"""


def drawn(files: dict, settings: list[dict], folder) -> list:
    script = folder / "page.mjs"
    script.write_text(ASK)
    text = {name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in files.items()}
    given = json.dumps({"files": text, "settings": settings})
    done = subprocess.run(
        [NODE, str(script), str(FOLDER / "hosts" / "notebook_engine.js")],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ids_of(trace) -> list:
    return [step.token_ids[0].tolist() for step in trace.steps]


@pytest.mark.skipif(NODE is None, reason="the engine is tested in Node, which is not installed")
@pytest.mark.parametrize("rounded", [True, False])
def test_it_draws_the_tokens_of_python_whether_or_not_its_weights_are_float16(tmp_path, rounded):
    model = checkpoints.load("fashion-28")
    if not rounded:
        with torch.no_grad():
            model.transformer.word_embed.weight.mul_(1 + 2**-13)
    files = embedded(model)
    assert (len(files["weights"]) < 7e6) == rounded  # of about three million numbers
    own = {"label": 7}  # of the only model
    asked = [own | {"seed": seed, "attention": spec} for seed in (0, 1) for spec in ("exact", "landmark-32")]
    expected = [ids_of(model.trace(7, one["seed"], attention=one["attention"])) for one in asked]
    assert drawn(files, asked, tmp_path) == expected


@pytest.mark.skipif(NODE is None, reason="the engine is tested in Node, which is not installed")
def test_where_the_weights_did_not_come_along_one_sentence_says_so(tmp_path):
    files = embedded(checkpoints.load("fashion-28")) | {"weights": b""}
    assert drawn(files, [{"label": 7}], tmp_path) == ["it did not come along"]


def test_a_widget_that_draws_in_the_browser_takes_model_and_engine_along_and_another_one_does_not():
    model = checkpoints.load("fashion-28")
    trace = model.trace(7, 0)
    alone, along = explorer(model, trace), explorer(model, trace, engine="browser")
    assert along.weights == (checkpoints.find("fashion-28") / checkpoints.WEIGHTS).read_bytes() and along.described["config"]
    assert not alone.weights and alone.described is None
    with pytest.raises(ValueError, match="engine = 'server': must be one of browser, python"):
        explorer(model, trace, engine="server")


def test_a_model_that_the_engine_cannot_compute_stays_with_python(tiny):
    with pytest.raises(ValueError, match="the engine in JavaScript needs shared AdaLN"):
        explorer(tiny, tiny.trace(1, 5), engine="browser")
