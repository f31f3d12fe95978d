"""A sweep on disk: `<runs_dir>/sweeps/<name>-<digest>/`, with its trials and how they were submitted.

sweep.json                        name, trials, folder of work
trials/<key>/config.yaml          the frozen configuration
trials/<key>/order.json           how it was last submitted
trials/<key>/status.json          what the trial said about itself
submissions/<number>/             which trials went where; scripts and logs
stages/                           of a sweep with stages: hma_ft/launch/staged_plan.py
"""

import dataclasses
import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hma_ft.files.atomic import write_atomic
from hma_ft.rundir.status import now

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Trial:
    """One configuration of a sweep."""

    key: str  # first 12 digits of the fingerprint
    label: str  # the overrides that tell it from the others
    directory: str  # of the run
    stage: str = ""  # of a sweep with stages: the first that has it
    candidate: str = ""  # label
    seed: int = 0
    share: float = 1.0  # of its candidate's steps


@dataclass(frozen=True)
class LaunchSpec:
    """How a trial was last submitted; the trial reads it when it starts."""

    submission: int
    fresh: bool = False
    fail_fast: bool = False
    mlflow_parent: str | None = None
    commit: str | None = None
    changes: str = ""  # digest of the uncommitted changes


@dataclass(frozen=True)
class Submission:
    """One launch of those trials of a sweep that were not finished."""

    number: int
    launcher: str  # local, slurm
    host: str
    options: dict[str, Any]
    trials: list[str]  # keys
    jobs: dict[str, str] = field(default_factory=dict)  # key -> Slurm's job id
    code: dict[str, Any] = field(default_factory=dict)  # commit, dirty, diff, untracked files
    stage: str = ""  # of a sweep with stages
    session: int = 0  # first submission of the command that this one belongs to
    following: str = ""  # Slurm's id of the job that starts the next stage
    created: str = field(default_factory=now)


@dataclass(frozen=True)
class Sweep:
    """A named set of trials."""

    directory: Path
    name: str
    trials: list[Trial]
    folder: str  # working directory of the trials: relative paths are seen from here
    created: str = field(default_factory=now)

    def trial_directory(self, key: str) -> Path:
        """Folder of a trial's frozen configuration."""
        return self.directory / "trials" / key

    def submission_directory(self, number: int) -> Path:
        """Folder of a submission's scripts and logs."""
        return self.directory / "submissions" / f"{number:03d}"

    def save(self) -> None:
        """Write sweep.json."""
        values = dataclasses.asdict(self) | {"directory": str(self.directory)}
        write_record(self.directory / "sweep.json", values)

    def launch_spec(self, key: str) -> LaunchSpec | None:
        """How the trial was last submitted."""
        return read_record(self.trial_directory(key) / "order.json", LaunchSpec)

    def submission(self, number: int) -> Submission | None:
        """One submission by its number."""
        return read_record(self.submission_directory(number) / "submission.json", Submission)

    def submissions(self) -> list[Submission]:
        """All submissions, oldest first."""
        numbers = sorted(int(p.name) for p in (self.directory / "submissions").glob("[0-9]*"))
        return [s for s in map(self.submission, numbers) if s is not None]

    def was_started(self, submission: Submission, key: str) -> bool:
        """Whether a trial of a submission was handed over: to a supervisor, or to Slurm, which gave it a job."""
        return key in submission.jobs or (self.submission_directory(submission.number) / "started").exists()

    def save_submission(self, submission: Submission) -> None:
        """Write submission.json."""
        path = self.submission_directory(submission.number) / "submission.json"
        write_record(path, dataclasses.asdict(submission))


def write_record(path: Path, values: dict[str, Any]) -> None:
    """A small JSON file, replaced in one step and kept through a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(values, indent=1) + "\n", durable=True)


def read_record(path: Path, kind: type[_Record]) -> _Record | None:
    """The dataclass `kind` out of a JSON file; None where there is none or it cannot be read."""
    try:
        values = json.loads(path.read_text())
        known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        return kind(**{k: v for k, v in values.items() if k in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def named_submission(program: str, arguments: Sequence[str]) -> tuple[Sweep, Submission] | None:
    """The sweep and the submission that SWEEP_FOLDER NUMBER names; None, once a line has said it, if there is none."""
    if len(arguments) != 2 or not arguments[1].isdecimal():
        print(f"usage: python -m {program} SWEEP_FOLDER SUBMISSION", file=sys.stderr)
        return None
    sweep = load_sweep(Path(arguments[0]))
    submission = sweep.submission(int(arguments[1])) if sweep is not None else None
    if sweep is None or submission is None:
        print(f"no sweep with that submission: {' '.join(arguments)}", file=sys.stderr)
        return None
    return sweep, submission


def define_sweep(runs_dir: str, name: str, trials: list[Trial]) -> Sweep:
    """The sweep of these trials; their order does not matter to its identity."""
    digest = hashlib.sha256("\n".join(sorted(t.key for t in trials)).encode()).hexdigest()[:8]
    safe = safe_name(name)
    directory = Path(runs_dir).absolute() / "sweeps" / f"{safe}-{digest}"
    return Sweep(directory=directory, name=safe, trials=trials, folder=os.getcwd())


def safe_name(name: str) -> str:
    """The name of a sweep as its directory has it."""
    return re.sub(r"[^\w.+-]+", "_", name)


def load_sweep(directory: Path) -> Sweep | None:
    """The sweep in a folder, or None."""
    sweep = read_record(directory / "sweep.json", Sweep)
    if sweep is None:
        return None
    try:
        trials = [Trial(**values) for values in sweep.trials]  # type: ignore[arg-type]
    except TypeError:
        return None
    return dataclasses.replace(sweep, directory=directory, trials=trials)


def find_sweeps(runs_dir: str, name: str | None) -> list[Sweep]:
    """The sweeps of that name (`demo`, or `demo-1a2b3c4d` for one set of trials; None: all), the latest first."""
    sweeps = [load_sweep(path.parent) for path in (Path(runs_dir).absolute() / "sweeps").glob("*/sweep.json")]
    wanted = None if name is None else safe_name(name)
    found = [s for s in sweeps if s is not None and wanted in (None, s.name, s.directory.name)]
    return sorted(found, key=_last_submitted, reverse=True)


def _last_submitted(sweep: Sweep) -> str:
    submissions = sweep.submissions()
    return submissions[-1].created if submissions else sweep.created
