"""What decides how a finished run is read: its own settings, and what the command names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hma_ft.config.given import given_keys
from hma_ft.config.schema import Config, Device, Precision, Task
from hma_ft.engine.metrics import evaluate_predictions
from hma_ft.engine.repeatability import EXACT, Move, tolerances
from hma_ft.errors import UserError
from hma_ft.finished_run import FinishedRun
from hma_ft.open_options import OpenOptions, config_in_force, options_of
from hma_ft.tasks.evaluate import evaluate
from tests.config.test_compose import composed
from tests.finished.conftest import SETTINGS, Finished, Train, train, write_images

BF16 = ("method=hma", "trainer.precision=bf16", "trainer.channels_last=true")


def repeated(run: Path, *overrides: str) -> int:
    """The exit code of `task=evaluate` with these overrides."""
    overrides = (f"run={run}", "trainer.device=cpu", "trainer.num_workers=0", *overrides)
    config = composed("task=evaluate", *overrides)
    if "dataset.root" not in given_keys(overrides):
        config.dataset.root = "data"  # the default; `composed` names another one
    return evaluate(config, given_keys(overrides))


def test_the_metrics_of_a_half_precision_run_are_repeated(finished: Train, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(*BF16)
    assert repeated(run.directory, f"dataset.root={run.root}") == 0
    printed = capsys.readouterr().out
    assert "differs" not in printed
    assert "Computed as the run was (bf16, same device): tolerance 1e-06." in printed
    rows = [line for line in printed.splitlines() if line.startswith("│ ") and "/" in line]
    assert len(rows) == 36 and all(f"{EXACT:.1e}" in row for row in rows)


def test_another_number_of_threads_widens_the_tolerance(finished: Train, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(*BF16)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert repeated(run.directory, f"dataset.root={run.root}") == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert f"Computed in another way than the run (threads {threads}, here {threads + 1})" in printed
    assert "Rounding in bf16 then moves log-probabilities by 0.04 in the mean and 0.2 at most" in printed
    (nll,) = [line for line in printed.splitlines() if " test/nll " in line]
    assert "4.0e-02" in nll


def test_a_default_that_is_given_counts(
    finished: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data set lies in data/, where the default of dataset.root points too."""
    run = finished(*BF16)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.root, tmp_path / "data")
    with pytest.raises(UserError, match=rf"needs its data set folder .*{run.root.parent}/images.*dataset.root=DIR"):
        repeated(run.directory)
    assert repeated(run.directory, "dataset.root=data") == 0
    write_images(tmp_path / "others", seed=1)
    assert repeated(run.directory, "dataset.root=others") == 1
    printed = capsys.readouterr()
    assert "differs" in printed.out
    assert "note: " in printed.err and "the test images below dataset.root=others are not those" in printed.err


def test_a_relative_root_is_that_of_the_folder_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained: Path
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    write_images(here / "images")
    write_images(elsewhere / "images", seed=1)
    monkeypatch.chdir(here)
    shutil.copy(pretrained, here / "weights.pth")
    run = train(composed(*SETTINGS, "method=head", "dataset.root=images", "model.weights=weights.pth", "runs_dir=runs"))
    monkeypatch.chdir(elsewhere)
    assert repeated(run) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["images"]


