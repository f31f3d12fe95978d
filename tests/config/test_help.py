"""--help and shell completion show every choice of every group."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hma_ft.config.families import families
from hma_ft.config.groups import MEANINGS, Groups
from hma_ft.config.help import WIDTH, help_text


@pytest.fixture
def groups(repository: Path) -> Groups:
    return Groups(repository / "conf")


def test_help_lists_every_file(repository: Path, groups: Groups) -> None:
    files = [path for folder in ("conf", "sweeps") for path in (repository / folder).rglob("*.yaml")]
    names = {path.stem for path in files if path != repository / "conf/config.yaml"}
    text = help_text(groups)
    words = set(text.replace(",", " ").replace("{", " ").replace("}", " ").split())
    assert not names - words
    assert set(MEANINGS) <= words
    assert max(map(len, text.splitlines())) <= WIDTH + 20


def test_help_is_quick_and_needs_no_composition(command: Any, groups: Groups) -> None:
    done = command("method=nothing_of_that_name", "--help")
    assert (done.code, done.out) == (0, help_text(groups))


def test_a_group_within_a_group_is_not_among_its_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: Groups
) -> None:
    for name in ("method/hma.yaml", "method/inner/lora.yaml", "method/folder/x.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setitem(MEANINGS, "method/inner", "a group of its own")
    own = Groups(tmp_path)
    assert own.choices("method") == ["folder/x", "hma"]
    assert own.choices("method/inner") == ["lora"]


def completed(repository: Path, line: str) -> list[str]:
    """What bash is offered for a line."""
    done = subprocess.run(
        [sys.executable, str(repository / "run.py"), "-sc", "query=bash"],
        env=os.environ | {"COMP_LINE": f"python run.py {line}", "COMP_POINT": "99"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("group", ["experiment", "sweep"])
def test_completion_offers_choices_in_folders(repository: Path, groups: Groups, group: str) -> None:
    assert completed(repository, f"{group}=") == [f"{group}={choice}" for choice in groups.choices(group)]


def test_methods_are_listed_by_family(groups: Groups) -> None:
    found = dict(families(groups))
    assert found["without training steps"] == ["kernel_ridge", "knn", "lda", "logreg", "ncm", "ranpac", "ridge"]
    assert found["full fine-tuning"] == ["full"]
    assert {"hma", "hma_lora"} <= set(found["memory attention"])
    assert {"lora", "head_cls", "tokens_prop", "partial"} <= set(found["inside a frozen backbone"])
    assert {"head", "mlp_head", "cache"} <= set(found["on a frozen backbone"])
    assert sorted(name for names in found.values() for name in names) == groups.choices("method")
