"""The figures over a test set against loops over its images."""

import math
from pathlib import Path

import pytest
import torch

from analysis.attention.statistics import agreement, measure
from analysis.trained import open_run


def test_agreement_counts_rows_of_the_class() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.0, 0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    classes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75], [1.0, 0.0]])
    may = torch.tensor([[True, True, True, False]] * 3)
    found = agreement(weights, classes, may, torch.tensor([0, 1, 0]))
    assert found["top1"].tolist()[:2] == [1.0, 1.0]
    assert found["top5"].tolist()[:2] == pytest.approx([(1 + 0 + 0.25) / 3, 1.0])  # weights of 0 aren't read
    assert found["mass"].tolist()[:2] == pytest.approx([0.5 + 0.2 * 0.25, 1.0])
    assert found["chance"].tolist() == pytest.approx([1.25 / 3, 1.75 / 3, 1.25 / 3])
    assert all(math.isnan(found[kind][2]) for kind in ("top1", "top5", "mass"))


@pytest.mark.slow
def test_the_test_set_image_by_image(hma_run: Path) -> None:
    trained = open_run(str(hma_run), device="cpu")
    readings = {(reading.mode, reading.source): reading for reading in measure(trained)}
    assert set(readings) == {
        ("every", "self"),
        ("every", "real"),
        *((mode, source) for mode in ("alone", "batch", "support") for source in ("self", "synthetic")),
        ("batch", "batch"),
        ("support", "support"),
    }
    for mode in ("alone", "batch", "support"):
        assert sum(r.share for (m, _), r in readings.items() if m == mode) == pytest.approx(1.0, abs=1e-5)
    seen = trained.evaluator.features("test")
    memory, head = trained.head.real_memory, trained.head
    hits, mass, own, spread = [], [], [], []
    with trained.method.inference("alone"):
        for feature, label in zip(seen.features, seen.labels.tolist(), strict=True):
            weights = head.attention(feature[None])["real"].weights[:, 0]
            own.append(weights[:, 0].mean().item())
            rows = [(w, c) for w, c in zip(weights[:, 1:].mean(0).tolist(), memory.labels.tolist(), strict=True)]
            best = sorted(rows, reverse=True)[:5]
            hits.append(sum(c == label for _, c in best) / 5)
            mass.append(sum(w for w, c in rows if c == label) / sum(w for w, _ in rows))
            shares = weights[:, 1:] / weights[:, 1:].sum(1, keepdim=True)
            spread.append((-(shares * shares.log()).sum(1)).exp().mean().item())
    real = readings["every", "real"]
    count = len(seen.labels)
    assert readings["every", "self"].share == pytest.approx(sum(own) / count, abs=1e-6)
    assert real.agreement["true"]["mass"].mean == pytest.approx(sum(mass) / count, abs=1e-6)
    assert real.agreement["true"]["top5"].mean == pytest.approx(sum(hits) / count, abs=5e-3)  # ties may turn
    assert real.effective_rows == pytest.approx(sum(spread) / count, abs=1e-3)
    held = memory.labels.bincount(minlength=10)
    chance = sum(int(held[label]) for label in seen.labels.tolist()) / 40 / count
    assert real.agreement["true"]["top1"].chance == pytest.approx(chance, abs=1e-6)
    deviation = torch.tensor(mass, dtype=torch.float64).std().item()
    assert real.agreement["true"]["mass"].half_width == pytest.approx(1.96 * deviation / count**0.5, abs=1e-6)
    assert readings["alone", "synthetic"].agreement["true"]["mass"].chance == pytest.approx(0.1)
    torch.testing.assert_close(real.by_class.sum(1), torch.ones(10, dtype=torch.float64), rtol=0, atol=1e-5)
