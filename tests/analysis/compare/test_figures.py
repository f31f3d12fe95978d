"""What figures show, as numbers; and that each is written."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.compare.__main__ import main
from analysis.compare.comparison import Comparison, compare
from analysis.compare.plots.accuracy import pareto_figure, pareto_front
from analysis.compare.plots.calibration import reliability
from analysis.compare.plots.classes import confusion_shares
from analysis.compare.plots.curves import common_steps, curves_figure
from analysis.compare.plots.memory import REAL, SYNTHETIC, memory_grid
from analysis.compare.plots.ranks import cliques, ranks_figure
from analysis.compare.records.directories import load_directories
from hma_ft.engine.metrics import evaluate_predictions
from tests.analysis.compare.conftest import IMAGES, WriteRun
from tests.reporting.test_figure_ticks import labels_of


def comparison_of(folder: Path, *by: str) -> Comparison:
    runs = load_directories([folder]).frame
    settings = {"metric": "top1", "mode": None, "baseline": None, "level": 0.95, "force": False, "notes": []}
    return compare("", runs, by=by or ["method"], tuned=["optimizer.lr"], **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_all_figures_are_written_and_not_empty(tmp_path: Path, write_run: WriteRun) -> None:
    for seed, size, slots in itertools.product((0, 1), (0, 128), (0, 8)):
        settings = {REAL: size, SYNTHETIC: slots}
        write_run("hma", seed=seed, right=20 + seed + size // 32 + slots, settings=settings)
    out = tmp_path / "out"
    options = ["--by", f"{REAL},{SYNTHETIC}", "--baseline", "real.size=0 synthetic.slots=0", "--out", str(out)]
    assert main(["--runs", str(tmp_path / "runs"), *options]) == 0
    stems = json.loads((out / "comparison.json").read_text())["figures"]
    each = ("pareto", "curves", "reliability", "per_class", "confusion_difference", "memory_size")
    assert stems == ["accuracy", *(f"{name}-digits" for name in each)]
    for stem in stems:
        assert (out / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(out / f"{stem}.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20 and min(pixels.shape[:2]) > 200
        assert f"]({stem}.png)" in (out / "comparison.md").read_text()


def test_bars_join_what_is_too_close_to_tell_apart() -> None:
    assert cliques([1.0, 2.0, 2.5, 4.0, 6.0], needed=1.6) == [(0, 2), (2, 3)]
    assert cliques([1.0, 3.0, 5.0], needed=1.5) == []
    assert cliques([1.0, 2.0, 3.0], needed=9.0) == [(0, 2)]


def test_groups_stand_in_the_order_of_their_mean_rank(tmp_path: Path, write_run: WriteRun) -> None:
    for dataset in ("digits", "dtd"):
        for method, right in (("head", 10), ("hma", 30), ("full", 20)):
            write_run(method, seed=0, right=right, dataset=dataset)
    figure = ranks_figure(comparison_of(tmp_path / "runs"))
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["hma", "full", "head"]
    assert "over 2 data sets" in axes.get_xlabel() and axes.get_xlabel().endswith("2.34")
    for dataset in ("digits", "dtd"):
        write_run("knn", seed=0, right=5, dataset=dataset)
    one = comparison_of(tmp_path / "runs")
    assert ranks_figure(Comparison(**{**vars(one), "groups": one.of("dtd")})) is None


def test_heat_map_has_the_means_in_their_places(tmp_path: Path, write_run: WriteRun) -> None:
    for size, slots in ((0, 0), (128, 0), (1024, 8)):
        for seed in (0, 1):
            settings = {REAL: size, SYNTHETIC: slots}
            write_run("hma", seed=seed, right=10 + seed + size // 64 + slots, settings=settings)
    grid = memory_grid(comparison_of(tmp_path / "runs", REAL, SYNTHETIC), "digits", "test")
    assert grid is not None
    slots_axis, rows_axis, means = grid
    assert slots_axis == ["0", "8"] and rows_axis == ["0", "128", "1024"]
    expected = [[10.5 / 40, 12.5 / 40, np.nan], [np.nan, np.nan, 34.5 / 40]]
    np.testing.assert_allclose(means, expected)


def test_reliability_agrees_with_the_calibration_error_of_runs() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (500, 4)))
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, 4, 500))
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    found = reliability(confidence.numpy(), (predicted == labels).numpy())
    assert found.ece == pytest.approx(evaluate_predictions(probabilities, labels, list("abcd")).ece, abs=1e-6)
    assert found.images.sum() == 500


def test_confidences_at_the_edges_of_bins_fall_where_those_of_runs_do() -> None:
    """Fifths are edges of 15 bins, and so is 1."""
    top = torch.tensor([0.6, 0.6, 0.8, 0.8, 1.0, 1.0, 0.75, 0.625], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
    probabilities = torch.stack([top, 1 - top], dim=1)
    found = reliability(top.numpy(), (labels == 0).numpy())
    assert found.ece == pytest.approx(evaluate_predictions(probabilities, labels, ["a", "b"]).ece, abs=1e-6)


@pytest.mark.parametrize(
    ("confidence", "place"), [(0.0, 0), (1 / 15, 1), (5 / 15, 5), (0.34, 5), (14 / 15, 14), (1.0, 14)]
)
def test_bins_are_closed_to_the_left(confidence: float, place: int) -> None:
    assert reliability(np.array([confidence]), np.array([True])).images.argmax() == place


def test_bins_of_reliability_by_hand() -> None:
    found = reliability(np.array([0.5, 0.5, 0.99, 1.0]), np.array([True, False, True, True]))
    kept = found.images > 0
    assert found.images[kept].tolist() == [2, 2]
    assert found.accuracy[kept] == pytest.approx([0.5, 1.0]) and found.confidence[kept] == pytest.approx([0.5, 0.995])
    assert found.ece == pytest.approx(0.5 * 0.0 + 0.5 * 0.005)


def test_pareto_front_is_what_nothing_dominates() -> None:
    points = [tuple(p) for p in np.random.default_rng(4).integers(0, 10, (40, 2)).astype(float).tolist()]
    for higher in (True, False):
        sign = 1 if higher else -1
        expected = {
            (c, s)
            for c, s in points
            if not any((o <= c and sign * t >= sign * s) and (o, t) != (c, s) for o, t in points)
        }
        assert set(pareto_front(points, higher_is_better=higher)) == expected  # type: ignore[arg-type]


def test_confusion_shares_are_over_all_seeds(tmp_path: Path, write_run: WriteRun) -> None:
    """Four classes in turn; 4 and 12 of 40 images are right: of ten a class, 1 and 3. The others go one class on."""
    write_run("head", seed=0, right=4)
    write_run("head", seed=1, right=12)
    (group,) = comparison_of(tmp_path / "runs").groups
    found = confusion_shares(group, None)
    assert found is not None
    expected = 0.2 * np.eye(4) + 0.8 * np.roll(np.eye(4), 1, axis=1)
    np.testing.assert_allclose(found[0], expected)
    assert IMAGES == 40


def test_curves_are_means_at_the_steps_that_all_runs_have() -> None:
    steps, values = common_steps([{1: 1.0, 10: 2.0, 20: 3.0}, {10: 4.0, 20: 5.0, 30: 6.0}])
    assert steps.tolist() == [10, 20] and values.tolist() == [[2.0, 3.0], [4.0, 5.0]]


CLASSES_EASILY_TOLD = {"head": [*np.geomspace(1.1, 2e-3, 20)], "full": [*np.geomspace(1.1, 3e-8, 20)]}


def test_learning_curves_over_many_decades_have_labels_that_can_be_read(tmp_path: Path, write_run: WriteRun) -> None:
    """As of an MLP head on three classes that it tells apart: its training loss falls by seven decades."""
    for method, losses in CLASSES_EASILY_TOLD.items():
        directory = write_run(method, seed=0, right=39)
        rows = [
            {"step": 5000 * (i + 1), "time": "", "train/loss": loss, "val/top1": 1.0} for i, loss in enumerate(losses)
        ]
        (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figure = curves_figure(comparison_of(tmp_path / "runs"), "digits")
    assert figure is not None
    figure.canvas.draw()
    for axes in figure.axes:
        assert len(labels_of(axes.xaxis)) >= 2 and len(labels_of(axes.yaxis)) >= 2
    assert 4 <= len(labels_of(figure.axes[0].yaxis)) <= 7


@pytest.mark.parametrize(
    "costs", [(0, 1e-1, 80.0), (0, 1930, 85_000_000), (1930, 1_482_925, 1_482_954), (1_482_925, 1_482_954), (7, 7)]
)
def test_costs_of_any_range_have_labels_that_can_be_read(
    tmp_path: Path, write_run: WriteRun, costs: tuple[float, ...]
) -> None:
    for method, cost in zip(("knn", "head", "full"), costs, strict=False):
        directory = write_run(method, seed=0, right=20)
        result = json.loads((directory / "result.json").read_text())
        changed = {"params/trainable": cost, "time/from_nothing_s": cost}
        (directory / "result.json").write_text(json.dumps(result | changed))
    figure = pareto_figure(comparison_of(tmp_path / "runs"), "digits")
    figure.canvas.draw()
    assert len(figure.axes) == 2
    for axes in figure.axes:
        assert len(labels_of(axes.xaxis)) >= 2


def test_costs_that_are_unknown_have_no_panel(tmp_path: Path, write_run: WriteRun) -> None:
    directory = write_run("head", seed=0, right=20)
    result = json.loads((directory / "result.json").read_text())
    del result["time/from_nothing_s"]
    (directory / "result.json").write_text(json.dumps(result))
    (panel,) = pareto_figure(comparison_of(tmp_path / "runs"), "digits").axes
    assert panel.get_xlabel() == "trainable parameters"
