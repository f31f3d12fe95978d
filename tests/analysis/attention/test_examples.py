"""Which images are shown, their batch, and what each read most."""

from pathlib import Path

import pytest
import torch

from analysis.attention.examples import between_datapoints, choose, class_ids, telling_classes
from analysis.attention.gallery import galleries
from analysis.trained import open_run
from hma_ft.errors import UserError


def test_the_confused_pair_comes_first_then_the_best() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4])
    predicted = torch.tensor([0, 4, 1, 3, 3, 2, 2, 3, 1, 4, 4])
    assert telling_classes(labels, predicted, 3) == [1, 2, 3]  # 1 and 3 three times; 2 and 4 without a mistake
    assert telling_classes(labels, labels, 2) == [0, 1]


def test_an_unknown_class_is_answered_with_the_nearest() -> None:
    assert class_ids(["dotted", "banded"], ["banded", "braided", "dotted"]) == [2, 0]
    with pytest.raises(UserError, match=r"classes=bandet .*banded"):
        class_ids(["bandet"], ["banded", "braided"])


@pytest.mark.slow
def test_shuffling_the_batch_moves_the_weights_along(hma_run: Path) -> None:
    trained = open_run(str(hma_run), device="cpu")
    examples = choose(trained, ["3", "7"], 4)
    assert examples.labels.tolist() == [3] * 4 + [7] * 4
    between = between_datapoints(trained, examples)
    order = between.order
    moved = between.by_class[:, order][:, :, order]
    torch.testing.assert_close(between.shuffled, moved, rtol=0, atol=1e-6)
    mean = between.by_class.mean(0)
    others = [mean[i, j].item() for i in range(4) for j in range(4) if i != j]
    assert between.block_means[0, 0].item() == pytest.approx(sum(others) / 12, abs=1e-7)
    assert between.block_means[0, 1].item() == pytest.approx(mean[:4, 4:].mean().item(), abs=1e-7)


@pytest.mark.slow
def test_galleries_name_training_images(hma_run: Path) -> None:
    trained = open_run(str(hma_run), device="cpu")
    examples = choose(trained, ["0", "1"], 3)
    found = galleries(trained, examples, top=4)
    assert list(found) == ["real", "support"]
    train, memory = trained.splits.train, trained.head.real_memory
    for source, entries in found.items():
        assert [entry.label for entry in entries] == [0] * 3 + [1] * 3
        for entry in entries:
            weights = [read.weight for read in entry.read]
            assert len(weights) == 4 and weights == sorted(weights, reverse=True)
            assert all(int(train.labels[read.id]) == read.label for read in entry.read)
            held = memory.ids[:, 0] if source == "real" else trained.head.support.ids
            assert {read.id for read in entry.read} <= set(held.tolist())
    with trained.method.inference("alone"):
        best = trained.head.attention(examples.features)["real"].of("real").mean(0).argmax(1)
    assert [entry.read[0].id for entry in found["real"]] == memory.ids[best, 0].tolist()
