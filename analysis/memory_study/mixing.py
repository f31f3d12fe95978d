"""Classifiers put together: in log-probabilities with a weight that val chooses, or stacked without val."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from analysis.memory_study.kernels import whitened
from analysis.memory_study.split import Fitted, Split, best, calibrated, log_shares, unit

WEIGHTS = tuple(step / 10 for step in range(11))


def mixed(one: Fitted, other: Fitted, split: Split) -> Fitted:
    """(1 - w) log p + w log q, w chosen on val, scaled anew."""
    return best(
        [
            calibrated([(1 - w) * p + w * q for p, q in zip(one[:2], other[:2], strict=True)], f"w={w}", split)
            for w in WEIGHTS
        ]
    )


def with_left_out_labels(split: Split, beta: float = 10.0) -> Fitted:
    """softmax(beta cos) over centred training images, and what it says of each of these without its own row."""
    train, val, test = map(unit, whitened(split, 1.0))
    logs = [log_shares((beta * (part @ train.T)).softmax(1), split.one_hot) for part in (val, test)]
    own = (beta * (train @ train.T)).fill_diagonal_(-torch.inf).softmax(1)
    return calibrated(logs, f"beta={beta}", split, log_shares(own, split.one_hot))


def stacked(reads: Sequence[Fitted], split: Split) -> Fitted:
    """A weight >= 0 for each read, fitted to what they say of the training images left out; val has no part in it."""
    left_out = [read.left_out for read in reads if read.left_out is not None]
    spread = [scores.std() for scores in left_out]
    log_weights = torch.zeros(len(reads), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_weights], max_iter=200, line_search_fn="strong_wolfe")

    def total(parts: Sequence[Tensor]) -> Tensor:
        terms = zip(log_weights.exp(), parts, spread, strict=True)
        return torch.stack([weight * part / std for weight, part, std in terms]).sum(0)

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = functional.cross_entropy(total(left_out), split.train.labels)
        found.backward()
        return found

    optimizer.step(loss)
    weights = " ".join(f"{weight:.2f}" for weight in log_weights.exp().tolist())
    with torch.no_grad():
        scores = [total(parts) for parts in zip(*(read.scores for read in reads), strict=True)]
        return calibrated(scores, weights, split)
