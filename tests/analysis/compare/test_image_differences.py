"""What each image adds to a metric, against the metrics of runs; which images are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.compare.metric import METRICS
from analysis.compare.records.run import Predictions, Run
from analysis.compare.statistics.image_differences import image_scores, paired_differences
from hma_ft.engine.metrics import evaluate_predictions

CLASSES = [f"class {index}" for index in range(7)]


def predictions(seed: int, *, images: int = 90, keys: np.ndarray | None = None) -> Predictions:
    """Classes of unequal size, the last of which does not occur; the labels are those of every other seed."""
    logits = np.random.default_rng(seed).normal(0, 2, (images, len(CLASSES)))
    labels = np.sort(np.random.default_rng(0).choice(6, images, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05]))
    probabilities = torch.from_numpy(logits).softmax(1).float().numpy()
    probabilities[3] = np.eye(len(CLASSES))[(labels[3] + 1) % 6]  # as a softmax in float32 may underflow
    predicted = probabilities.argmax(1)
    return Predictions(np.arange(images), labels, predicted, CLASSES, probabilities, keys)


def run(seed: int, found: Predictions | None, test_digest: str = "d") -> Run:
    return Run(
        name="run",
        place="",
        fingerprint="",
        params={"seed": str(seed)},
        result={},
        data={"test_digest": test_digest},
        env={},
        read_rows=list,
        read_predictions=lambda suffix: found,
    )


def metrics_of(found: Predictions) -> dict[str, float]:
    assert found.probabilities is not None
    labels = torch.from_numpy(found.labels)
    return evaluate_predictions(torch.from_numpy(found.probabilities), labels, CLASSES).scalars("test")


@pytest.mark.parametrize("metric", ["top1", "top5", "nll"])
def test_the_mean_over_images_is_the_metric(metric: str) -> None:
    found = predictions(1)
    scores = image_scores(METRICS[metric], found)
    assert scores is not None
    assert scores.mean() == pytest.approx(metrics_of(found)[f"test/{metric}"], abs=1e-6)  # accuracies are float32


@pytest.mark.parametrize("metric", ["top1", "top5", "mean_per_class", "nll"])
def test_differences_have_the_means_of_the_metrics_differences(metric: str) -> None:
    pairs = [(predictions(10 + seed), predictions(20 + seed)) for seed in range(3)]
    found = paired_differences([(run(0, a), run(0, b)) for a, b in pairs], METRICS[metric], None)
    assert found is not None
    key = f"test/{metric}"
    expected = [metrics_of(a)[key] - metrics_of(b)[key] for a, b in pairs]
    means = np.bincount(found.seeds, weights=found.values) / np.bincount(found.seeds)
    assert means == pytest.approx(expected, abs=1e-6)


def test_an_image_of_a_small_class_weighs_more_in_the_class_mean() -> None:
    """A mistake costs a sixth and a half of the metric for classes of 3 and 1 images."""
    labels = np.array([0, 0, 0, 1])
    group, base = (Predictions(np.arange(4), labels, np.array(p), CLASSES) for p in ([0, 0, 0, 1], [1, 0, 0, 0]))
    found = paired_differences([(run(0, group), run(0, base))] * 2, METRICS["mean_per_class"], None)
    assert found is not None
    one = found.values[:4]  # of a seed; class differences 1/3 and 1, with weights 4 / (2 * 3) and 4 / 2
    assert one == pytest.approx(2 / 3 + np.array([2 / 3, -1 / 3, -1 / 3, 0]) * np.array([2 / 3, 2 / 3, 2 / 3, 2]))


def test_what_predictions_cannot_tell() -> None:
    whole, archived = predictions(1), replace(predictions(1), probabilities=None)
    assert image_scores(METRICS["ece"], whole) is None
    assert image_scores(METRICS["nll"], archived) is None and image_scores(METRICS["top5"], archived) is None
    assert image_scores(METRICS["top1"], archived) is not None
    assert paired_differences([(run(0, whole), run(0, None))], METRICS["top1"], None) is None
    fewer = predictions(2, images=80)
    assert paired_differences([(run(0, whole), run(0, fewer))], METRICS["top1"], None) is None
    assert paired_differences([(run(0, whole), run(0, predictions(2), "other"))], METRICS["top1"], None) is None


@pytest.mark.parametrize(
    ("digests", "keys", "images"),
    [
        (("d", "d"), (None, None), 90),  # one test split
        (("d", "e"), (None, None), 180),  # drawn by the seed, places in it mean nothing: all taken for others
        (("d", "e"), (np.arange(90), np.arange(90) + 60), 150),  # 30 images are in both
        (("d", "d"), (np.arange(90), None), 90),  # a record from before keys were written
    ],
)
def test_which_images_are_the_same(
    digests: tuple[str, str], keys: tuple[np.ndarray | None, np.ndarray | None], images: int
) -> None:
    pairs = [
        (run(seed, predictions(seed, keys=key), digest), run(seed, predictions(seed + 9, keys=key), digest))
        for seed, (digest, key) in enumerate(zip(digests, keys, strict=True))
    ]
    found = paired_differences(pairs, METRICS["top1"], None)
    assert found is not None and len(np.unique(found.images)) == images
    assert found.images.max() == images - 1 and found.shares_images == (images < 180)
