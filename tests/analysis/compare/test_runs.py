"""From run.py to the table."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes


@pytest.mark.slow
def test_trained_runs_are_compared(
    run_py: Callable[..., subprocess.CompletedProcess[str]], tiny: list[str], tmp_path: Path, repository: Path
) -> None:
    swept = ["method=head,knn,hma", "seed=0,1", "trainer.max_steps=20", "sweep.name=small"]
    done = run_py("-m", *tiny, *swept, "scheduler.warmup_steps=2")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    command = ["analysis.compare", "--runs", str(tmp_path / "runs"), "--sweep", "small"]
    command += ["--baseline", "head", "--out", str(tmp_path / "out"), "--html", str(tmp_path / "page.html"), "--force"]
    made = processes.run(*command, folder=repository)
    assert made.returncode == 0, made.stderr
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["groups"] == ["head", "hma", "knn"]
    for row in found["tables"]["summary"]["rows"]:
        results = [
            json.loads(path.read_text())
            for path in sorted((tmp_path / "runs" / "digits").glob(f"{row['group']}-*/result.json"))
        ]
        assert row["values"] == [result["test/top1"] for result in results]
    trainable = {row["group"]: row["trainable"] for row in found["tables"]["cost"]["rows"]}
    assert trainable["knn"] == 0 and trainable["head"] < trainable["hma"]
    batch = {row["group"]: row["batch"]["mean"] for row in found["tables"]["modes"]["rows"]}
    assert batch["hma"] is not None and batch["head"] is None
    assert len(found["figures"]) == 6 and (tmp_path / "page.html").stat().st_size > 100_000
    assert "2 seeds are too few for a verdict" in made.stdout
    # accuracy over images, from the predictions, is accuracy over seeds, from the results
    by_images = [row["difference"] for row in found["tables"]["images"]["rows"]]
    by_seeds = [row["difference"] for row in found["tables"]["paired"]["rows"]]
    over_both = [row["difference"] for row in found["tables"]["verdict"]["rows"]]
    assert by_images == pytest.approx(by_seeds, abs=1e-6) and over_both == pytest.approx(by_seeds, abs=1e-6)
