"""Training that is killed, and training on two processes: as real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

COMMON = """
import sys
import torch
from tests.conftest import TINY_TOKENIZER
from var_mini.tokenizer import VQVAE
from var_mini.training import loop
from var_mini.training.tokenizer import TokenizerObjective

def run(out, steps):
    loop.SAVE_SECONDS = 0.2
    tiles = torch.randint(0, 255, (40, 1, 2, 2), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    images = tiles.repeat_interleave(6, 2).repeat_interleave(6, 3)
    torch.manual_seed(0)
    schedule = loop.Schedule(steps=steps, batch_size=8, lr=3e-3, warmup=10, log_every=10)
    trainer = loop.Trainer(TokenizerObjective(VQVAE(TINY_TOKENIZER), steps), schedule, out, precision="no", cpu=True)
    trainer.run(len(images), lambda i: [images[i]])
    return trainer
"""


def environment(tests_folder) -> dict:
    return os.environ | {"PYTHONPATH": str(tests_folder.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def tests_folder(request):
    return request.path.parent.parent


def test_a_killed_training_resumes_from_its_last_save(tests_folder, tmp_path):
    code = COMMON + "run(sys.argv[1], 400)"
    arguments = [sys.executable, "-c", code]
    first = subprocess.Popen([*arguments, str(tmp_path / "killed")], env=environment(tests_folder), stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "state.pt"
    while not state.exists() and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    reached = torch.load(state, weights_only=True)["step"]
    assert 0 < reached < 400  # it really was cut short
    again = subprocess.run(
        [*arguments, str(tmp_path / "killed")], env=environment(tests_folder), capture_output=True, text=True, check=True
    )
    assert f"resumed at step {reached} of 400" in again.stderr
    subprocess.run([*arguments, str(tmp_path / "whole")], env=environment(tests_folder), capture_output=True, check=True)
    killed, whole = (torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("killed", "whole"))
    assert killed["step"] == whole["step"] == 400
    assert all(torch.equal(killed["ema"][name], whole["ema"][name]) for name in whole["ema"])


def test_two_processes_train_the_same_model_as_one(tests_folder, tmp_path):
    """Each process sees half of every batch, so the averaged gradient is that of the whole batch."""
    steps = 30  # before the first revival of dead codes, which draws from one process's half
    subprocess.run(
        [sys.executable, "-c", COMMON + f"run(sys.argv[1], {steps})", str(tmp_path / "one")],
        env=environment(tests_folder), capture_output=True, check=True,
    )  # fmt: skip
    script = tmp_path / "script.py"
    script.write_text(COMMON + f"run({str(tmp_path / 'two')!r}, {steps})\n")
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", str(script)],
        env=environment(tests_folder), capture_output=True, text=True,
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr[-2000:]
    one, two = (torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("one", "two"))
    assert two["step"] == steps
    names = [n for n in one["ema"] if n != "quantize.embedding.weight"]  # codes start from the first half batch
    distance = sum((one["ema"][n] - two["ema"][n]).square().sum().item() for n in names) ** 0.5
    start = sum(one["ema"][n].square().sum().item() for n in names) ** 0.5
    assert distance < 0.1 * start
