"""Runs out of run directories, with the archives that lie beside them."""

import json
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import yaml

from analysis.compare.records.archive import PATTERN, read_archive
from analysis.compare.records.frame import Records
from analysis.compare.records.run import Predictions, Run, Sweep, settings_of
from hma_ft.config.aliases import with_current_names
from hma_ft.errors import UserError
from hma_ft.files.yaml_file import read_yaml
from hma_ft.launch.sweep import find_sweeps
from hma_ft.rundir.metric_log import read_rows
from hma_ft.rundir.status import State, read_status


def load_directories(folders: Sequence[Path]) -> Records:
    """The runs in folders of runs, in single run directories and in archives; sweeps. UserError if there are none."""
    runs: dict[Path, Run] = {}
    unfinished: list[str] = []
    sweeps: list[Sweep] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--runs {folder} is not a directory: give the runs_dir of run.py, or a run directory")
        for directory in _run_directories(folder):
            status = read_status(directory)
            if status is None or status.state is not State.finished:
                unfinished.append(directory.name)
            elif directory.resolve() not in runs:
                runs[directory.resolve()] = read_run(directory, status.fingerprint)
        sweeps += [
            Sweep(s.name, s.directory.name, frozenset(t.key for t in s.trials), len(s.trials))
            for s in find_sweeps(str(folder), None)
        ]
        for path in sorted(folder.glob(PATTERN)):
            archived, sweep = read_archive(path)
            runs |= {Path(run.place): run for run in archived}
            sweeps.append(sweep)
    source = " ".join(map(str, folders))
    if not runs:
        detail = f" ({len(unfinished)} are not finished)" if unfinished else ""
        raise UserError(f"no finished run in {source}{detail}: give the runs_dir of run.py by --runs")
    return Records(source, list(runs.values()), sweeps, unfinished)


def _run_directories(folder: Path) -> list[Path]:
    """`<folder>`, `<folder>/<run>` and `<folder>/<dataset>/<run>`."""
    found = [path.parent for pattern in ("", "*/", "*/*/") for path in folder.glob(f"{pattern}status.json")]
    return sorted(found)


def read_run(directory: Path, fingerprint: str) -> Run:
    """One finished run. UserError where a file is missing or corrupted."""
    try:
        config = read_yaml(directory / "config.yaml")
        result = json.loads((directory / "result.json").read_text())
        data, env = (_json(directory / name) for name in ("data.json", "env.json"))
        for name, content in (("config.yaml", config), ("result.json", result), ("data.json", data), ("env.json", env)):
            if not isinstance(content, dict):
                raise ValueError(f"{name} must hold values by name")
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the record {directory} can't be read ({reason}): repair or remove the directory") from error
    settings, rows = settings_of(with_current_names(config)), partial(read_rows, directory / "metrics.jsonl")
    predictions = partial(_predictions_of, directory)
    return Run(directory.name, str(directory), fingerprint, settings, result, data, env, rows, predictions)


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def _predictions_of(directory: Path, suffix: str) -> Predictions | None:
    path = directory / f"predictions{suffix}.npz"
    return read_predictions(path) if path.exists() else None


def read_predictions(path: Path) -> Predictions:
    """A predictions.npz. UserError if it is corrupted."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            order = np.argsort(arrays["ids"], kind="stable")
            names = [str(name) for name in arrays["class_names"]]
            probabilities = arrays["probabilities"][order]
            predicted = probabilities.argmax(axis=1)
            keys, groups = (arrays[name][order] if name in arrays else None for name in ("keys", "groups"))
            ids, labels = arrays["ids"][order], arrays["labels"][order]
            return Predictions(ids, labels, predicted, names, probabilities, keys, groups)
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile, zlib.error) as error:
        reason = f"{path} can't be read ({error})"
        raise UserError(f"{reason}: repeat the run with fresh=true, or remove the file") from error
