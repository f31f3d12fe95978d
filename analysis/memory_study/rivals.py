"""What a memory has to beat on the same frozen features, each with its settings chosen on val."""

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

from analysis.memory_study.kernels import solve_kernel_ridge
from analysis.memory_study.split import Fitted, Split, best, calibrated, unit
from hma_ft.memory.class_sums import ClassSums
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.logreg import logistic_regressions
from hma_ft.methods.ridge import RIDGES, ridge_solutions

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)  # of logistic regression, C
RANDOM_FEATURES = 10_000
RANPAC_RIDGES = tuple(10.0 ** (step / 2) for step in range(-8, 3))  # relative to the mean diagonal of the Gram matrix
STEPS, BATCH, EVERY = 1000, 128, 100


def knn(split: Split) -> Fitted:
    """Cosine neighbours, the grid of conf/method/knn.yaml."""
    keys = unit(split.train.features)
    found = [(unit(part.features) @ keys.T).topk(min(200, len(keys)), dim=1) for part in (split.val, split.test)]
    candidates = []
    for k, temperature in itertools.product((1, 5, 10, 20, 50, 100, 200), (0.02, 0.05, 0.07, 0.1, 0.2, 1.0)):
        logs = []
        for top in found:
            weights = ((top.values[:, :k] - top.values[:, :1]) / temperature).exp()
            votes = torch.zeros(len(weights), split.classes, dtype=weights.dtype)
            votes.scatter_add_(1, split.train.labels[top.indices[:, :k]], weights)
            logs.append((votes / votes.sum(1, keepdim=True) + 1e-6).log().log_softmax(1))
        candidates.append(calibrated(logs, f"k={k} T={temperature}", split))
    return best(candidates)


def ridge(split: Split) -> Fitted:
    """Ridge regression as `method=ridge` solves it."""
    sums = ClassSums(split.train.features.shape[1], split.classes)
    sums.set(split.train.features, split.train.labels, split.train_rows)
    return best([_linear(s.weight, s.bias, s.value, split) for s in ridge_solutions(sums, RIDGES[::2])])


def lda(split: Split, shrinkages: tuple[float | None, ...] = (None,)) -> Fitted:
    """Linear discriminant analysis as `method=lda` solves it; None: the published shrinkage."""
    features, labels, members = split.train.features, split.train.labels, split.one_hot
    means = members.T @ features / members.sum(0)[:, None]
    centred = features - means[labels]
    scatter, (count, width) = centred.T @ centred, features.shape
    candidates = []
    for s in shrinkages:
        mean_variance = scatter.trace() / width
        if s is None:
            covariance = scatter + scatter.trace() / (count - 1) * torch.eye(width, dtype=scatter.dtype)
        else:
            covariance = (1 - s) * scatter + s * mean_variance * torch.eye(width, dtype=scatter.dtype)
        weight = torch.linalg.solve(covariance, means.T).T * count
        candidates.append(_linear(weight, -(weight * means).sum(1) / 2, s, split))
    return best(candidates)


def logreg(split: Split) -> Fitted:
    """Logistic regression as `method=logreg` solves it, C from a shorter list."""
    train = LabelledFeatures(split.train.features, split.train.labels, split.train_rows)
    present = torch.ones(split.classes, dtype=torch.bool)
    found = logistic_regressions(train, present, STRENGTHS, max_iterations=200)
    return best([_linear(s.weight, s.bias, s.value, split) for s in found])


def linear_head(split: Split) -> Fitted:
    """A linear layer by SGD, the recipe of `method=head`; val chooses learning rate and step."""
    features, labels = split.train.features.float(), split.train.labels
    candidates = []
    for rate in (0.003, 0.01, 0.03):
        generator = torch.Generator().manual_seed(split.seed)
        torch.manual_seed(split.seed)
        layer = torch.nn.Linear(features.shape[1], split.classes)
        optimizer = torch.optim.SGD(layer.parameters(), rate, momentum=0.9)
        for step in range(1, STEPS + 1):
            optimizer.param_groups[0]["lr"] = rate * min(1, step / 10) * (1 + math.cos(math.pi * step / STEPS)) / 2
            rows = torch.randint(len(labels), (BATCH,), generator=generator)
            optimizer.zero_grad()
            functional.cross_entropy(layer(features[rows]), labels[rows]).backward()
            optimizer.step()
            if step % EVERY == 0:
                weight, bias = (p.detach().double() for p in (layer.weight, layer.bias))
                candidates.append(_linear(weight, bias, f"lr={rate} step={step}", split))
    return best(candidates)


def random_features(pool: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """RanPAC's Gram matrices of a data set: pool with pool, test with pool, float64; one draw of the directions."""
    directions = torch.randn(pool.shape[1], RANDOM_FEATURES, generator=torch.Generator().manual_seed(0))
    lifted_pool, lifted_test = ((features @ directions).relu() for features in (pool, test))
    return (lifted_pool @ lifted_pool.T).double(), (lifted_test @ lifted_pool.T).double()


def ranpac(split: Split, grams: tuple[Tensor, Tensor]) -> Fitted:
    """Ridge regression on random features as `method=ranpac` solves it where images are fewer than these."""
    within, across = grams
    parts = within[split.train_rows], within[split.val_rows], across
    with_train = [part[:, split.train_rows] for part in parts]
    return solve_kernel_ridge(with_train, RANPAC_RIDGES, "", split, bias=False)


def _linear(weight: Tensor, bias: Tensor, chosen: object, split: Split) -> Fitted:
    scores = [part.features @ weight.T + bias for part in (split.val, split.test)]
    return calibrated(scores, chosen, split)
