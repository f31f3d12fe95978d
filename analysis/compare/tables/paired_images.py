"""Every group against the baseline, over test images."""

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.metric import METRICS, probability
from analysis.compare.statistics.clusters import by_group, totals
from analysis.compare.statistics.image_differences import paired_differences
from analysis.compare.statistics.over_images import image_test
from analysis.compare.statistics.over_seeds import holm
from analysis.compare.tables.image_groups import SENTENCE, groups_column
from analysis.compare.tables.paired_seeds import paired_runs
from analysis.compare.tables.table import PLACE, Column, Table, frame

_TOP1 = METRICS["top1"]


def images_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """One row a group and data set whose predictions are there; and where they are missing."""
    pairs = [(group, base) for group, base in comparison.comparisons if paired_runs(group, base)]
    tested = [(group, _row(comparison, group, base)) for group, base in pairs]
    rows = frame([row for _, row in tested if row is not None])
    if len(rows):
        rows["p_mcnemar_holm"] = holm(rows["p_mcnemar"])
    columns = [
        *PLACE,
        Column("images", "images"),
        groups_column(),
        Column("seeds", "seeds", lambda seeds: str(len(seeds))),
        Column("difference, points", "difference", _TOP1.signed),
        Column(f"{comparison.percent} (bootstrap)", ("low", "high"), _TOP1.signed_interval),
        Column("more seeds right", "better"),
        Column("fewer", "worse"),
        Column("p (McNemar)", "p_mcnemar", probability),
        Column("Holm", "p_mcnemar_holm", probability),
    ]
    grouped = f"{SENTENCE} " if len(rows) and rows["groups"].any() else ""
    note = (
        "Resampled and counted are test images: what these trained models do on further images, not what further seeds "
        "do. McNemar's exact test counts images that the group recognises in more, or in fewer, seeds than the "
        f"baseline. {grouped}Holm: corrected for the {len(rows)} rows of the table."
    )
    missing = "; ".join(f"{group.label} on {group.dataset}" for group, row in tested if row is None)
    notes = [f"no test over images, as predictions are missing or seeds have other test images: {missing}"]
    title = f"Against {comparison.baseline}: test images alone, top-1"
    return Table("images", title, columns, rows, note), notes if missing else []


def _row(comparison: Comparison, group: Group, base: Group) -> dict[str, object] | None:
    """Over the common seeds; None where predictions are missing, or not all seeds were tested on the same images."""
    pairs = paired_runs(group, base)
    found = paired_differences(pairs, _TOP1, comparison.mode)
    if found is None or (np.bincount(found.images) != len(pairs)).any():
        return None
    units = by_group(found)
    by_unit = np.bincount(units.images, weights=units.values) / len(pairs)
    place: dict[str, object] = {"dataset": group.dataset, "group": group.label, "baseline": base.label}
    place |= {"images": int(found.images.max()) + 1, "groups": 0 if found.groups is None else len(by_unit)}
    place |= {"seeds": [run.params["seed"] for run, _ in pairs]}
    return place | image_test(by_unit, level=comparison.level, totals=totals(found))._asdict()
