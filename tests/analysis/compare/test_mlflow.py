"""The same figures from MLflow as from the run directories."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.compare.__main__ import main
from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.store import connect, experiment_id
from hma_ft.mlflow_sync.sync import MlflowSync
from tests.analysis.compare.conftest import WriteRun

TRACKING = TrackingConfig(experiment="hma-digits")


def compare(tmp_path: Path, name: str, *source: str) -> dict[str, Any]:
    """The JSON without what names the source."""
    assert main([*source, "--baseline", "head", "--out", str(tmp_path / name), "--no-figures"]) == 0
    found = json.loads((tmp_path / name / "comparison.json").read_text())
    for row in found["tables"]["runs"]["rows"]:
        del row["place"]
    return {key: value for key, value in found.items() if key not in ("command", "source")}


@pytest.mark.slow
def test_same_figures_from_both(tmp_path: Path, write_run: WriteRun) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    client = connect(uri)
    tags = {"hma.sweep": "two", "hma.trials": "5"}
    sweep = client.create_run(experiment_id(client, uri, "hma-digits"), tags=tags, run_name="two-12345678")
    for seed in (0, 1):
        for method, right in (("head", 10), ("hma", 20)):
            modes = {"batch": 30 + seed, "support": 25} if method == "hma" else None
            directory = write_run(method, seed=seed, right=right + seed, val=0.123456789 + seed, modes=modes)
            MlflowSync(directory, TRACKING, parent=sweep.info.run_id).update()
    MlflowSync(write_run("full", seed=0, right=5, state="failed"), TRACKING).update()
    from_directories = compare(tmp_path, "a", "--runs", str(tmp_path / "runs"))
    assert compare(tmp_path, "b", "--mlflow", uri) == from_directories
    assert from_directories["tables"]["images"]["rows"][0]["images"] == 40  # predictions came along
    swept = compare(tmp_path, "c", "--mlflow", uri, "--sweep", "two", "--experiment", "hma-digits")
    assert swept["tables"]["summary"] == from_directories["tables"]["summary"]
    assert any("1 of 5 trials are not finished" in line for line in swept["notes"])


def test_mlflow_out_of_reach_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for uri, sign in ((f"sqlite:///{tmp_path}/none.db", "there is no file"), ("http://127.0.0.1:9", "can't be read")):
        assert main(["--mlflow", uri]) == 2
        assert sign in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
