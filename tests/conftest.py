"""Small untrained models for the tests. What is tested about them does not depend on training."""

import shutil
from pathlib import Path

import pytest
import torch

from var_mini import checkpoints
from var_mini.analysis.parity import fill_by_rule
from var_mini.config import ModelConfig, TokenizerConfig, TransformerConfig
from var_mini.model import Model

SYSTEM_CHROMIUM = "/usr/bin/chromium"
BROWSER_FLAGS = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TINY_TOKENIZER = TokenizerConfig(
    patch_nums=(1, 2, 3),
    image_channels=1,
    vocab_size=24,
    z_channels=4,
    channels=8,
    channel_mult=(1, 2),
    res_blocks=1,
    stem=2,
    attention=False,
    norm_groups=4,
)
TINY_TRANSFORMER = TransformerConfig(depth=2, width=32, heads=2, head_dim=8, num_classes=3)


def awake(model: Model) -> Model:
    """Fills the weights so that every branch matters: fresh weights gate most of a block to nearly nothing."""
    fill_by_rule(model.tokenizer)
    fill_by_rule(model.transformer)
    return model.eval()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: two processes share the files, and short ones at the end leave neither of them idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def tiny() -> Model:
    return awake(Model.build(ModelConfig("tiny", TINY_TOKENIZER, TINY_TRANSFORMER, ("ant", "bee", "cow"))))


@pytest.fixture(scope="session")
def tiny_folder(tiny, tmp_path_factory):
    """The tiny model as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    checkpoints.save(tiny, folder)
    return folder


@pytest.fixture(scope="session")
def calibrated_folder(tiny_folder, tmp_path_factory):
    """The tiny model with landmarks and coefficients, calibrated on random images."""
    from var_mini.training.landmarks import calibrate  # scikit-learn takes a second to import, and processes of tests read this

    folder = tmp_path_factory.mktemp("models") / "calibrated"
    shutil.copytree(tiny_folder, folder)
    model = checkpoints.load(folder)
    images = torch.randint(256, (40, 1, 12, 12), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    calibrate(model, images, torch.arange(40) % 3)
    checkpoints.save_calibration(model, folder)
    return folder


@pytest.fixture
def tiny_images() -> torch.Tensor:
    return torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        path = SYSTEM_CHROMIUM if Path(SYSTEM_CHROMIUM).exists() else driver.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("neither Debian's chromium nor Playwright's own browser is installed")
        chromium = driver.chromium.launch(executable_path=path, args=list(BROWSER_FLAGS))
        yield chromium
        chromium.close()
