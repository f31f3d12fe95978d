"""What differs between runs, and what must not."""

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.compare.folds import unpooled
from analysis.compare.groups import Group
from analysis.compare.records.frame import setting
from analysis.compare.select import natural
from analysis.compare.settings import settings_read, within
from hma_ft.config.check_dataset import FOLD

_LISTED = 4  # values that a sentence names
# Settings that must be equal on one data set, beside the splits.
EQUAL_KEYS = (
    *("model.name", "model.weights", "model.pretrained", "model.drop_path_rate", "augment", "dataset"),
    *("trainer.max_steps", "trainer.batch_size"),
)
# Part of the method, as its learning rate is, where they are its recipe's.
RECIPE = {"trainer.max_steps": "method.recipe.max_steps", "trainer.batch_size": "method.recipe.batch_size"}
_SPLIT_SEED = "dataset.split_seed"
_NO_SETTING = ("dataset.root", "dataset.download")


def differences(groups: Sequence[Group]) -> dict[str, dict[str, list[str]]]:
    """Values of each group by setting: all settings that differ, the seed and what changes no result left out."""
    runs = pd.concat([group.every_run for group in groups])
    settings = settings_read(runs)
    found = {}
    for key in settings.columns[settings.nunique() > 1]:
        by_group = settings[key].dropna().groupby(runs["group"], sort=False)
        found[str(key)] = {str(label): sorted(set(values), key=natural) for label, values in by_group}
    return found


def problems(groups: Sequence[Group], *, by: Sequence[str], tuned: Sequence[str]) -> list[str]:
    """What should be equal and is not, a line each. Settings that group or are tuned may differ."""
    runs = pd.concat([group.every_run for group in groups])
    single = unpooled(runs)
    seed_draws_split = splits_follow_seeds(runs)
    free = [*by, *tuned, *([_SPLIT_SEED] if seed_draws_split else [])]
    settings = settings_read(runs).drop(columns=free, errors="ignore")
    found = [line for group in groups for line in _mixed(group, settings)]
    for dataset, own in runs.groupby("dataset.name", sort=False):
        for split in ("train", "val", "test"):
            for which, part in _of_equal_splits(single[single["dataset.name"] == dataset], by_seed=seed_draws_split):
                found += _other_split(split, f"the {split} split{which}", part, str(dataset))
        for key in settings.columns:
            if within(key, EQUAL_KEYS) and key not in _NO_SETTING:
                found += _unequal(f"{key} on {dataset}", _beside_recipe(key, settings.loc[own.index, key], own), own)
        on_dataset = single[single["dataset.name"] == dataset]
        found += _unequal(f"the commit on {dataset}", on_dataset["commit"], on_dataset)
    return found


def _of_equal_splits(runs: pd.DataFrame, *, by_seed: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs on a data set that should have the same splits, and whose those are, in words."""
    folds = setting(runs, FOLD) if "members" in runs else pd.Series("none", runs.index)
    seeds = runs["seed"] if by_seed else pd.Series("", runs.index)
    for (seed, fold), part in runs.groupby([seeds, folds]):
        of_fold = f" of fold {fold}" if fold != "none" else ""
        yield f"{of_fold}{f' of seed {seed}' if by_seed else ''}", part


def _beside_recipe(key: str, values: pd.Series, runs: pd.DataFrame) -> pd.Series:
    """The values of a setting; equal ones in place of those that all come from the methods' recipes."""
    own = values == setting(runs, RECIPE.get(key, "none"))
    return values.where(~own | values.isna(), "the recipe's") if (own | values.isna()).all() else values


def one_line(found: Sequence[str]) -> str:
    """The first problems, and how many more there are."""
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return "; ".join(found[:_LISTED]) + more


def splits_follow_seeds(runs: pd.DataFrame) -> bool:
    """Whether every run draws its split by its own seed, so that runs of one seed are the ones to have equal splits."""
    return runs["seed"].nunique() > 1 and bool((setting(runs, _SPLIT_SEED) == runs["seed"]).all())


def _mixed(group: Group, settings: pd.DataFrame) -> list[str]:
    """What makes a mean of different things: settings that differ within one group, a seed that is there twice."""
    own, name = settings.loc[group.every_run.index], f"group {group.label} on {group.dataset}"
    several = own.columns[own.nunique() > 1]
    mixed = [f"{key}={_listed(sorted(set(own[key].dropna()), key=natural))}" for key in several]
    if mixed:
        by = "--by method,method.peft.name" if "method.peft.name" in several else "--by"
        return [f"{name} mixes {' and '.join(mixed)} (group with {by} or choose with --where)"]
    twice = group.every_run[group.every_run.duplicated(["setting", "seed"], keep=False)]
    first = [runs[runs["seed"] == runs["seed"].iloc[0]] for _, runs in twice.groupby("setting", sort=False)]
    return [f"{name} has seed {runs['seed'].iloc[0]} twice: {_listed(list(runs['name']))}" for runs in first]


def _other_split(split: str, name: str, runs: pd.DataFrame, dataset: str) -> list[str]:
    """What must be equal of a split: the content of its images, and names where a record is from before those."""
    digests, contents = runs[f"{split}_digest"], runs[f"{split}_content"]
    known = contents.notna()
    same_names = digests[known].nunique() == 1
    what = f"{name} (its images, under equal names)" if same_names else name
    found = [] if known.all() else _unequal(f"{name} on {dataset}", digests, runs)
    return found + _unequal(f"{what} on {dataset}", contents[known].astype(str).str[:16], runs)


def _unequal(name: str, values: pd.Series, runs: pd.DataFrame) -> list[str]:
    by_value = runs["name"].groupby(values, sort=False)
    if len(by_value) < 2:
        return []
    listed = [f"{value} ({len(names)} runs, such as {names.iloc[0]})" for value, names in by_value]
    return [f"{name} is not the same: {_listed(listed)}"]


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(values[:_LISTED]) + more


def warnings(groups: Sequence[Group]) -> list[str]:
    """What does not stop a comparison, but should be known."""
    runs = unpooled(pd.concat([group.every_run for group in groups]))
    found = []
    for name, key, effect in (
        ("device", "device", "times and memory can't be compared"),
        ("host", "host", "times can hardly be compared"),
        ("commit", "commit", "methods are compared on each data set by itself"),
        ("version of torch", "torch", "small differences may come from it"),
        ("version of timm", "timm", "small differences may come from it"),
    ):
        if runs[key].nunique() > 1:
            found.append(f"the {name} differs ({_listed(sorted(set(runs[key])))}): {effect}")
    if runs["uncommitted"].any():
        changed = f"{runs['uncommitted'].sum()} of {len(runs)}"
        found.append(f"{changed} runs were done with uncommitted changes; env.json has them")
    for name, key in (("commit", "commit"), ("test split", "test_digest")):
        unknown = (runs[key] == "unknown").sum()
        if unknown:
            found.append(f"the {name} of {unknown} of {len(runs)} runs is unknown")
    for dataset in dict.fromkeys(group.dataset for group in groups):
        seeds = {tuple(group.seeds): group.label for group in groups if group.dataset == dataset}
        if len(seeds) > 1:
            listed = "; ".join(f"{label} {','.join(own)}" for own, label in seeds.items())
            found.append(f"the seeds on {dataset} differ ({listed}): paired tests take the common ones")
    for group in groups:
        if len({tuple(seeds) for _, seeds in group.every_run.groupby("setting")["seed"]}) > 1:
            found.append(
                f"{group.label} on {group.dataset} has other seeds at some settings of its grid: "
                "the choice was made on the common ones, if there are any"
            )
    return found
