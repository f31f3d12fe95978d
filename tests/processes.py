"""Python processes that begin where torch, timm and this package are imported already.

A cold start of run.py takes seven seconds of processor time, six of them imports. A fork server holds the imports,
never computes anything, and forks a real process for each command: one that can be killed, and whose death nobody else
feels.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NoReturn

from hma_ft.launch.forkserver import PRELOADED

REPOSITORY = Path(__file__).resolve().parent.parent
RUN_PY = str(REPOSITORY / "run.py")
_IMPORTED = ["hydra", "sklearn.datasets", *PRELOADED]


class ForkedProcess:
    """The part of subprocess.Popen that the tests use, for a process of the fork server."""

    def __init__(self, process: BaseProcess, arguments: Sequence[str], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.args = list(arguments)
        self._process = process
        self._outputs = stdout, stderr

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same as `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed until its end: stdout, stderr (empty where both are one)."""
        self.wait(timeout)
        stdout, stderr = self._outputs
        return _text(stdout), "" if stderr is stdout else _text(stderr)

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def start(
    program: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    merge_output: bool = False,
) -> ForkedProcess:
    """Start `python PROGRAM ARGUMENTS` (a file, or the dotted name of a module) in `folder`, on one thread.

    `environment` is added to that of the tests; with `merge_output` stderr goes where stdout goes.
    """
    stdout = TemporaryFile()  # noqa: SIM115 - lives as long as the process object
    stderr = stdout if merge_output else TemporaryFile()  # noqa: SIM115
    settings = dict(os.environ) | {"OMP_NUM_THREADS": "1"} | dict(environment or {})
    task = (program, arguments, str(folder), settings, _Handle(stdout), _Handle(stderr))
    process = fork_context().Process(target=_become, args=task)
    process.start()
    return ForkedProcess(process, [program, *arguments], stdout, stderr)


def run(
    program: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, as subprocess.run does."""
    process = start(program, *arguments, folder=folder, environment=environment)
    try:
        stdout, stderr = process.communicate(timeout)
    except BaseException:
        process.kill()
        raise
    assert process.returncode is not None
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check and done.returncode != 0:
        raise AssertionError(f"{program} {' '.join(arguments)}: exit code {done.returncode}\n{stdout}\n{stderr}")
    return done


class _Handle:
    """An open file that goes to the new process."""

    def __init__(self, file: IO[bytes]) -> None:
        self.descriptor = file.fileno()

    def __reduce__(self) -> tuple[type, tuple[object]]:
        from multiprocessing.reduction import DupFd

        return _opened, (DupFd(self.descriptor),)


def _opened(duplicate: "object") -> int:
    return duplicate.detach()  # type: ignore[attr-defined]


def fork_context() -> multiprocessing.context.ForkServerContext:
    """The one fork server of a process of tests, which reads its environment once, when it starts."""
    context = multiprocessing.get_context("forkserver")
    from multiprocessing import forkserver

    if forkserver._forkserver._forkserver_pid is None:  # type: ignore[attr-defined]
        context.set_forkserver_preload(_IMPORTED)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            forkserver.ensure_running()
        finally:
            if before is None:
                del os.environ["OMP_NUM_THREADS"]
            else:
                os.environ["OMP_NUM_THREADS"] = before
    return context


def _become(
    program: str, arguments: Sequence[str], folder: str, settings: dict[str, str], stdout: int, stderr: int
) -> NoReturn:
    """Turn a forked process into the one that the interpreter would have started."""
    multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(settings)
    sys.argv = [program, *arguments]
    is_file = program.endswith(".py")
    sys.path[:] = [str(Path(program).parent) if is_file else folder, str(REPOSITORY), *sys.path]
    if is_file:
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    sys.exit(0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
