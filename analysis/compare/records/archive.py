"""The finished runs of a sweep in one small file, to be compared when their directories are gone.

A file `NAME.records.npz` holds of every run the settings, the result, the digests of its data, the environment (neither
folders nor the text of uncommitted changes) and the class that it gave each test image, with the number of its group;
neither probabilities nor curves.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from analysis.compare.records.run import Predictions, Run, Sweep
from hma_ft.config.aliases import with_current_keys
from hma_ft.config.schema import Inference
from hma_ft.errors import UserError

PATTERN = "*.records.npz"
_FACTS = ("name", "fingerprint", "params", "result", "data", "env")
_SUFFIXES = ("", *(f"_{mode.value}" for mode in Inference))
_OF_A_PLACE = ("command", "folder")  # of the environment


def archive_path(sweep: Sweep, folder: Path) -> Path:
    """Where a sweep's archive lies in a folder."""
    return folder / PATTERN.replace("*", sweep.name)


def write_archive(runs: Sequence[Run], sweep: Sweep, folder: Path) -> Path:
    """Write the runs of a sweep to folder/<name of the sweep>.records.npz, unless it holds just them already.

    Compressors differ from machine to machine: a file with the same content stays, to the byte.
    """
    arrays: dict[str, np.ndarray] = {}
    kept = [{name: getattr(run, name) for name in _FACTS} | {"predictions": _add(arrays, run)} for run in runs]
    for run in kept:
        run |= {"env": _without_places(run["env"]), "params": {k: _name(v) for k, v in run["params"].items()}}
    about = {"name": sweep.name, "identity": sweep.identity, "keys": sorted(sweep.keys), "trials": sweep.trials}
    text = json.dumps({"sweep": about, "runs": kept}, sort_keys=True)
    path = archive_path(sweep, folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays["records"] = np.frombuffer(text.encode(), np.uint8)
    if not _holds(path, arrays):
        np.savez_compressed(path, allow_pickle=False, **arrays)
    return path


def _holds(path: Path, arrays: Mapping[str, np.ndarray]) -> bool:
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(file) == set(arrays) and all(
                array.dtype == file[name].dtype and np.array_equal(array, file[name]) for name, array in arrays.items()
            )
    except (OSError, ValueError, BadZipFile, zlib.error):
        return False


def read_archive(path: Path) -> tuple[list[Run], Sweep]:
    """What `write_archive` wrote. UserError if the file is corrupted."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        content = json.loads(arrays.pop("records").tobytes())
        keys = frozenset(content["sweep"]["keys"])
        sweep = Sweep(**content["sweep"] | {"keys": keys, "archive": str(path)})
        runs = [
            Run(
                **{name: run[name] for name in _FACTS} | {"params": with_current_keys(run["params"])},
                place=f"{path} {run['name']}",
                read_rows=list,
                read_predictions=partial(_predictions, arrays, run["predictions"]),
                archive=str(path),
            )
            for run in content["runs"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path} can't be read ({error}): get the file again, or remove it") from error
    return runs, sweep


def _add(arrays: dict[str, np.ndarray], run: Run) -> dict[str, dict[str, Any]]:
    """Put a run's predictions among the arrays; by suffix, where they are. Runs share the arrays of their images."""
    places = {}
    for suffix in _SUFFIXES:
        found = run.read_predictions(suffix)
        if found is None:
            continue
        about = {"ids": found.ids, "labels": found.labels, "keys": found.keys, "groups": found.groups}
        images = {name: array for name, array in about.items() if array is not None}
        digest = hashlib.sha256(b"".join(array.tobytes() for array in images.values())).hexdigest()[:8]
        for name, array in images.items():
            arrays.setdefault(f"{name}-{digest}", array)
        name = f"predicted-{run.fingerprint[:12]}{suffix}"
        arrays[name] = found.predicted.astype(np.uint16)
        places[suffix] = {"pictures": digest, "predicted": name, "class_names": found.class_names}
    return places


def _predictions(
    arrays: Mapping[str, np.ndarray], places: Mapping[str, Mapping[str, Any]], suffix: str
) -> Predictions | None:
    place = places.get(suffix)
    if place is None:
        return None
    digest, predicted = place["pictures"], arrays[place["predicted"]].astype(np.int64)
    ids, labels = arrays[f"ids-{digest}"], arrays[f"labels-{digest}"]
    keys, groups = arrays.get(f"keys-{digest}"), arrays.get(f"groups-{digest}")
    return Predictions(ids, labels, predicted, place["class_names"], keys=keys, groups=groups)


def _without_places(env: Mapping[str, Any]) -> dict[str, Any]:
    """The environment, of whose uncommitted changes only a digest is left."""
    git = dict(env.get("git") or {})
    if git.get("diff"):
        git["diff"] = f"sha256 {hashlib.sha256(git['diff'].encode()).hexdigest()}"
    return {key: value for key, value in env.items() if key not in _OF_A_PLACE} | {"git": git}


def _name(value: str) -> str:
    """Last part of an absolute path, which means something elsewhere too; anything else as it is."""
    return Path(value).name if value.startswith("/") else value
