"""Records under the old names of settings are compared with new ones, under the names of today."""

from pathlib import Path

import pytest
import yaml

from analysis.compare.records.archive import read_archive
from analysis.compare.records.directories import load_directories
from analysis.compare.records.frame import runs_frame
from analysis.compare.select import resolve_key
from hma_ft.config.aliases import RENAMED
from tests.analysis.compare.conftest import WriteRun
from tests.config.test_aliases import with_old_names

ARCHIVES = sorted((Path(__file__).parents[3] / "docs/study").glob("*.records.npz"))


def test_run_directories_of_both_ages_have_the_same_settings(write_run: WriteRun, tmp_path: Path) -> None:
    old = write_run("hma", seed=0, right=20)
    write_run("hma", seed=1, right=20)
    path = old / "config.yaml"
    path.write_text(yaml.safe_dump(with_old_names(yaml.safe_load(path.read_text()))))
    first, second = load_directories([tmp_path / "runs"]).runs
    assert first.params | {"seed": "1"} == second.params
    assert set(RENAMED) <= set(first.params)
    assert resolve_key("method.hma.temperature", runs_frame([first, second])) == "method.hma.score_scale"


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_archives_have_the_names_of_today(path: Path) -> None:
    runs, _ = read_archive(path)
    for run in runs:
        assert not set(RENAMED.values()) & set(run.params)
        assert {"trainer.num_workers", "model.short_name", "method.hma.score_scale"} <= set(run.params)
        assert run.params["dataset.target"].startswith("hma_ft.data.datasets.")
    predictions = runs[0].read_predictions("")
    assert predictions is not None and len(predictions.ids) == len(predictions.predicted) > 0
