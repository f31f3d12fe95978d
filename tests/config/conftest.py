"""The command line in this process: a cold start takes seconds of processor time."""

import logging
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.global_hydra import GlobalHydra


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines of stderr, all of which must be errors, of a command that is refused."""
        assert self.code == 2, self.out + self.err
        lines = self.err.splitlines()
        assert lines and all(line.startswith("error: ") for line in lines), self.err
        assert "Traceback" not in self.out and " object at 0x" not in self.err
        return [line.removeprefix("error: ") for line in lines]


Command = Callable[..., Ended]


@pytest.fixture
def command(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """`command("seed=x")` runs run.py in tmp_path as the shell does, but in this process."""
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.root.handlers[:], logging.root.level

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        capfd.readouterr()
        try:
            runpy.run_path(str(repository / "run.py"), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        finally:
            GlobalHydra.instance().clear()
            logging.root.handlers[:], logging.root.level = handlers, level
        return Ended(code, *capfd.readouterr())

    return run
