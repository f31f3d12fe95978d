"""What differs between runs, and what must not."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from analysis.compare.groups import Cell
from analysis.compare.records import RunData
from analysis.compare.select import natural
from hma_ft.config.fingerprint import LEFT_OUT
from hma_ft.config.reads import TRAINING
from hma_ft.config.schema import Reads

_LISTED = 4  # values that a statement names
# Settings that must be equal on one data set, beside the facts below.
EQUAL_KEYS = (
    *("model.name", "model.weights", "model.pretrained", "model.drop_path_rate", "augment", "dataset"),
    *("trainer.max_steps", "trainer.batch_size"),
)
_SPLIT_SEED = "dataset.split_seed"
_NO_SETTING = ("dataset.root", "dataset.download")


@dataclass(frozen=True)
class Difference:
    """A setting with more than one value: the values of each group."""

    key: str
    values: dict[str, list[str]]


def differences(cells: Sequence[Cell]) -> list[Difference]:
    """All settings that differ between the runs, the seed and what changes no result left out."""
    runs = [run for cell in cells for run in cell.everything]
    keys = sorted({key for run in runs for key in run.params if counts(key)})
    found = []
    for key in keys:
        values: dict[str, list[str]] = {}
        for cell in cells:
            mine = values.setdefault(cell.group, [])
            mine += [v for v in _values(_readers(cell.everything, key), key) if v not in mine]
        if len({value for group in values.values() for value in group}) > 1:
            found.append(Difference(key, {group: sorted(mine, key=natural) for group, mine in values.items() if mine}))
    return found


def counts(key: str) -> bool:
    """Whether a setting can change a result; what hma_ft.config.fingerprint leaves out can't."""
    return key != "seed" and not _within(key, LEFT_OUT)


def reads(run: RunData, key: str) -> bool:
    """Whether a run reads a setting; older records don't say what their method declares."""
    if _within(key, TRAINING):
        return run.requires_training
    if _within(key, ("method.hma",)):
        return Reads.hma.value in run.params.get("method.reads", Reads.hma.value)
    return True


