"""The two passes of the memory study: every attempt where it was developed, then the chosen one, once, elsewhere."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from analysis.memory_study.attempts import attempts, rivals
from analysis.memory_study.features import DEVELOPED_ON, JUDGED_ON, DataSet, load
from analysis.memory_study.mixing import mixed
from analysis.memory_study.rivals import random_features
from analysis.memory_study.split import Fitted, Split, accuracy, calibrated, draw
from analysis.methods.build import build
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.create import create_untrained

RIVALS = ("knn", "linear", "ridge", "lda", "lda, shrinkage by val", "logreg", "ranpac")
CHOSEN = "kernel_ridge"  # of all attempts, before the other data sets were looked at
MIXED = f"logreg + {CHOSEN}", ["logreg + ranpac (no memory)"]
Run = Callable[[Split, tuple[Tensor, Tensor]], Iterator[tuple[str, Fitted]]]


def develop(folder: Path, seeds: int) -> None:
    """Append every attempt on every split to folder/develop.jsonl."""
    _record(DEVELOPED_ON, folder, folder / "develop.jsonl", seeds, attempts)


def judge(folder: Path, seeds: int) -> None:
    """Append the rivals and the chosen method on every split to folder/judge.jsonl."""
    _record(JUDGED_ON, folder, folder / "judge.jsonl", seeds, _judged)


def _judged(split: Split, grams: tuple[Tensor, Tensor]) -> Iterator[tuple[str, Fitted]]:
    found = dict(rivals(split, grams))
    found[CHOSEN] = _chosen(split)
    found["logreg + ranpac (no memory)"] = mixed(found["logreg"], found["ranpac"], split)
    found[f"logreg + {CHOSEN}"] = mixed(found["logreg"], found[CHOSEN], split)
    yield from found.items()


def _chosen(split: Split) -> Fitted:
    """What the method of the suite says, by its own YAML."""
    method = create_untrained(build(f"method={CHOSEN}", "model=deit_tiny").config, split.classes).eval()
    train, val = (LabelledFeatures(*part, rows) for part, rows in zip(split[:2], split[3:5], strict=True))
    method.fit(train, val)
    logits = [method.classify(part.features, None) for part in (split.val, split.test)]
    return calibrated(logits, method.chosen, split)


def _record(data_sets: dict[str, DataSet], folder: Path, file: Path, seeds: int, run: Run) -> None:
    """A line for each classifier of each split; a split that is recorded is not computed again."""
    known = {(row["set"], row["seed"]) for row in read(file)} if file.exists() else set()
    for name, data_set in data_sets.items():
        missing = [seed for seed in range(seeds) if (name, seed) not in known]
        if not missing:
            continue
        pool, test = load(name, folder)
        grams = random_features(pool.features, test.features)
        for seed in missing:
            split = draw(pool, test, val_share=data_set.val_share, seed=seed)
            rows = [_row(name, split, attempt, fitted) for attempt, fitted in run(split, grams)]
            with file.open("a") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in rows)
            print(name, "seed", seed, flush=True)


def read(file: Path) -> list[dict[str, float | str]]:
    """The rows of a file of results."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def _row(name: str, split: Split, attempt: str, fitted: Fitted) -> dict[str, float | str]:
    return {
        "set": name,
        "seed": split.seed,
        "attempt": attempt,
        "test": accuracy(fitted, split),
        "val": 100 * fitted.score.accuracy,
        "chosen": fitted.chosen,
    }
