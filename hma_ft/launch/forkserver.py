"""Start trials out of a process that has imported torch once, so that none has to wait for that again.

A fork server of the standard library holds the imports, never touches a GPU, and forks a process for each trial. Where
the code has changed since it was started, a trial gets a fresh interpreter, so that old and new code never mix; so it
does where there can't be a fork server.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from hma_ft.rundir.environment import git_state

_TRIAL = "hma_ft.launch.trial"
# torch and timm come with the first; the last three are imported inside functions of this package, by every trial
PRELOADED = [
    *("hma_ft.experiment", "hma_ft.methods.validate", "hma_ft.reporting.figures"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "sklearn.model_selection"),
]


class ForkServer:
    """Processes of trials. Create it where the environment is that of the trials: libraries read it as they load."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are added to the environment of processes that share this one's code."""
        self._settings = settings
        self._code = git_state()
        multiprocessing.set_forkserver_preload(PRELOADED)

    def start(self, arguments: list[str], *, folder: Path, output: Path, settings: Mapping[str, str]) -> BaseProcess:
        """A running `python -m hma_ft.launch.trial ARGUMENTS` in `folder`, in a session of its own.

        What it prints is appended to `output`; `settings` are added to its environment.
        """
        place = arguments, str(folder), str(output)
        if git_state() == self._code:
            with suppress(OSError):  # no socket for the server, where the path of TMPDIR is too long for one
                task = (*place, {**self._settings, **settings})
                return _started(multiprocessing.get_context("forkserver").Process(target=_become_trial, args=task))
        return _started(multiprocessing.get_context("spawn").Process(target=_become_trial, args=(*place, settings)))


def _started(process: BaseProcess) -> BaseProcess:
    process.start()
    return process


def _become_trial(arguments: list[str], folder: str, output: str, settings: Mapping[str, str]) -> NoReturn:
    """Become the process of a trial, as if an interpreter had been started for it."""
    os.setsid()
    # a child of a fork server would start each data loader's worker out of yet another one, which imports torch first
    multiprocessing.set_start_method(None, force=True)
    with open(os.devnull, "rb") as nothing, open(output, "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.chdir(folder)
    os.environ.update(settings)
    sys.argv = [_TRIAL, *arguments]
    runpy.run_module(_TRIAL, run_name="__main__", alter_sys=True)
    raise AssertionError(f"{_TRIAL} ends its process itself")
