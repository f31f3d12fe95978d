"""A finished run from the command line, and by the tools of analysis/."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from analysis.attention.examples import choose
from analysis.memory.contents import contents
from analysis.trained import Trained, open_run
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Device
from hma_ft.errors import UserError
from hma_ft.open_options import OpenOptions
from tests.config.test_compose import CONF
from tests.finished.conftest import SETTINGS, Train, write_images

RunPy = Callable[..., subprocess.CompletedProcess[str]]
LOADED = "Loaded"  # the first word of timm's own line about a weights file


@pytest.mark.slow
def test_a_half_precision_run_and_its_evaluation(run_py: RunPy, tmp_path: Path, pretrained: Path) -> None:
    """Exit code 0 and one voice on the console; the default of dataset.root counts where it is given."""
    write_images(tmp_path / "data")
    settings = [*SETTINGS, "method=head", "trainer.precision=bf16", f"model.weights={pretrained}"]
    done = run_py(*settings, "hydra.job_logging.root.level=INFO")
    assert done.returncode == 0, done.stderr
    assert LOADED in done.stdout
    (run,) = (tmp_path / "runs" / "folder").iterdir()
    result = json.loads((run / "result.json").read_text())
    done = run_py("task=evaluate", f"run={run}", "trainer.device=cpu", "trainer.num_workers=0", "dataset.root=data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert LOADED not in done.stdout + done.stderr and "differs" not in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if " test/nll " in line]
    assert row.count(f"{result['test/nll']:.6f}") == 2

    shutil.move(tmp_path / "data", tmp_path / "moved")
    done = run_py("task=evaluate", f"run={run}", "trainer.device=cpu")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path}/data" in line and "dataset.root=DIR" in line


def test_other_libraries_are_heard_from_warnings_on() -> None:
    register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        logging = compose("config", return_hydra_config=True).hydra.job_logging
    assert logging.root.level == "WARNING" and logging.loggers.hma_ft.level == "INFO"
    assert list(logging.root.handlers) == ["console"]


def test_the_tools_look_in_the_precision_of_the_run(finished: Train) -> None:
    run = finished("method=hma", "trainer.precision=bf16", "trainer.channels_last=true")
    options = OpenOptions(device=Device.cpu, num_workers=0, dataset_root=str(run.root))
    trained = Trained(run.directory, options)
    examples = choose(trained, None, 2)
    with trained.method.inference("alone"):
        found = trained.attention(examples.features)["real"].weights
        exact = trained.head.attention(examples.features)["real"].weights
        with torch.autocast("cpu", dtype=torch.bfloat16):
            expected = trained.head.attention(examples.features)["real"].weights
    assert torch.equal(found, expected.float()) and not torch.equal(found, exact)
    assert {memory.name for memory in contents(trained)} == {"real", "support", "synthetic"}


def test_the_tools_say_which_root_is_missing(finished: Train) -> None:
    run = finished("method=hma", "trainer.precision=bf16", "trainer.channels_last=true")
    trained = open_run(str(run.directory), device="cpu")
    root = run.root.parent / "images"
    with pytest.raises(UserError, match=rf"needs its data set folder .*{root}.*dataset_root=DIR"):
        contents(trained)
    with pytest.raises(UserError, match=rf"needs its data set folder .*{root}.*dataset_root=DIR"):
        choose(trained, None, 2)
