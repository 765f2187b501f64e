"""Training that is killed, and training on two processes: as real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

pytestmark = pytest.mark.slow
STEPS = 120
COMMON = """
import sys
import torch
from tests.conftest import TINY_TOKENIZER
from var_mini.tokenizer import VQVAE
from var_mini.training import loop
from var_mini.training.schedule import Schedule
from var_mini.training.tokenizer import TokenizerObjective

def run(out, steps):
    loop.SAVE_SECONDS = 0.2
    tiles = torch.randint(0, 255, (40, 1, 2, 2), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    images = tiles.repeat_interleave(6, 2).repeat_interleave(6, 3)
    torch.manual_seed(0)
    schedule = Schedule(steps=steps, batch_size=8, lr=3e-3, warmup=10, log_every=10)
    trainer = loop.Trainer(TokenizerObjective(VQVAE(TINY_TOKENIZER), steps), schedule, out, precision="no", cpu=True)
    trainer.run(len(images), lambda i, _: [images[i]])
    return trainer
"""

# a signal comes to the second process in its sixth step; they ask each other every two
SIGNALLED = """
import os, signal
from var_mini.training.stopping import Stopped

torch.manual_seed(0)
schedule = Schedule(steps=12, batch_size=8, lr=1e-3, warmup=2, log_every=2)
place = sys.argv[1] + "-signalled"
trainer = loop.Trainer(TokenizerObjective(VQVAE(TINY_TOKENIZER), 12), schedule, place, precision="no", cpu=True)
rank = trainer.accelerator.process_index

def batch(indices, _):
    if trainer.step == 5 and rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return [torch.zeros(len(indices), 1, 12, 12)]

try:
    trainer.run(16, batch)
except Stopped:
    with open(f"{place}-{rank}", "w") as file:
        file.write(str(trainer.step))
"""


def environment(tests_folder) -> dict:
    return os.environ | {"PYTHONPATH": str(tests_folder.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def tests_folder(request):
    return request.path.parent.parent


def test_a_killed_training_resumes_from_its_last_save(tests_folder, tmp_path):
    arguments = [sys.executable, "-c", COMMON + f"for out in sys.argv[1:]:\n    run(out, {STEPS})", str(tmp_path / "killed")]
    first = subprocess.Popen(arguments, env=environment(tests_folder), stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "state.pt"
    while not state.exists() and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    reached = torch.load(state, weights_only=True)["step"]
    assert 0 < reached < STEPS  # it really was cut short
    arguments.append(str(tmp_path / "whole"))  # by the same process as the resumed one: torch takes seconds to import
    again = subprocess.run(arguments, env=environment(tests_folder), capture_output=True, text=True, check=True)
    assert f"resumed at step {reached} of {STEPS}" in again.stderr
    killed, whole = (torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("killed", "whole"))
    assert killed["step"] == whole["step"] == STEPS
    assert all(torch.equal(killed["ema"][name], whole["ema"][name]) for name in whole["ema"])


def test_two_processes_stop_after_the_same_step_and_hold_the_same_model_and_learn(tests_folder, tmp_path):
    """A signal to one of them stops both. Of a whole run gradients are averaged, and codes are started and revived alike, so the
    weights stay equal to the last bit.
    """
    script = tmp_path / "script.py"
    ending = "torch.save(trainer.bare.state_dict(), sys.argv[1] + f'-{trainer.accelerator.process_index}.pt')\n"
    script.write_text(COMMON + SIGNALLED + "trainer = run(sys.argv[1], 110)\n" + ending)  # two revivals of dead codes
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    out = tmp_path / "run"
    launched = subprocess.run([*launch, str(script), str(out)], env=environment(tests_folder), capture_output=True, text=True)
    assert launched.returncode == 0, launched.stderr[-2000:]
    first, second = (torch.load(f"{out}-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first if name != "_extra_state")
    rows = (out / "log.csv").read_text().splitlines()
    losses = [float(row.split(",")[3]) for row in rows[1:]]
    assert rows[0].split(",")[3] == "loss" and losses[-1] < 0.8 * losses[0]
    assert [(tmp_path / f"run-signalled-{rank}").read_text() for rank in (0, 1)] == ["6", "6"]
    assert torch.load(tmp_path / "run-signalled" / "state.pt", weights_only=True)["step"] == 6
