"""Weights in MLflow, served over HTTP by `mlflow models serve`, predict what `task=predict` does."""

import base64
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.ports import free_port

pytestmark = [pytest.mark.mlflow_server, pytest.mark.slow]


@contextmanager
def served(uri: str, run_id: str, folder: Path) -> Iterator[str]:
    """`mlflow models serve` on a free port, in a folder where this repository is not; the environment is activated."""
    port = free_port()
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # mlflow calls uvicorn by name
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"runs:/{run_id}/model"]
    with open(folder / "serve.log", "ab") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "--port", str(port)],
            cwd=folder,
            env=os.environ | {"PATH": search, "MLFLOW_TRACKING_URI": uri, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/ping", folder / "serve.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):  # its own last words are what to read then
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"{process.poll()}: {log.read_text()[-3000:]}")


def post(address: str, texts: list[str]) -> Any:
    body = json.dumps({"dataframe_records": [{"image": text} for text in texts]}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def write_images(folder: Path) -> list[Path]:
    """Digits as files: larger than the model's input, grey, one of them a JPEG."""
    folder.mkdir()
    paths = []
    for index, suffix in enumerate(("png", "png", "jpg", "bmp")):
        grey = (load_digits().images[index] * (255 / 16)).astype(np.uint8)
        paths.append(folder / f"{index}.{suffix}")
        Image.fromarray(grey).resize((40, 32)).save(paths[-1])
    return paths


def test_served_model_predicts_as_the_task_does(run_py: Callable, tmp_path: Path, tiny: list[str]) -> None:
    settings = [setting for setting in tiny if setting != "tracking=off"]
    database = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    train = run_py("method=hma", *settings, "tracking.log_weights=true", "trainer.max_steps=20")
    assert train.returncode == 0, train.stderr
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    paths = write_images(tmp_path / "images")
    predict = run_py("task=predict", f"run={run}", "input=images", "trainer.num_workers=0", "trainer.device=cpu")
    assert predict.returncode == 0, predict.stderr
    with (tmp_path / "predictions.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run_id = json.loads((run / "status.json").read_text())["mlflow_run"]
    shutil.move(run, elsewhere / "moved")  # what is served does not need it
    with served(database, run_id, elsewhere) as address:
        rows = post(address, [base64.b64encode(path.read_bytes()).decode() for path in paths])["predictions"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(address, [base64.b64encode(b"no image").decode()])
        problem = refused.value.read().decode()
    assert len(rows) == len(expected) == 4
    for row, line in zip(rows, expected, strict=True):
        assert row["class"] == line["class"]
        assert row["probability"] == pytest.approx(float(line["probability"]), abs=2e-6)
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
        name, _, value = line["top3"].partition("=")
        assert row["probabilities"][name] == pytest.approx(float(value), abs=6e-5)
    assert refused.value.code == 400
    assert "column image: cannot decode the image that was sent (no image, or of an unknown format)" in problem


def test_sync_brings_the_model_of_a_run_that_did_not_log_it(run_py: Callable, tmp_path: Path, tiny: list[str]) -> None:
    import mlflow.pyfunc
    import pandas as pd

    settings = [setting for setting in tiny if setting != "tracking=off"]
    assert run_py("method=head", *settings, "trainer.max_steps=10", "scheduler.warmup_steps=2").returncode == 0
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    sync = run_py("task=sync", f"run={run}", "tracking.log_weights=true", "trainer.num_workers=0")
    assert sync.returncode == 0, sync.stderr + sync.stdout
    model = mlflow.pyfunc.load_model(str(run / "mlflow_model"))
    image = write_images(tmp_path / "images")[0]
    answer = model.predict(pd.DataFrame({"image": [base64.b64encode(image.read_bytes()).decode()]}))
    with np.load(run / "predictions.npz") as recorded:
        assert set(answer["probabilities"][0]) == set(recorded["class_names"].tolist())
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    run_id = json.loads((run / "status.json").read_text())["mlflow_run"]
    assert "model/MLmodel" in {item.path for item in client.list_artifacts(run_id, "model")}
