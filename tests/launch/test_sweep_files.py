"""Every file of sweeps/ composes, from any folder, to the number of trials that its header promises."""

import configparser
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from setuptools import find_namespace_packages

from hma_ft.config.frozen import typed, without_hydra
from hma_ft.launch.composition import SharedComposition
from hma_ft.launch.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = ROOT / "sweeps"
NAMES = sorted(path.relative_to(SWEEPS).with_suffix("").as_posix() for path in SWEEPS.rglob("*.yaml"))


def trials(loader: ConfigLoader, *arguments: str) -> Plan:
    """The plan that `run.py -m ARGUMENTS` makes."""
    master = loader.load_configuration("config", list(arguments), RunMode.MULTIRUN)
    swept = [f"{key}={value}" for key, value in master.hydra.sweeper.params.items()]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides([*swept, *arguments])
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    shared = SharedComposition(loader)
    return make_plan([(job, typed(without_hydra(shared.load_sweep_config(master, job)))) for job in jobs])


STAGED = [name for name in NAMES if re.search(r"^  (tune|compare):", (SWEEPS / f"{name}.yaml").read_text(), re.M)]


def promised_trials(name: str) -> int:
    """The number in the header of the file, which has its command too."""
    lines = (SWEEPS / f"{name}.yaml").read_text().splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    assert f"python run.py -m sweep={name}" in header
    promised = re.search(r"(\d+) trials", header)
    assert promised is not None
    return int(promised.group(1))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(STAGED)))
def test_it_composes(name: str, loader: ConfigLoader) -> None:
    plan = trials(loader, f"sweep={name}", "dataset.root=.")  # one needs a folder that exists
    assert re.match(rf"{name.replace('/', '_')}(_folder)?-", plan.sweep.directory.name)  # one may end in its data set
    assert len(plan.sweep.trials) == promised_trials(name)


@pytest.mark.parametrize("name", STAGED)
def test_a_sweep_with_stages_says_what_is_sure(
    name: str, run_py: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_py("-m", f"sweep={name}", "sweep.dry_run=true", "dataset.root=.")
    assert done.returncode == 0, done.stderr
    assert f"{promised_trials(name)} new. A trial asks for: jobs at a time=" in done.stdout


def test_a_dry_run_says_what_is_planned(
    loader: ConfigLoader, run_py: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_py("-m", "sweep=dtd_methods", "sweep.dry_run=true", "dataset.root=.")
    assert done.returncode == 0, done.stderr
    plan = trials(loader, "sweep=dtd_methods", "dataset.root=.")
    assert done.stdout.startswith(f"{plan.sweep.directory.name} (dry run)")
    assert all(key in done.stdout for key in plan.configs)
    assert f"{len(plan.configs)} new. A trial asks for: jobs at a time=" in done.stdout


def test_an_installed_package_has_every_folder_of_conf_and_of_sweeps() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    where = {key: text.split() for key, text in setup["options.packages.find"].items()}
    assert set(setup["options.package_data"]["*"].split()) == {"*.yaml", "*.j2"}
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
