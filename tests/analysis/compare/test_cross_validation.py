"""Cross-validation from the command line to the comparison, on patients with several images each."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from analysis.compare.__main__ import main
from tests.data.layouts import image

RunPy = Callable[..., subprocess.CompletedProcess[str]]
PATIENTS, IMAGES = 12, 3


@pytest.mark.slow
def test_folds_of_a_multirun_are_scored_together(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    for patient in range(PATIENTS):
        for number in range(IMAGES):
            label = ("ill", "well")[patient % 2]
            image(tmp_path / "scans" / label / f"p{patient:02d}_{number}.png", 10 * patient + number, (16, 16))
    data = ["dataset=folder", f"dataset.root={tmp_path / 'scans'}", r'dataset.options.group="(p\d+)_"']
    axes = ["method=head,ncm", "dataset.options.fold=1/3,2/3,3/3", "seed=0,1"]
    small = [setting for setting in tiny if not setting.startswith("dataset=")]
    stages = ["sweep.name=cv", "sweep.compare=true", "sweep.baseline=ncm"]
    done = run_py("-m", *stages, *small, *data, *axes, "trainer.max_steps=4")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (path,) = (tmp_path / "runs/sweeps").glob("cv-*/verdict.json")
    compared = json.loads(path.read_text())
    assert [(row["group"], row["seeds"]) for row in compared["rows"]] == [("ncm", 2), ("head", 2)]
    assert not compared["warnings"]

    correct: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    labels: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    groups: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for path in (tmp_path / "runs/folder").glob("*/predictions.npz"):
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        place = config["method"]["name"], str(config["seed"])
        with np.load(path) as stored:
            correct[place].append(stored["probabilities"].argmax(axis=1) == stored["labels"])
            labels[place].append(stored["labels"])
            groups[place].append(np.unique(stored["groups"]))
    assert len(correct) == 4 and all(len(parts) == 3 for parts in correct.values())
    for parts in groups.values():  # no patient is in two folds, and every one in some
        assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts)) == PATIENTS

    for metric in ("top1", "mean_per_class"):
        options = ["--sweep", "cv", "--baseline", "ncm", "--metric", metric, "--no-figures"]
        assert main(["--runs", str(tmp_path / "runs"), *options, "--out", str(tmp_path / "out")]) == 0
        found = json.loads((tmp_path / "out/comparison.json").read_text())["tables"]
        for row in found["summary"]["rows"]:
            expected = []
            for seed in row["seeds"]:
                hits, classes = (np.concatenate(part[row["group"], seed]) for part in (correct, labels))
                assert len(hits) == PATIENTS * IMAGES
                of_class = [hits[classes == label].mean() for label in (0, 1)]
                expected.append(hits.mean() if metric == "top1" else np.mean(of_class))
            assert row["values"] == pytest.approx(expected, abs=1e-12)
        (row,) = found["verdict"]["rows"]
        assert (row["seeds"], row["images"], row["groups"]) == (2, PATIENTS * IMAGES, PATIENTS)
        assert row["verdict"] == "underpowered (needs 6 seeds)"
