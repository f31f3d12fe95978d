"""Which settings of runs can have changed their results."""

from collections.abc import Iterable

import pandas as pd

from analysis.compare.records.frame import as_text, column, takes_steps
from hma_ft.config.fingerprint import LEFT_OUT
from hma_ft.config.reads import TRAINING
from hma_ft.config.schema import Reads


def counts(key: str) -> bool:
    """Whether a setting can change a result; what hma_ft.config.fingerprint leaves out can't."""
    return "." in key and not within(key, LEFT_OUT)


def within(key: str, groups: Iterable[str]) -> bool:
    """Whether a setting is one of those named, or below one of them."""
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def settings_read(runs: pd.DataFrame) -> pd.DataFrame:
    """Settings that count, as text; nan where a run does not read them.

    A weights file is what it holds, whatever its path, where the record knows that.
    """
    values = as_text(runs[sorted(filter(counts, runs.columns))])
    settings = {str(key): values[key] for key in values.columns}
    if "model.weights" in settings:
        digests = "sha256 " + runs["weights"].astype(str).str[:12]
        settings["model.weights"] = settings["model.weights"].where(runs["weights"].isna(), digests)
    # older records don't say what their method declares
    reads_hma = column(runs, "method.reads").astype(object).fillna(Reads.hma.value).str.contains(Reads.hma.value)
    for groups, readers in ((TRAINING, takes_steps(runs)), (("method.hma",), reads_hma)):
        settings |= {key: values.where(readers) for key, values in settings.items() if within(key, groups)}
    return pd.DataFrame(settings)
