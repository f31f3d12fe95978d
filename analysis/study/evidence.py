"""What a page rests on, beside it: every run of a sweep as a row, and what each said of every test picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.compare.consistency import counts
from analysis.compare.records import RunData


def write_evidence(runs: Sequence[RunData], folder: Path, name: str) -> list[Path]:
    """`name`.csv: fingerprint, seed, settings that differ, top-1 by split and inference mode; `name`.npz: `predicted`.

    The files, without the second where runs have different test pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, answers = folder / f"{name}.csv", folder / f"{name}.npz"
    settings = _differing(runs)
    figures = sorted({key for run in runs for key in run.result if key.endswith("/top1")})
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["fingerprint", "seed", *settings, *figures])
        for run in runs:
            shown = [run.result.get(key, "") for key in figures]
            writer.writerow([run.fingerprint[:12], run.seed, *(run.params.get(key, "") for key in settings), *shown])
    arrays = predicted(runs)
    if arrays is None:
        return [table]
    np.savez_compressed(answers, allow_pickle=False, **arrays)
    return [table, answers]


def predicted(runs: Sequence[RunData]) -> dict[str, np.ndarray] | None:
    """fingerprints [R], ids and labels [N], predicted [R, N]: the class that a run's headline mode gave a picture.

    None where runs have no predictions, or of different pictures, as when every seed has a test split of its own.
    """
    found = [run.read_predictions("") for run in runs]
    first = found[0] if found else None
    if first is None:
        return None
    rows = []
    for predictions in found:
        if predictions is None or not np.array_equal(predictions.ids, first.ids):
            return None
        rows.append(predictions.predicted.astype(np.uint16))
    names = np.array([run.fingerprint[:12] for run in runs])
    return {"fingerprints": names, "ids": first.ids, "labels": first.labels, "predicted": np.stack(rows)}


def _differing(runs: Sequence[RunData]) -> list[str]:
    """Settings that count and have more than one value; the method's own follow from its name."""
    keys = sorted({key for run in runs for key in run.params if counts(key)})
    different = [key for key in keys if len({run.params.get(key) for run in runs}) > 1]
    return ["method.name", *(key for key in different if not key.startswith("method."))]