def _within(key: str, groups: Iterable[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def _readers(runs: Sequence[RunData], key: str) -> list[RunData]:
    return [run for run in runs if reads(run, key)]


def _values(runs: Sequence[RunData], key: str) -> list[str]:
    return sorted({_setting(key, run) for run in runs}, key=natural)


def _setting(key: str, run: RunData) -> str:
    """A setting's value. A weights file is what it holds, whatever its path, where the record knows that."""
    digest = run.env.get("weights_sha256")
    if key == "model.weights" and digest:
        return f"sha256 {digest[:12]}"
    return run.params.get(key, "none")


def problems(cells: Sequence[Cell], *, by: Sequence[str], tuned: Sequence[str]) -> list[str]:
    """What should be equal and is not, a line each. Settings that group or are tuned may differ."""
    free = {*by, *tuned}
    runs = [run for cell in cells for run in cell.everything]
    if splits_follow_seeds(runs):
        free.add(_SPLIT_SEED)
    found = [line for cell in cells for line in _mixed(cell, free)]
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        runs = [run for cell in cells if cell.dataset == dataset for run in cell.everything]
        for name, fact, concerned in _facts(runs, free):
            found += _unequal(f"{name} on {dataset}", concerned, fact)
    everything = [run for cell in cells for run in cell.everything]
    return found + _unequal("the commit", everything, code_of)


def one_line(found: Sequence[str]) -> str:
    """The first problems, and how many more there are."""
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return "; ".join(found[:_LISTED]) + more


def splits_follow_seeds(runs: Sequence[RunData]) -> bool:
    """Whether every run draws its split by its own seed, so that runs of one seed are the ones to have equal splits."""
    return len({run.seed for run in runs}) > 1 and all(run.params.get(_SPLIT_SEED) == str(run.seed) for run in runs)


def _mixed(cell: Cell, free: set[str]) -> list[str]:
    """Settings that differ within one group, so that its mean would be of different things."""
    keys = {key for run in cell.everything for key in run.params if counts(key)} - free
    values = {key: _values(_readers(cell.everything, key), key) for key in sorted(keys)}
    mixed = [f"{key}={_listed(found)}" for key, found in values.items() if len(found) > 1]
    if mixed:
        advice = "group with --by or choose with --where"
        return [f"group {cell.group} on {cell.dataset} mixes {' and '.join(mixed)} ({advice})"]
    lines = []
    for point in cell.grid:
        twice = [seed for seed, number in Counter(run.seed for run in point.runs).items() if number > 1]
        if twice:
            names = [run.name for run in point.runs if run.seed == twice[0]]
            lines.append(f"group {cell.group} on {cell.dataset} has seed {twice[0]} twice: {_listed(names)}")
    return lines


def _facts(runs: Sequence[RunData], free: set[str]) -> list[tuple[str, Callable[[RunData], str], Sequence[RunData]]]:
    """Name, value of a run, and the runs that it concerns."""
    facts: list[tuple[str, Callable[[RunData], str], Sequence[RunData]]] = []
    for split in ("train", "val", "test"):
        if _SPLIT_SEED in free:
            for seed in sorted({run.seed for run in runs}):
                same_seed = [run for run in runs if run.seed == seed]
                facts += _split_facts(split, f"the {split} split of seed {seed}", same_seed)
        else:
            facts += _split_facts(split, f"the {split} split", runs)
    keys = sorted({key for run in runs for key in run.params})
    for key in keys:
        if key in free or key in _NO_SETTING or not counts(key):
            continue
        if _within(key, EQUAL_KEYS):
            facts.append((key, partial(_setting, key), _readers(runs, key)))
    return facts


def _split_facts(
    split: str, name: str, runs: Sequence[RunData]
) -> list[tuple[str, Callable[[RunData], str], Sequence[RunData]]]:
    """What must be equal of a split: the content of its images, and names where a record is from before those."""
    contents = [run for run in runs if f"{split}_content" in run.data]
    facts: list[tuple[str, Callable[[RunData], str], Sequence[RunData]]] = []
    if len(contents) < len(runs):
        facts.append((name, partial(_digest, split), runs))
    same_names = len({_digest(split, run) for run in contents}) == 1
    what = f"{name} (its images, under equal names)" if same_names else name
    return [*facts, (what, partial(_content, split), contents)]


def _digest(split: str, run: RunData) -> str:
    return str(run.data.get(f"{split}_digest", "unknown"))


def _content(split: str, run: RunData) -> str:
    return str(run.data[f"{split}_content"])[:16]


def _unequal(name: str, runs: Sequence[RunData], value: Callable[[RunData], str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for run in runs:
        groups.setdefault(value(run), []).append(run.name)
    if len(groups) < 2:
        return []
    listed = [f"{text} ({len(names)} runs, such as {names[0]})" for text, names in groups.items()]
    return [f"{name} is not the same: {_listed(listed)}"]


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(values[:_LISTED]) + more


def code_of(run: RunData) -> str:
    """The commit, with a digest of the uncommitted changes."""
    git = run.env.get("git") or {}
    commit = str(git.get("commit") or "unknown")[:12]
    changes = git.get("diff") or ""
    return commit + (f" with changes {hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else "")


def remarks(cells: Sequence[Cell]) -> list[str]:
    """What does not stop a comparison, but should be known."""
    runs = [run for cell in cells for run in cell.everything]
    found = []
    for name, fact, effect in (
        ("device", lambda run: str(run.env.get("device") or "unknown"), "times and memory can't be compared"),
        ("host", lambda run: str(run.env.get("host") or "unknown"), "times can hardly be compared"),
        ("version of torch", lambda run: _version(run, "torch"), "small differences may come from it"),
        ("version of timm", lambda run: _version(run, "timm"), "small differences may come from it"),
    ):
        values = sorted({fact(run) for run in runs})
        if len(values) > 1:
            found.append(f"the {name} differs ({_listed(values)}): {effect}")
    dirty = sum(bool((run.env.get("git") or {}).get("diff")) for run in runs)
    if dirty:
        found.append(f"{dirty} of {len(runs)} runs were done with uncommitted changes; env.json has them")
    for name, fact in (("commit", code_of), ("test split", partial(_digest, "test"))):
        unknown = sum(fact(run) == "unknown" for run in runs)
        if unknown:
            found.append(f"the {name} of {unknown} of {len(runs)} runs is unknown")
    return found + _seed_remarks(cells)


def _version(run: RunData, package: str) -> str:
    return str((run.env.get("packages") or {}).get(package, "unknown"))


def _seed_remarks(cells: Sequence[Cell]) -> list[str]:
    found = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        seeds = {tuple(cell.seeds): cell.group for cell in cells if cell.dataset == dataset}
        if len(seeds) > 1:
            listed = [f"{group} {','.join(mine)}" for mine, group in seeds.items()]
            found.append(f"the seeds on {dataset} differ ({'; '.join(listed)}): paired tests take the common ones")
    for cell in cells:
        grid = {tuple(run.seed for run in point.runs) for point in cell.grid}
        if len(grid) > 1:
            found.append(
                f"{cell.group} on {cell.dataset} has other seeds at some settings of its grid: "
                "the choice was made on the common ones, if there are any"
            )
    return found
