"""Finished runs on a small folder of images, trained in this process, each once a session."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from accelerate.state import AcceleratorState
from PIL import Image

from hma_ft import experiment
from hma_ft.config.schema import Config
from tests.config.test_compose import composed

CLASSES = ("apple", "pear", "plum")
PER_SPLIT = {"train": 8, "val": 4, "test": 5}
SETTINGS = [
    *("model=vit_micro", "model.options.depth=2", "dataset=folder", "augment=digits", "optimizer=adamw"),
    *("optimizer.lr=0.002", "tracking=off", "trainer.device=cpu", "trainer.num_workers=0", "trainer.batch_size=8"),
    *("trainer.max_steps=4", "trainer.eval_every=2", "scheduler.warmup_steps=0"),
    *("method.hma.real.size=12", "method.hma.synthetic.slots=2", "method.hma.support_size=9"),
]


@dataclass(frozen=True)
class Finished:
    """A run, and the data set that it was trained on."""

    directory: Path
    root: Path

    @property
    def probabilities(self) -> np.ndarray:
        """Those of the test images that the run recorded, [N, C]."""
        with np.load(self.directory / "predictions.npz") as recorded:
            return recorded["probabilities"]

    def copy(self, folder: Path) -> "Finished":
        """Copy the run alone; its data set is nowhere."""
        shutil.copytree(self.directory, folder / self.directory.name)
        return Finished(folder / self.directory.name, folder / "nowhere")


def write_images(root: Path, *, seed: int = 0) -> Path:
    """root/SPLIT/CLASS/*.png, 16 x 16 pixels: noise around a colour of the class."""
    random = np.random.default_rng(seed)
    for split, count in PER_SPLIT.items():
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (16, 16, 3))
                pixels[..., label] += 100
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def train(config: Config) -> Path:
    """Run to the end; the run directory. Accelerate would keep the precision of the run before."""
    AcceleratorState._reset_state(True)
    return experiment.run(config).directory.absolute()


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the backbone."""
    path = tmp_path_factory.mktemp("weights") / "pretrained.pth"
    torch.manual_seed(0)
    options = {"patch_size": 4, "embed_dim": 96, "depth": 2, "num_heads": 4}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=16, num_classes=0, **options)
    torch.save(model.state_dict(), path)
    return path


Train = Callable[..., Finished]


@pytest.fixture(scope="session")
def finished(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """`finished("method=hma", ...)`: a run on a data set that has been moved away since."""
    done: dict[tuple[str, ...], Finished] = {}

    def run(*overrides: str) -> Finished:
        if overrides not in done:
            folder = tmp_path_factory.mktemp("finished")
            root = write_images(folder / "images")
            places = [f"dataset.root={root}", f"runs_dir={folder / 'runs'}", f"model.weights={pretrained}"]
            directory = train(composed(*SETTINGS, *places, *overrides))
            moved = root.rename(folder / "moved")
            shutil.rmtree(folder / "runs" / "features", ignore_errors=True)
            done[overrides] = Finished(directory, moved)
        return done[overrides]

    return run
