"""What a page rests on, beside it: every run of a sweep as a row, and an archive of them to compare again."""

import csv
from collections.abc import Sequence
from pathlib import Path

from analysis.compare.archive import write_archive
from analysis.compare.consistency import counts
from analysis.compare.records import RunData, SweepData


def write_evidence(runs: Sequence[RunData], sweep: SweepData, folder: Path) -> list[Path]:
    """A table for people and an archive for `analysis.compare`; both files.

    The table: fingerprint, seed, settings that differ, top-1 by split and inference mode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sweep.name}.csv"
    settings = _differing(runs)
    figures = sorted({key for run in runs for key in run.result if key.endswith("/top1")})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["fingerprint", "seed", *settings, *figures])
        for run in runs:
            shown = [run.result.get(key, "") for key in figures]
            writer.writerow([run.fingerprint[:12], run.seed, *(run.params.get(key, "") for key in settings), *shown])
    return [path, write_archive(runs, sweep, folder)]


def _differing(runs: Sequence[RunData]) -> list[str]:
    """Settings that count and have more than one value; the method's own follow from its name."""
    keys = sorted({key for run in runs for key in run.params if counts(key)})
    different = [key for key in keys if len({run.params.get(key) for run in runs}) > 1]
    return ["method.name", *(key for key in different if not key.startswith("method."))]
