"""The study's page from real runs: its figures are those of the records, and what was not run is said."""

import csv
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import yaml

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def study(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analysis.study", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_page_has_the_figures_of_the_records(run_py: RunPy, tmp_path: Path, repository: Path) -> None:
    small = ["model=vit_micro", "dataset=digits", "augment=digits", "trainer.max_steps=6", "scheduler.warmup_steps=1"]
    axes = ["seed=0,1", "method=head,hma_head", "optimizer.lr=0.01,0.1", "trainer.eval_every=3"]
    done = run_py("-m", "sweep=study/dtd", *small, *axes)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = study(repository, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr
    assert not (tmp_path / "STUDY_BEYOND.md").exists()  # none of its sweeps was run
    text = (tmp_path / "STUDY.md").read_text()
    assert "## Is memory worth it on textures?" in text and "No answer: its sweep was not run." in text
    assert "No answer: --baseline mlp_head is no group" in text  # it is not taken for a sweep that was not run
    assert (tmp_path / "study" / "study_dtd_accuracy.png").stat().st_size > 10_000
    chosen = dict(re.findall(r"\| digits \| (\w+) \| 2 \| .* lr ([\d.]+) of 2", text))
    for method, rate in chosen.items():
        scores = []
        for path in (tmp_path / "runs" / "digits").glob(f"{method}-*/result.json"):
            if yaml.safe_load((path.parent / "config.yaml").read_text())["optimizer"]["lr"] == float(rate):
                scores.append(json.loads(path.read_text())["test/top1"])
        assert len(scores) == 2
        assert f"| digits | {method} | 2 | {100 * mean(scores):.2f} |" in text
    assert set(chosen) == {"head", "hma_head"}
    (verdict,) = re.findall(r"- `hma_head` against `head`: .* 2 seeds\): (.*)", text)
    assert verdict == "can't decide"
    for file in re.findall(r"\]\((study/[^)]*)\)", text):
        assert (tmp_path / file).exists()
    with (tmp_path / "study/study_dtd.csv").open() as table:
        rows = {row["fingerprint"]: row for row in csv.DictReader(table)}
    with np.load(tmp_path / "study/study_dtd.npz") as answers:
        top1 = (answers["predicted"] == answers["labels"]).mean(axis=1)
        assert dict(zip(answers["fingerprints"], top1, strict=True)) == pytest.approx(
            {name: float(row["test/top1"]) for name, row in rows.items()}
        )
    assert {(row["seed"], row["method.name"], row["optimizer.lr"]) for row in rows.values()} == set(
        itertools.product("01", ("head", "hma_head"), ("0.01", "0.1"))
    )


def test_without_runs_it_is_one_line(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "runs").mkdir()
    made = study(repository, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path))
    assert made.returncode == 2 and not list(tmp_path.glob("*.md"))
    assert made.stderr.startswith("error: ") and made.stderr.count("\n") == 1
