"""Test images of a few classes, and the attention between them as one batch."""

import difflib
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.trained import Trained
from hma_ft.errors import UserError
from hma_ft.hma.attention_map import BATCH, AttentionMap
from hma_ft.seeds import derive_seed

CLASSES = 4


@dataclass
class Examples:
    """Images of the test split, class by class."""

    classes: list[int]
    ids: Tensor  # [N]
    labels: Tensor  # [N]
    predicted: Tensor  # [N], in the headline mode
    features: Tensor  # [N, D]


@dataclass
class BetweenDatapoints:
    """One batch that reads itself, in two orders."""

    by_class: Tensor  # [heads, N, N]: reader, image that is read; the images class by class
    shuffled: Tensor  # [heads, N, N]
    order: Tensor  # [N]: place of each shuffled image among those sorted by class
    block_means: Tensor  # [c, c]: mean weight from images of a class to others of a class, mean over heads


def choose(trained: Trained, classes: list[str] | None, per_class: int) -> Examples:
    """The first `per_class` test images of each class; without `classes`, of those that the results suggest."""
    seen = trained.evaluator.features("test")
    predicted = trained.evaluator.predict("test", trained.modes[0]).probabilities.argmax(1)
    labels = seen.labels.cpu()
    chosen = telling_classes(labels, predicted) if classes is None else class_ids(classes, trained.class_names)
    rows = torch.cat([(labels == label).nonzero().squeeze(1)[:per_class] for label in chosen])
    if len(rows) == 0:
        raise UserError("the test split has no image of these classes: choose others by classes=A,B")
    return Examples(
        chosen, seen.ids[rows.to(seen.ids.device)].cpu(), labels[rows], predicted[rows], seen.features[rows]
    )


def telling_classes(labels: Tensor, predicted: Tensor, count: int = CLASSES) -> list[int]:
    """The two classes that are confused most often, then those with the best accuracy; ties by number; sorted."""
    present = labels.unique()
    size = int(max(labels.max(), predicted.max())) + 1
    confusion = torch.zeros(size, size, dtype=torch.int64)
    confusion.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)
    both = (confusion + confusion.T).triu(1)
    chosen: list[int] = []
    if both.max() > 0:
        pair = divmod(int(both.argmax()), size)
        chosen = [label for label in pair if label in present]
    accuracy = confusion.diagonal() / confusion.sum(1).clamp(min=1)
    best = [label for label in accuracy.argsort(descending=True, stable=True).tolist() if label in present]
    chosen += [label for label in best if label not in chosen]
    return sorted(chosen[:count])


def class_ids(names: list[str], known: list[str]) -> list[int]:
    """The numbers of classes given by name. UserError with the nearest name for one that is not known."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known[:3]
            raise UserError(f"classes={name} is no class of this run: did you mean {', '.join(near)}?")
    return [known.index(name) for name in dict.fromkeys(names)]


def between_datapoints(trained: Trained, examples: Examples) -> BetweenDatapoints | None:
    """The examples as one batch in the mode `batch`; None where the run knows no attention between datapoints."""
    if "batch" not in trained.modes:
        return None
    generator = torch.Generator().manual_seed(derive_seed("attention examples", len(examples.ids)))
    order = torch.randperm(len(examples.ids), generator=generator)
    with trained.method.inference("batch"):
        by_class, shuffled = (
            trained.attention(examples.features[rows.to(examples.features.device)])["context"].of(BATCH).cpu()
            for rows in (torch.arange(len(order)), order)
        )
    means = _block_means(by_class.mean(0), examples.labels, examples.classes)
    return BetweenDatapoints(by_class, shuffled, order, means)


def attention_alone(trained: Trained, examples: Examples, mode: str) -> dict[str, AttentionMap]:
    """Attention of the examples in a mode in which they don't read each other."""
    trained.prepare_inference(mode)
    with trained.method.inference(mode):
        return trained.attention(examples.features)


def _block_means(weights: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
    """Mean weight between the images of two classes, a reader's own column left out; NaN for a class of one image."""
    others = ~torch.eye(len(labels), dtype=torch.bool)
    means = torch.full((len(classes), len(classes)), float("nan"))
    for row, reader in enumerate(classes):
        for column, read in enumerate(classes):
            block = (labels == reader)[:, None] & (labels == read)[None, :] & others
            if block.any():
                means[row, column] = weights[block].mean()
    return means
