"""Every group against the baseline over seeds, with the test images held fixed."""

import numpy as np
import pandas as pd

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.metric import probability
from analysis.compare.records.run import Run
from analysis.compare.statistics.over_seeds import holm, paired_test
from analysis.compare.tables.table import PLACE, Column, Table, frame


def paired_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    metric, rows = comparison.metric, frame([_row(comparison, *pair) for pair in comparison.comparisons])
    for name in ("p_t", "p_sign_flip") if len(rows) else ():
        rows[f"{name}_holm"] = holm(rows[name])
    columns = [
        *PLACE,
        Column("pairs", "pairs"),
        Column(f"difference, {metric.difference_unit}", "difference", metric.signed),
        Column(f"{comparison.percent} (t)", ("t_low", "t_high"), metric.signed_interval),
        Column("p (t)", "p_t", probability),
        Column("Holm", "p_t_holm", probability),
        Column("p (signs)", "p_sign_flip", probability),
        Column("Holm", "p_sign_flip_holm", probability),
        Column("least p", "min_attainable_p", probability),
    ]
    note = (
        "Differences are by seed, on the same test images: what further seeds do on these images, not what they do on "
        "further images. p (signs) is the sign-flip test's, least p what it can give at best with this number of "
        f"seeds. Holm: corrected for the {len(rows)} rows of the table."
    )
    title = f"Against {comparison.baseline}: seeds alone, {metric.title}"
    return Table("paired", title, columns, rows, note)


def _row(comparison: Comparison, group: Group, base: Group) -> dict[str, object]:
    differences = seed_differences(comparison, group, base)
    found = paired_test(differences.to_numpy(), level=comparison.level)
    place = {"dataset": group.dataset, "group": group.label, "baseline": base.label, "pairs": found.pairs}
    return place | {"differences": differences.to_dict()} | found._asdict()


def seed_differences(comparison: Comparison, group: Group, base: Group) -> pd.Series:
    """Group minus baseline in the test metric, by common seed; without those where one is not finite."""
    mine, other = (pd.Series(comparison.scores(found), found.seeds) for found in (group, base))
    mine, other = (values[~values.index.duplicated(keep="last")] for values in (mine, other))
    difference = mine - other.reindex(mine.index)
    return difference[np.isfinite(difference)]


def paired_runs(group: Group, base: Group) -> list[tuple[Run, Run]]:
    """The two runs of each common seed."""
    mine, other = ({run.params["seed"]: run for run in found.runs["run"]} for found in (group, base))
    return [(mine[seed], other[seed]) for seed in mine if seed in other]
