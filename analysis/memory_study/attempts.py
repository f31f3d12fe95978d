"""Every attempt of the memory study on one split: rivals, reads of a memory, and mixtures of both."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor

from analysis.memory_study.kernels import (
    arc_cosine,
    gaussian,
    kernel_ridge,
    laplace,
    mean_square_distance,
    whitened,
)
from analysis.memory_study.mixing import mixed, stacked, with_left_out_labels
from analysis.memory_study.reads import (
    class_covariances,
    random_feature_attention,
    residual_correction,
    whitened_attention,
)
from analysis.memory_study.rivals import knn, lda, linear_head, logreg, ranpac, ridge
from analysis.memory_study.split import Fitted, Split, best

Grams = tuple[Tensor, Tensor]
FEW_IMAGES = 1000  # up to which keys in the space of random features take seconds
FEW_CLASSES = 50  # up to which each has images enough for a covariance of its own
GAMMAS = (1.0, 2.0, 4.0)


def rivals(split: Split, grams: Grams) -> Iterator[tuple[str, Fitted]]:
    """The heads that a memory has to beat."""
    yield "knn", knn(split)
    yield "linear", linear_head(split)
    yield "ridge", ridge(split)
    yield "lda", lda(split)
    yield "lda, shrinkage by val", lda(split, (0.01, 0.03, 0.1, 0.3, 0.6, 0.9))
    yield "logreg", logreg(split)
    yield "ranpac", ranpac(split, grams)


def attempts(split: Split, grams: Grams) -> Iterator[tuple[str, Fitted]]:
    """Rivals, then everything that was tried."""
    found: dict[str, Fitted] = {}
    for name, fitted in rivals(split, grams):
        found[name] = fitted
    mix = partial(mixed, split=split)
    read = found["whitened attention"] = whitened_attention(split)
    for head in ("logreg", "lda", "ridge", "ranpac"):
        found[f"{head} + whitened attention"] = mix(found[head], read)
    for one, other in (("logreg", "ranpac"), ("logreg", "lda"), ("ranpac", "lda")):
        found[f"{one} + {other} (no memory)"] = mix(found[one], found[other])
    if len(split.train.labels) <= FEW_IMAGES:
        keys = found["attention, random-feature keys"] = random_feature_attention(split)
        found["ranpac + attention, random-feature keys"] = mix(found["ranpac"], keys)
    found |= kernel_reads(split)
    memory = found["kernel ridge, gaussian"]
    for head in ("logreg", "lda", "ranpac"):
        found[f"{head} + kernel ridge, gaussian"] = mix(found[head], memory)
    found["kernel ridge + whitened attention"] = mix(memory, read)
    arc = found["kernel ridge, arc-cosine"]
    found["kernel ridge, arc-cosine + residuals"] = residual_correction(split, arc)
    found["stacked on left-out predictions"] = stacked([memory, arc, with_left_out_labels(split)], split)
    if split.classes <= FEW_CLASSES:
        found["class covariances"] = class_covariances(split)
        found["logreg + class covariances"] = mix(found["logreg"], found["class covariances"])
    yield from found.items()


def gaussian_kernel_ridge(split: Split, *, left_out: bool = False) -> Fitted:
    """Kernel ridge regression on the features as they are; val chooses gamma and ridge."""
    mean_square, parts = mean_square_distance(split.train.features), [p.features for p in split[:3]]
    return best([kernel_ridge(split, parts, gaussian(g, mean_square), f"gamma={g}", left_out=left_out) for g in GAMMAS])


def kernel_reads(split: Split) -> dict[str, Fitted]:
    """Kernel ridge regression with three kernels, on centred features and on whitened ones."""
    found = {"kernel ridge, gaussian": gaussian_kernel_ridge(split, left_out=True)}
    for shrinkage, suffix in ((1.0, ""), (0.3, ", whitened")):
        parts = whitened(split, shrinkage)
        mean_square = mean_square_distance(parts[0])
        found[f"kernel ridge, arc-cosine{suffix}"] = kernel_ridge(split, parts, arc_cosine, "", left_out=not suffix)
        found[f"kernel ridge, laplace{suffix}"] = kernel_ridge(split, parts, laplace(1.0, mean_square), "")
        if suffix:
            found[f"kernel ridge, gaussian{suffix}"] = kernel_ridge(split, parts, gaussian(2.0, mean_square), "")
    return found
