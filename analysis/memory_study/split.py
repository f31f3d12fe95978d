"""One draw of train and val out of a pool, and what a classifier says of val and test."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from analysis.memory_study.features import Part
from hma_ft.data.draws import stratified
from hma_ft.methods.choose import Score, best_scale, score
from hma_ft.seeds import derive_seed


class Split(NamedTuple):
    """Train and val drawn by a seed; test is the same for all seeds. Features are float64."""

    train: Part
    val: Part
    test: Part
    train_rows: Tensor  # of the pool
    val_rows: Tensor
    classes: int
    seed: int

    @property
    def one_hot(self) -> Tensor:
        """Training labels as float64 [N, C]."""
        return functional.one_hot(self.train.labels, self.classes).double()


class Fitted(NamedTuple):
    """Log-probabilities of a classifier whose settings val chose."""

    val: Tensor  # [V, C]
    test: Tensor  # [T, C]
    chosen: str
    score: Score  # on val
    scores: tuple[Tensor, Tensor]  # the same before they were scaled
    left_out: Tensor | None = None  # scores of each training image without itself [N, C]


def draw(pool: Part, test: Part, *, val_share: float, seed: int) -> Split:
    """The split of a seed, stratified."""
    train_rows, val_rows = stratified(pool.labels, val_share, derive_seed("memory study", seed) % 2**31)
    features = pool.features.double()
    return Split(
        Part(features[train_rows], pool.labels[train_rows]),
        Part(features[val_rows], pool.labels[val_rows]),
        Part(test.features.double(), test.labels),
        train_rows,
        val_rows,
        int(pool.labels.max()) + 1,
        seed,
    )


def calibrated(scores: Sequence[Tensor], chosen: object, split: Split, left_out: Tensor | None = None) -> Fitted:
    """Scores of val and of test as log-probabilities, by the factor that makes val likeliest."""
    val, test = (part.double() for part in scores)
    scale = best_scale(scores[0], split.val.labels)
    log_val, log_test = ((scale * part).log_softmax(1) for part in (val, test))
    return Fitted(log_val, log_test, str(chosen), score(log_val, split.val.labels), (val, test), left_out)


def best(candidates: list[Fitted]) -> Fitted:
    """The candidate that predicts val best: accuracy decides, then likelihood; of equals the first."""
    return max(candidates, key=lambda fitted: fitted.score)


def accuracy(fitted: Fitted, split: Split) -> float:
    """Top-1 accuracy on test in percent."""
    return 100 * (fitted.test.argmax(1) == split.test.labels).double().mean().item()


def unit(features: Tensor) -> Tensor:
    """Features at length 1."""
    return functional.normalize(features, dim=1)


def log_shares(weights: Tensor, values: Tensor, floor: float = 1e-6) -> Tensor:
    """Logarithm of the share of each class among rows read with these weights: [B, N], [N, C] -> [B, C]."""
    shares = weights @ values / weights.sum(1, keepdim=True) + floor
    return torch.log(shares / shares.sum(1, keepdim=True))
