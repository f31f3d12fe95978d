"""docs/METHODS.md is what its command writes."""

from pathlib import Path

import pytest
import yaml

from analysis.methods.__main__ import main
from analysis.methods.entries import ENTRIES, HEADS
from analysis.methods.page import page


@pytest.mark.slow
def test_the_page_is_what_the_command_writes(repository: Path) -> None:
    assert (repository / "docs/METHODS.md").read_text() == page()


def test_every_choice_has_an_entry_and_no_other(repository: Path) -> None:
    choices = {path.stem for path in (repository / "conf/method/peft").glob("*.yaml")} - {"none"}
    assert set(ENTRIES) == choices


def test_every_head_has_an_entry_and_no_other(repository: Path) -> None:
    targets = {yaml.safe_load(path.read_text()).get("target") for path in (repository / "conf/method").glob("*.yaml")}
    assert set(HEADS) == {target.rpartition(".")[2] for target in targets if target}


def test_an_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "vit_b15"]) == 2
    assert capsys.readouterr().err.startswith("error: --model vit_b15: unknown model; there are: deit_small")
