"""The memory study: formulas against what they stand for, and a whole pass on invented features."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.memory_study import features, protocol, table
from analysis.memory_study.features import DataSet, Part
from analysis.memory_study.kernels import gaussian, kernel_ridge, laplace, mean_square_distance, whitened
from analysis.memory_study.split import Split, draw
from analysis.methods.build import build
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.create import create_untrained
from tests.methods.test_knn import clusters


def invented(count: int, seed: int) -> Part:
    found = clusters(count, seed)
    return Part(found.features, found.labels)


@pytest.fixture
def split() -> Split:
    return draw(invented(150, 1), invented(80, 2), val_share=0.4, seed=0)


def test_seeds_draw_other_splits_of_the_pool(split: Split) -> None:
    other = draw(invented(150, 1), invented(80, 2), val_share=0.4, seed=1)
    assert sorted([*split.train_rows.tolist(), *split.val_rows.tolist()]) == list(range(150))
    assert len(split.val_rows) == 60 and set(other.val_rows.tolist()) != set(split.val_rows.tolist())
    assert torch.equal(split.test.labels, other.test.labels)


def test_left_out_predictions_are_those_of_a_fit_without_the_image(split: Split) -> None:
    parts = [part.features for part in split[:3]]
    kernel = gaussian(2.0, mean_square_distance(parts[0]))
    fitted = kernel_ridge(split, parts, kernel, "", left_out=True)
    ridge = float(fitted.chosen.removeprefix("ridge="))
    gram, targets, kept = kernel(parts[0], parts[0]), split.one_hot, torch.arange(len(parts[0])) != 7
    prior = targets.mean(0)  # it stays that of all images
    solved = torch.linalg.solve(gram[kept][:, kept] + ridge * torch.eye(int(kept.sum())), targets[kept] - prior)
    assert fitted.left_out is not None
    torch.testing.assert_close(fitted.left_out[7], gram[7, kept] @ solved + prior, atol=1e-4, rtol=0)


def test_the_study_and_the_method_say_the_same(split: Split) -> None:
    parts = whitened(split, 1.0)
    found = kernel_ridge(split, parts, laplace(1.0, mean_square_distance(parts[0])), "")
    config = build("method=kernel_ridge", f"method.options.ridge=[{found.chosen.removeprefix('ridge=')}]").config
    method = create_untrained(config, split.classes).eval()
    train, val = (LabelledFeatures(p.features, p.labels, torch.arange(len(p.labels))) for p in split[:2])
    method.fit(train, val, None)
    logits = method.classify(split.test.features, None)
    torch.testing.assert_close(logits.log_softmax(1), found.test, atol=1e-2, rtol=0)


def test_a_pass_is_continued_and_tabulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, test = invented(150, 1), invented(80, 2)
    arrays = {f"{n}_{c}": getattr(p, c).numpy() for n, p in {"pool": pool, "test": test}.items() for c in Part._fields}
    np.savez(tmp_path / "toy.npz", **arrays)
    for module, name in ((protocol, "DEVELOPED_ON"), (protocol, "JUDGED_ON")):
        monkeypatch.setattr(module, name, {"toy": DataSet("", "", 0.4)})
    protocol.develop(tmp_path, 1)
    protocol.judge(tmp_path, 1)
    first = (tmp_path / "develop.jsonl").read_text()
    protocol.develop(tmp_path, 1)
    assert (tmp_path / "develop.jsonl").read_text() == first
    rows = [json.loads(line) for line in first.splitlines()]
    assert len({row["attempt"] for row in rows}) == len(rows) > 25
    assert "| ranpac |" in table.table(rows, ["ranpac"]) and features.DEVELOPED_ON.keys().isdisjoint(features.JUDGED_ON)


def test_differences_are_paired_by_seed() -> None:
    rows = [
        {"set": "toy", "seed": seed, "attempt": name, "test": test}
        for name, tests in {"one": [1.0, 2.0, 3.0], "other": [0.0, 1.5, 2.0]}.items()
        for seed, test in enumerate(tests)
    ]
    assert table.paired(rows, "one", ["other"]).splitlines()[-2:] == [
        "| toy | +0.83 ± 0.72 |",
        "| mean | +0.83 ± 0.72 |",
    ]
