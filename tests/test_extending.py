"""docs/EXTENDING.md is followed to the letter, in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"(?:^`(?P<path>[\w./]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("conf", "hma_ft", "hydra_plugins", "sweeps", "tests", "run.py", "pyproject.toml")
WRITTEN = {
    *("hma_ft/methods/cosine.py", "conf/method/cosine.yaml", "tests/methods/test_cosine.py"),
    *("hma_ft/data/datasets/medmnist.py", "conf/dataset/medmnist.yaml", "tests/data/test_medmnist.py"),
    *("hma_ft/peft/branch_scale.py", "conf/method/peft/branch_scale.yaml"),
    "conf/model/vit_nano.yaml",
}
# Tests that look at every YAML of a group. With the page's own in place, all of them must pass.
FIND_BY_THEMSELVES = (
    "tests/methods/test_methods.py",
    "tests/methods/test_reads.py",
    "tests/config/test_compose.py",
    "tests/backbone/test_model_configs.py",
)


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the files of the page."""
    folder = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        source, ignore = repository / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
    written = set()
    for block in BLOCK.finditer((repository / "docs/EXTENDING.md").read_text()):
        if block["path"]:
            assert not (folder / block["path"]).exists()
            (folder / block["path"]).write_text(block["text"])
            written.add(block["path"])
    assert written == WRITTEN
    return folder


def in_copy(copy: Path, *arguments: str) -> str:
    """What a command of Python's prints, which must succeed; the code that runs is the copy's."""
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_commands_of_the_page_succeed(copy: Path, repository: Path) -> None:
    where = in_copy(copy, "-c", "import hma_ft; print(hma_ft.__file__)")
    assert Path(where.strip()).is_relative_to(copy)
    blocks = BLOCK.finditer((repository / "docs/EXTENDING.md").read_text())
    commands = [line for block in blocks if block["kind"] == "sh" for line in block["text"].splitlines()]
    assert len(commands) == 11
    for command in commands:
        python, *arguments = shlex.split(command)
        assert python == "python"
        printed = in_copy(copy, *arguments)
        if "pytest" in arguments:
            assert re.search(r"\d+ passed", printed) and "skipped" not in printed


@pytest.mark.parametrize("path", FIND_BY_THEMSELVES)
def test_tests_that_find_new_files_pass_with_them(copy: Path, path: str) -> None:
    printed = in_copy(copy, "-m", "pytest", path, "-v")
    new = [name for name in ("cosine", "vit_nano") if f"{name}] PASSED" in printed or f"-{name}] PASSED" in printed]
    assert new, printed
