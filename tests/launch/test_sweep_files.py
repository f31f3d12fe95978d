"""Every file of sweeps/ composes, from any folder, to the number of trials that its header promises."""

import configparser
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = ROOT / "sweeps"
NAMES = sorted(path.relative_to(SWEEPS).with_suffix("").as_posix() for path in SWEEPS.rglob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_it_composes(name: str, run_py: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    lines = (SWEEPS / f"{name}.yaml").read_text().splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    assert f"python run.py -m sweep={name}" in header
    promised = re.search(r"(\d+) trials", header)
    assert promised is not None
    done = run_py("-m", f"sweep={name}", "sweep.dry_run=true", "dataset.root=.")  # one needs a folder that exists
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name.replace('/', '_')}-")
    assert f"{promised.group(1)} new. A trial asks for: jobs at a time=" in done.stdout


def test_an_installed_package_has_every_folder_of_conf_and_of_sweeps() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    where = {key: text.split() for key, text in setup["options.packages.find"].items()}
    assert setup["options.package_data"]["*"].split() == ["*.yaml"]
    packages = find_namespace_packages(str(ROOT), include=where["include"], exclude=where["exclude"])
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml")}
    folders |= {"conf/sweep" / path.parent.relative_to(SWEEPS) for path in SWEEPS.rglob("*.yaml")}
    assert {".".join(folder.parts) for folder in folders} <= set(packages)
    assert "hydra_plugins" in packages and not any(package.startswith("tests") for package in packages)


def test_mistakes_in_a_sweep_are_plain_lines(run_py: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_py("-m", "sweep=demo", "optimizer.lr=-1,0.1", "trainer.batch_size=0")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "optimizer.lr=-1" in done.stderr
    assert "trainer.batch_size=0" in done.stderr


def test_the_plugins_import_nothing_heavy() -> None:
    code = (
        "import sys, hydra_plugins.hma_launchers, hydra_plugins.hma_completion;"
        "sys.exit(','.join({'torch', 'submitit', 'mlflow', 'rich', 'numpy'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
