"""A run that was recorded under the old names of settings is opened like any other."""

from pathlib import Path

import numpy as np
import yaml

from hma_ft.config.schema import Device
from hma_ft.finished_run import FinishedRun
from hma_ft.mlflow_sync.content import params, read_content
from hma_ft.open_options import OpenOptions
from tests.config.test_aliases import with_old_names
from tests.finished.conftest import Train


def test_a_run_with_old_names_is_evaluated(finished: Train, tmp_path: Path) -> None:
    run = finished("method=hma").copy(tmp_path)
    path = run.directory / "config.yaml"
    path.write_text(yaml.safe_dump(with_old_names(yaml.safe_load(path.read_text()))))
    assert "short_name" not in path.read_text() and "hma_ft.data.sources." in path.read_text()
    root = finished("method=hma").root
    opened = FinishedRun(run.directory, OpenOptions(device=Device.cpu, num_workers=0, dataset_root=str(root)))
    mode = opened.modes[0]
    opened.prepare_inference(mode)
    found = opened.evaluator.predict("test", mode)
    np.testing.assert_allclose(found.probabilities.numpy(), run.probabilities, atol=1e-6)
    flat = params(read_content(run.directory).config)
    assert flat["model.short_name"] == "vit_micro" and "model.label" not in flat
    assert flat["dataset.target"].startswith("hma_ft.data.datasets.")
