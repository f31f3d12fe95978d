"""Over a whole split: how much attention goes where, and whether it goes to rows of the image's class."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from analysis.trained import Trained
from hma_ft.hma import HMAHead
from hma_ft.hma.attention_map import BATCH, NULL, REAL, SELF, SUPPORT, SYNTHETIC, AttentionMap

TOP = (1, 5, 10)


class Estimate(NamedTuple):
    """A mean over images, the half width of its 95 % interval (normal), and what reading at random would give."""

    mean: float
    half_width: float
    chance: float


@dataclass
class Reading:
    """What one block read of one source in one inference mode, over all images of a split."""

    mode: str  # "every" for the first block, which is the same in every mode
    block: str  # real, context
    source: str
    shares: list[float]  # of the attention, a head each
    rows: float  # that a reader may read, mean
    effective_rows: float | None  # exp(entropy) of the attention within the source, mean over heads and images
    agreement: dict[str, dict[str, Estimate]]  # true or predicted -> top1, top5, top10, mass -> estimate
    by_class: Tensor | None  # [C, C]: of the images of a class (row), attention to rows of a class; a row sums to 1
    rows_by_class: Tensor | None  # [C, C]: the same, had all rows been read evenly

    @property
    def share(self) -> float:
        """Mean over heads."""
        return sum(self.shares) / len(self.shares)


def measure(trained: Trained, split: str = "test") -> list[Reading]:
    """Every source of every block and inference mode."""
    readings: list[Reading] = []
    for mode in trained.modes:
        collected: dict[tuple[str, str], list[dict[str, Tensor]]] = {}
        for labels, predicted, maps in _maps(trained, split, mode):
            for block, attention in maps.items():
                if block == "real" and mode != trained.modes[0]:
                    continue
                for source, share in attention.shares().items():
                    seen = _per_image(trained.head, attention, source, share, labels, predicted)
                    collected.setdefault((block, source), []).append(seen)
        for (block, source), parts in collected.items():
            columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            readings.append(_summary("every" if block == "real" else mode, block, source, columns))
    return readings


def column_classes(head: HMAHead, source: str, batch_labels: Tensor | None = None) -> Tensor:
    """Class probabilities [n, C] of a source's columns; zero for rows of no class."""
    classes = head.classifier.out_features
    if source == REAL and head.real_memory is not None:
        return head.real_memory.class_probabilities()
    labels = {
        SUPPORT: None if head.support is None else head.support.labels,
        SYNTHETIC: None if head.synthetic_memory is None else head.synthetic_memory.labels,
        BATCH: batch_labels,
    }[source]
    if labels is None:
        raise ValueError(f"the head has no {source} to read")
    return functional.one_hot(labels, classes).to(head.classifier.weight.dtype)


def readable(head: HMAHead, source: str, readers: int) -> Tensor:
    """Which of a source's columns the readers may read besides themselves, bool [readers, n]."""
    device = head.classifier.weight.device
    if source == BATCH:
        return ~torch.eye(readers, dtype=torch.bool, device=device)
    if source == REAL:
        assert head.real_memory is not None
        mask = head.real_mask(None)
        row = torch.ones(head.real_memory.size, dtype=torch.bool, device=device) if mask is None else mask
        return row.expand(readers, -1)
    return torch.ones(readers, len(column_classes(head, source)), dtype=torch.bool, device=device)


def _maps(trained: Trained, split: str, mode: str) -> Iterator[tuple[Tensor, Tensor, dict[str, AttentionMap]]]:
    """Labels, predicted classes and attention, in the very batches in which the run was evaluated."""
    evaluator, method = trained.evaluator, trained.method
    seen = evaluator.features(split)
    evaluator.prepare_inference(mode)
    with method.inference(mode):
        for rows in evaluator.batches(split, mode):
            features = seen.features[rows.to(seen.features.device)]
            predicted = evaluator.classify(features).argmax(1).to(features.device)
            yield seen.labels[rows.to(features.device)], predicted, trained.attention(features)


def _per_image(
    head: HMAHead, attention: AttentionMap, source: str, share: Tensor, labels: Tensor, predicted: Tensor
) -> dict[str, Tensor]:
    """Values of each image [B] or [B, ...], on the CPU."""
    seen = {"share": share.T}
    if source not in (SELF, NULL):
        may = readable(head, source, len(labels))
        weights = attention.of(source) * may
        classes = column_classes(head, source, labels)
        mean = weights.mean(0)
        seen |= {"rows": may.sum(1).to(mean.dtype), "effective": _effective_rows(weights), "label": labels}
        seen |= {"by_class": _rows_to_one(mean @ classes), "evenly": _rows_to_one(may.to(mean.dtype) @ classes)}
        for name, target in (("true", labels), ("predicted", predicted)):
            figures = agreement(mean, classes, may, target)
            seen |= {f"{name} {kind}": values for kind, values in figures.items()}
    return {name: values.cpu() for name, values in seen.items()}


def agreement(weights: Tensor, classes: Tensor, may: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Whether images read rows of their class, [B] each; NaN for an image that reads nothing here.

    Weights [B, n], class probabilities of the rows [n, C], what may be read [B, n], class of each image [B].
    `topK` is the share of the right class among the K rows read most, `mass` that of the attention, `chance` that of
    all rows that may be read.
    """
    right = classes.T[target]
    figures = {"mass": (weights * right).sum(1) / weights.sum(1)}
    for k in TOP:
        best = weights.topk(min(k, weights.shape[1]), dim=1)
        read = (best.values > 0).to(weights.dtype)
        figures[f"top{k}"] = (right.gather(1, best.indices) * read).sum(1) / read.sum(1)
    figures["chance"] = (right * may).sum(1) / may.sum(1)
    return figures


def _effective_rows(weights: Tensor) -> Tensor:
    """exp(entropy) of weights [heads, B, n] after normalisation, mean over heads [B]."""
    shares = weights / weights.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp().mean(0)


def _rows_to_one(rows: Tensor) -> Tensor:
    return rows / rows.sum(1, keepdim=True)


def _summary(mode: str, block: str, source: str, columns: dict[str, Tensor]) -> Reading:
    shares = columns["share"].double().mean(0).tolist()
    if "rows" not in columns:
        return Reading(mode, block, source, shares, 1.0, None, {}, None, None)
    rows = columns["rows"].mean().item()
    if not columns["true mass"].isfinite().any():  # a queue that was never written
        return Reading(mode, block, source, shares, rows, None, {}, None, None)
    figures = {
        name: {
            kind: _estimate(columns[f"{name} {kind}"], columns[f"{name} chance"])
            for kind in (*(f"top{k}" for k in TOP), "mass")
        }
        for name in ("true", "predicted")
    }
    by_class, evenly = (_mean_by_class(columns[name], columns["label"]) for name in ("by_class", "evenly"))
    effective = columns["effective"].nanmean().item()
    return Reading(mode, block, source, shares, rows, effective, figures, by_class, evenly)


def _estimate(values: Tensor, chance: Tensor) -> Estimate:
    kept = values.isfinite()
    values = values[kept].double()
    half_width = 1.96 * values.std().item() / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return Estimate(values.mean().item(), half_width, chance[kept].double().mean().item())


def _mean_by_class(rows: Tensor, labels: Tensor) -> Tensor:
    """Mean of the rows [N, C] of each class [C, C]; images that read nothing are left out."""
    kept = rows.isfinite().all(1)
    sums = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    sums.index_add_(0, labels[kept], rows[kept].double())
    return sums / labels[kept].bincount(minlength=rows.shape[1])[:, None]
