"""A real Slurm for the tests of this folder, started once."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("cluster.sh")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Three virtual nodes of two CPUs; SLURM_CONF points at them."""
    if shutil.which("slurmctld", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        pytest.skip(f"needs Slurm: as root, {SCRIPT} install")
    if os.geteuid() != 0:
        pytest.skip("starts Slurm's daemons: needs root")
    directory = tmp_path_factory.mktemp("cluster")
    environment = os.environ | {"CLUSTER_PORT": str(17000 + os.getpid() % 2000 * 5)}
    # a file, not a pipe: the daemons would keep it open
    with open(directory / "start.log", "wb") as log:
        started = subprocess.run([SCRIPT, "start", directory], env=environment, stdout=log, stderr=log, check=False)
    if started.returncode != 0:
        subprocess.run([SCRIPT, "stop", directory], check=False)
        pytest.skip(f"Slurm cannot be started here: {(directory / 'start.log').read_text().strip()[-400:]}")
    os.environ["SLURM_CONF"] = str(directory / "slurm.conf")
    yield
    subprocess.run([SCRIPT, "stop", directory], check=True)
    del os.environ["SLURM_CONF"]