def test_pretrained_weights_are_asked_for_where_they_are_needed(
    finished: Train, tmp_path: Path, pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, frozen = finished("method=full"), finished("method=head_knn")
    shutil.move(pretrained, tmp_path / "moved.pth")
    try:
        assert FinishedRun(whole.directory, OpenOptions(device=Device.cpu)).class_names[0] == "apple"
        with pytest.raises(UserError, match=r"pretrained.pth, which are not there: .* model.weights=FILE"):
            FinishedRun(frozen.directory, OpenOptions(device=Device.cpu))
        opened = FinishedRun(frozen.directory, OpenOptions(device=Device.cpu, weights=str(tmp_path / "moved.pth")))
        assert opened.modes == ("alone",)
    finally:
        shutil.move(tmp_path / "moved.pth", pretrained)


def test_settings_of_the_command_that_do_not_count_are_named(
    finished: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(*BF16)
    assert repeated(run.directory, f"dataset.root={run.root}", "trainer.precision=fp32", "seed=3") == 0
    assert "its own settings count, and not the command's seed, trainer.precision" in capsys.readouterr().err


def test_runs_of_different_precision_in_one_process(finished: Train) -> None:
    """Accelerate knows one precision a process; each run keeps its own."""
    runs = [finished(*BF16), finished("method=full")]
    opened = [FinishedRun(run.directory, OpenOptions(device=Device.cpu, num_workers=0)) for run in (*runs, runs[0])]
    assert [run.predictor.precision for run in opened] == [Precision.bf16, Precision.fp32, Precision.bf16]
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first, single, again = (run.predictor.features_of(images) for run in opened)
    assert torch.equal(first, again)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(first, opened[0].method.backbone(images))
    with torch.no_grad():
        assert torch.equal(single, opened[1].method.backbone(images))
        assert not torch.equal(first, opened[0].method.backbone(images))


def test_half_precision_of_a_gpu_is_computed_on_a_cpu_too(finished: Train, tmp_path: Path) -> None:
    run = finished("method=full").copy(tmp_path)
    path = run.directory / "config.yaml"
    path.write_text(path.read_text().replace("precision: fp32", "precision: fp16"))
    opened = FinishedRun(run.directory, OpenOptions(device=Device.cpu, num_workers=0))
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = opened.predictor.features_of(images)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        assert torch.equal(features, opened.method.backbone(images))
    with torch.no_grad():
        assert not torch.equal(features, opened.method.backbone(images))


@pytest.mark.parametrize(
    ("gpus", "device", "compiled"), [([], "cpu", True), (["GPU"], "cuda", True), (["GPU"], "cpu", False)]
)
def test_what_was_compiled_is_compiled_on_the_same_kind_of_device(gpus: list[str], device: str, compiled: bool) -> None:
    recorded = Config(task=Task.train)
    recorded.trainer.compile, recorded.trainer.precision = True, Precision.bf16
    env = {"gpus": gpus, "folder": "/"}
    config = config_in_force(recorded, env, OpenOptions(), torch.device(device))
    assert config.trainer.compile is compiled
    assert config.trainer.precision is Precision.bf16
    assert not config_in_force(recorded, env, OpenOptions(compile=False), torch.device(device)).trainer.compile


def test_features_of_an_evaluation_are_those_of_the_run(tmp_path: Path, pretrained: Path) -> None:
    """A later run that finds them in the store predicts what it predicts without a store."""
    root = write_images(tmp_path / "images")
    places = [f"dataset.root={root}", f"runs_dir={tmp_path / 'runs'}", f"model.weights={pretrained}"]
    settings = [*SETTINGS, *places, "method=head", "trainer.precision=bf16"]
    run = train(composed(*settings))
    shutil.rmtree(tmp_path / "runs" / "features")
    assert repeated(run) == 0
    assert list((tmp_path / "runs" / "features").glob("*/split-test.safetensors"))
    found, expected = (
        Finished(
            train(composed(*settings, "optimizer.lr=0.01", f"trainer.cache_features={store}", "fresh=true")), root
        ).probabilities
        for store in ("true", "false")
    )
    np.testing.assert_array_equal(found, expected)


def test_settings_that_a_command_names() -> None:
    command = Config()
    assert options_of(command, frozenset()) == OpenOptions()
    named = frozenset({"dataset.root", "model.weights", "trainer.eval_batch_size", "trainer.compile"})
    assert options_of(command, named) == OpenOptions(dataset_root="data", eval_batch_size=128, compile=False)


def test_given_keys() -> None:
    overrides = ["dataset.root=data", "method=hma", "+model.options={depth: 2}", "augment={flip: 0, image_size: 16}"]
    assert given_keys(overrides) == {
        *("dataset.root", "method", "model.options.depth", "augment.flip", "augment.image_size")
    }


def test_tolerances_bound_what_moves_can_do() -> None:
    """Against metrics of log-probabilities that were moved at random."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(7, (600,), generator=generator)
    logits = torch.randn(600, 7, generator=generator, dtype=torch.float64) + 1.5 * torch.eye(7)[labels]
    names = [str(label) for label in range(7)]
    for move in (1e-3, 5e-2):
        before = logits.softmax(1)
        bound = tolerances(before, labels, Move(move, move))
        assert bound["nll"] == move and bound["top1"] < 0.15
        metrics = evaluate_predictions(before, labels, names).scalars("a")
        for _ in range(20):
            # half of it before normalisation, so that a log-probability moves by the whole at most
            noise = move / 2 * (2 * torch.rand(600, 7, generator=generator, dtype=torch.float64) - 1)
            after = evaluate_predictions((logits + noise).softmax(1), labels, names).scalars("a")
            for name, value in after.items():
                assert abs(value - metrics[name]) <= bound[name[2:]] + 1e-12
