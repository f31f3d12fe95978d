"""What tables say where test images are in groups (patient, camera or site), which are resampled in their place."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.compare.comparison import Comparison
from analysis.compare.metric import plain
from analysis.compare.records.frame import setting
from analysis.compare.tables.table import Column

SENTENCE = (
    "Test images of one group (dataset.options.group) are not independent: whole groups are resampled and counted in "
    "place of images (cluster bootstrap, Field and Welsh 2007)."
)
_OPTION = "dataset.options.group"


def groups_column() -> Column:
    """Number of groups; left out of a table where no row has any."""
    return Column("groups of images", "groups", lambda groups: plain(groups) if groups else "")


def unit(row: Mapping[str, Any]) -> str:
    """What a row's test resamples beside seeds, in words."""
    return "groups of test images" if row.get("groups") else "test images"


def without_groups(comparison: Comparison, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for the data sets whose images have groups that some record does not know; `rows` of the verdicts."""
    found = {
        group.dataset
        for group in comparison.groups
        if (setting(group.runs, _OPTION) != "none").any()
        and any(row["dataset"] == group.dataset and row["images"] and not row["groups"] for row in rows)
    }
    return [
        f"{dataset} has groups of images ({_OPTION}) that older records lack: its images are resampled as if they were "
        "independent, and intervals are too narrow; repeat the runs with fresh=true"
        for dataset in sorted(found)
    ]
