"""Folds of cross-validation: the runs of one seed and setting, a fold each, are one row of what is compared.

A seed's score is over the test images of its folds together, not the mean of the folds' scores (Forman and Scholz
2010, "Apples-to-apples in cross-validation studies", SIGKDD Explorations 12, 49). The training sets of folds overlap,
so folds are no independent repetitions, and no unbiased estimate of their variance exists (Bengio and Grandvalet 2004,
JMLR 5, 1089): what is counted and resampled are seeds and test images.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.compare.fold_runs import FoldRun, pooled_run
from analysis.compare.groups import group_label
from analysis.compare.records.frame import setting
from analysis.compare.settings import settings_read
from hma_ft.config.check_dataset import FOLD, fold_numbers
from hma_ft.errors import UserError

_LISTED = 4  # that a sentence names


@dataclass(frozen=True)
class _Pool:
    """The runs of one seed and setting, in the order of folds."""

    label: str  # of the group
    seed: str
    count: int  # of folds that the images are divided into
    runs: pd.DataFrame  # `fold`: the number of each
    folds: frozenset[int]

    @property
    def place(self) -> str:
        return f"seed {self.seed} of {self.label} on {self.runs['dataset.name'].iloc[0]}"


def pool_folds(runs: pd.DataFrame, *, by: Sequence[str], tuned: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The frame with one row for all folds of a seed and setting, and what is to be said of it, a line each.

    Such a row has test metrics of the pooled images, means over the folds of all other numbers, and its runs' own rows
    in `members`. Nothing is pooled where no run has a fold, or where the fold is what groups. A seed that lacks a fold
    which other runs of the data set have is left out. Where all have the same fold, it is a test split like any other.

    Raises:
        UserError: folds of different divisions, a fold twice, no complete seed of a group, shared test images.
    """
    numbers = [fold_numbers(text) for text in setting(runs, FOLD)]
    has_fold = [found is not None for found in numbers]
    if FOLD in by or not any(has_fold):
        return runs, []
    folded = runs[has_fold].assign(fold=[n[0] for n in numbers if n], fold_count=[n[1] for n in numbers if n])
    rows, single, notes = [], list(runs.index[[not found for found in has_fold]]), []
    for dataset, own in folded.groupby("dataset.name", sort=False):
        count = _one_count(str(dataset), own)
        if own["fold"].nunique() == 1:
            single += list(own.index)
            continue
        pools = list(_pools(own, by, tuned))
        wanted = frozenset(own["fold"])
        complete = [pool for pool in pools if pool.folds == wanted]
        notes += _pooling_notes(str(dataset), wanted, count)
        notes += _left_out(str(dataset), pools, wanted)
        rows += [_row(pool) for pool in complete]
    if not rows:
        return runs, notes
    pooled = pd.DataFrame(rows).drop(columns=["fold", "fold_count"])
    return pd.concat([runs.loc[single], pooled], ignore_index=True).copy(), notes


def unpooled(runs: pd.DataFrame) -> pd.DataFrame:
    """The frame with the row of each run in place of that of its seed, whose group and choice it has."""
    if "members" not in runs:
        return runs
    rows = runs.to_dict("records")
    return pd.DataFrame([row | member for row in rows for member in _members(row["members"])])


def _members(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else [{}]


def _one_count(dataset: str, runs: pd.DataFrame) -> int:
    """Into how many folds the images are divided. UserError where that differs."""
    counts = sorted(set(runs["fold_count"]))
    if len(counts) > 1:
        example = ",".join(f"{number}/{counts[0]}" for number in range(1, counts[0] + 1))
        raise UserError(
            f"runs on {dataset} have {' and '.join(map(str, counts))} folds, which divide its images differently: "
            f"choose one by --where {FOLD}={example}"
        )
    return int(counts[0])


def _pools(runs: pd.DataFrame, by: Sequence[str], tuned: Sequence[str]) -> Iterator[_Pool]:
    """Runs that differ in nothing that counts but the fold. UserError where one fold is there twice."""
    keys = settings_read(runs).drop(columns=FOLD).fillna("none").astype(str)
    named = [key for key in by if key != "dataset.name"]
    keys = keys.assign(**{key: setting(runs, key) for key in (*named, *tuned)}, seed=runs["seed"])
    for _, own in runs.groupby(list(keys.agg("\n".join, axis=1)), sort=False):
        ordered = own.sort_values("fold", kind="stable")
        label = group_label(named, [str(setting(own, key).iloc[0]) for key in named])
        seed, count = str(own["seed"].iloc[0]), int(own["fold_count"].iloc[0])
        pool = _Pool(label, seed, count, ordered, frozenset(ordered["fold"]))
        twice = ordered[ordered.duplicated("fold", keep=False)]
        if len(twice):
            number, names = twice["fold"].iloc[0], ", ".join(twice["place"][twice["fold"] == twice["fold"].iloc[0]])
            raise UserError(
                f"fold {number}/{count} of {pool.place} is there twice ({names}): choose one with --runs or --where"
            )
        yield pool


def _pooling_notes(dataset: str, folds: frozenset[int], count: int) -> list[str]:
    absent = frozenset(range(1, count + 1)) - folds
    without = f"; no run has {_named(absent, count)}, whose images are left out" if absent else ""
    return [
        f"{dataset}: a seed's test score is over the images of its {len(folds)} folds together, val and costs are "
        f"means over the folds{without}"
    ]


def _left_out(dataset: str, pools: Sequence[_Pool], wanted: frozenset[int]) -> list[str]:
    """A line for each group of which seeds lack folds. UserError where no seed of a group has all."""
    lines = []
    for label in dict.fromkeys(pool.label for pool in pools):
        own = [pool for pool in pools if pool.label == label]
        lacking = [pool for pool in own if pool.folds != wanted]
        named = [f"seed {pool.seed} lacks {_named(wanted - pool.folds, pool.count)}" for pool in lacking]
        listed = "; ".join(list(dict.fromkeys(named))[:_LISTED])
        more = f"; and {len(set(named)) - _LISTED} more" if len(set(named)) > _LISTED else ""
        if len(lacking) == len(own):
            raise UserError(
                f"no seed of {label} on {dataset} has all folds in one setting ({listed}{more}): run those that are "
                f"missing, or choose runs with --where"
            )
        if lacking:
            lines.append(f"{label} on {dataset}: {listed}{more}: left out, as scores are over the images of all folds")
    return lines


def _named(folds: frozenset[int], count: int) -> str:
    return ", ".join(f"{number}/{count}" for number in sorted(folds))


def _row(pool: _Pool) -> dict[str, object]:
    """The row of a seed and setting: a run's, with the numbers of all."""
    members = pool.runs.to_dict("records")
    run = pooled_run([FoldRun(member["fold"], member["run"]) for member in members], place=pool.place)
    names = dict.fromkeys([*map(str, pool.runs.select_dtypes("number")), *run.result])
    metrics = {name: run.result.get(name, math.nan) for name in names if "/" in name}
    same = {"run": run, "name": run.name, FOLD: f"each of {pool.count}", "members": members}
    return {str(name): value for name, value in members[0].items()} | metrics | same
