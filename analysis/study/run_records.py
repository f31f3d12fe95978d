"""What a page rests on, beside it: every run of a sweep as a row, and an archive of them to compare again."""

from pathlib import Path

import pandas as pd

from analysis.compare.records.archive import archive_path, write_archive
from analysis.compare.records.run import Sweep
from analysis.compare.settings import counts


def write_run_records(runs: pd.DataFrame, sweep: Sweep, folder: Path) -> list[Path]:
    """A table for people and an archive for `analysis.compare`; both files.

    The table: fingerprint, seed, settings that differ, top-1 by split and inference mode. A method's own settings
    follow from its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sweep.name}.csv"
    keys = sorted(map(str, runs.columns))
    settings = [key for key in keys if counts(key) and not key.startswith("method.")]
    differing = [key for key in settings if runs[key].nunique(dropna=False) > 1]
    metrics = [key for key in keys if key.endswith("/top1") and runs[key].notna().any()]
    table = runs[["fingerprint", "seed", "method.name", *differing, *metrics]]
    table.assign(fingerprint=table["fingerprint"].str[:12]).to_csv(path, index=False, lineterminator="\n")
    archive = archive_path(sweep, folder)
    if sweep.archive and Path(sweep.archive).resolve() == archive.resolve():
        return [path, archive]  # read from just there: it stays as it is, older names of settings included
    return [path, write_archive(list(runs["run"]), sweep, folder)]
