"""The study's page from real runs: its figures are those of the records, and what was not run is said."""

import csv
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import yaml

from analysis.compare.records.archive import read_archive
from tests import processes

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def study(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run("analysis.study", *arguments, folder=repository)


@pytest.mark.slow
def test_the_page_has_the_figures_of_the_records(run_py: RunPy, tmp_path: Path, repository: Path) -> None:
    small = ["model=vit_micro", "dataset=digits", "augment=digits", "trainer.max_steps=6", "scheduler.warmup_steps=1"]
    axes = ["seed=0,1", "method=head,hma_head", "optimizer.lr=0.01,0.1", "trainer.eval_every=3"]
    done = run_py("-m", "sweep=study/dtd", *small, *axes)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = study(repository, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr
    assert [path.name for path in tmp_path.glob("*.md")] == ["STUDY_SHORT.md"]  # no sweep of the others was run
    text = (tmp_path / "STUDY_SHORT.md").read_text()
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
    verdicts = re.findall(r"^\| digits \| hma_head \| 2 \| \d+ \| [^|]*\|[^|]*\|[^|]*\| ([^|]*) \|", text, re.MULTILINE)
    assert verdicts == ["underpowered (needs 6 seeds)"]
    for file in re.findall(r"\]\((study/[^)]*)\)", text):
        assert (tmp_path / file).exists()
    with (tmp_path / "study/study_dtd.csv").open() as table:
        rows = {row["fingerprint"]: row for row in csv.DictReader(table)}
    assert {(row["seed"], row["method.name"], row["optimizer.lr"]) for row in rows.values()} == set(
        itertools.product("01", ("head", "hma_head"), ("0.01", "0.1"))
    )
    archived, _ = read_archive(tmp_path / "study/study_dtd.records.npz")
    answers = {run.fingerprint[:12]: run.read_predictions("") for run in archived}
    assert {name: found.correct.mean() for name, found in answers.items()} == pytest.approx(
        {name: float(row["test/top1"]) for name, row in rows.items()}
    )
    _check_that_archives_are_enough(repository, tmp_path, text)


def _check_that_archives_are_enough(repository: Path, folder: Path, text: str) -> None:
    """Without the runs the page is the same, and so is a comparison."""
    compare = ["analysis.compare", "--sweep", "study_dtd", "--baseline", "head", "--no-figures"]
    tables = []
    for source in (folder / "runs", folder / "study"):
        processes.run(*compare, "--runs", str(source), "--out", str(folder / "out"), folder=repository, check=True)
        written = json.loads((folder / "out" / "comparison.json").read_text())["tables"]
        del written["runs"]  # says where each lies
        tables.append(written)
    assert tables[0] == tables[1]
    shutil.rmtree(folder / "runs")
    (folder / "STUDY_SHORT.md").unlink()
    made = study(repository, "--out", str(folder))
    assert made.returncode == 0, made.stderr
    assert (folder / "STUDY_SHORT.md").read_text() == text
    assert str(folder).encode() not in settings_in(folder / "study/study_dtd.records.npz")


def settings_in(path: Path) -> bytes:
    """The settings in an archive, as they are written there."""
    with np.load(path) as arrays:
        return bytes(arrays["records"].tobytes())


def test_the_pages_in_docs_are_what_their_archives_give(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "docs/study", tmp_path / "study")
    made = study(repository, "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr
    pages = list(tmp_path.glob("*.md"))
    assert pages
    for page in pages:
        assert page.read_text() == (repository / "docs" / page.name).read_text()
    for file in (*tmp_path.glob("study/*.npz"), *tmp_path.glob("study/*.csv")):  # older names of settings included
        assert file.read_bytes() == (repository / "docs/study" / file.name).read_bytes()


def test_without_runs_it_is_one_line(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "runs").mkdir()
    made = study(repository, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path))
    assert made.returncode == 2 and not list(tmp_path.glob("*.md"))
    assert made.stderr.startswith("error: ") and made.stderr.count("\n") == 1
