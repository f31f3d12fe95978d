"""A sweep doesn't report the figures of one folder for another: both are the same runs by name."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_replaced_images import folder, write_image

pytestmark = pytest.mark.slow

SETTINGS = ["-m", "dataset=folder", "model=vit_micro", "augment=digits", "tracking=off", "trainer.device=cpu"]


@pytest.mark.parametrize("stages", [(), ("sweep.seeds=[0]", "sweep.compare=false")], ids=["plain", "staged"])
def test_finished_trials_of_other_images_are_refused(
    stages: tuple[str, ...], run_py: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder(tmp_path / "cats", 0)
    folder(tmp_path / "lungs", 1000)
    command = [*SETTINGS, "trainer.num_workers=0", "method=ncm,knn", *stages]

    def swept(root: str, *more: str) -> subprocess.CompletedProcess[str]:
        return run_py(*command, f"dataset.root={root}", *more)

    assert swept("cats").returncode == 0
    refused = swept("lungs")
    assert refused.returncode == 2 and "knn" not in refused.stdout
    assert refused.stderr.splitlines()[-1].removeprefix("error: ") == (
        "2 finished trials of this sweep are of other train, val and test images than dataset.root=lungs holds now: "
        "dataset.name=NAME keeps both apart, fresh=true starts them over"
    )
    if not stages:
        assert "nothing to launch" in swept("cats").stdout
        assert "2 finished" in swept("lungs", "dataset.name=lungs").stdout
        assert "2 finished" in swept("lungs", "fresh=true").stdout
        write_image(tmp_path / "lungs" / "val" / "cat" / "1.png", 5000)
        assert "of other val images than dataset.root=lungs" in swept("lungs").stderr
