"""The training images that each test image read most."""

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.attention.examples import Examples, attention_alone
from analysis.attention.statistics import column_classes, readable
from analysis.trained import Trained
from hma_ft.hma.attention_map import REAL, SUPPORT, AttentionMap
from hma_ft.memory.ring_buffer import NO_ID

ROWS = 8  # test images in a gallery


@dataclass
class Read:
    """A training image that was read."""

    id: int  # in the train split
    file: str
    label: int  # of a mixed image, the class with the larger share
    weight: float  # mean over heads
    mixed_with: str | None  # file of the second image of a mixed one


@dataclass
class Entry:
    """A test image with what it read, the most first."""

    id: int
    file: str
    label: int
    predicted: int
    read: list[Read]


def galleries(trained: Trained, examples: Examples, top: int) -> dict[str, list[Entry]]:
    """For the real memory and for the support set, as far as the run has them."""
    found: dict[str, list[Entry]] = {}
    for source, block, mode in ((REAL, "real", trained.modes[0]), (SUPPORT, "context", "support")):
        if mode not in trained.modes:
            continue
        maps = attention_alone(trained, examples, mode)
        if block in maps and source in maps[block].columns:
            found[source] = _entries(trained, examples, maps[block], source, top)
    return found


def spread(examples: Examples, count: int = ROWS) -> list[int]:
    """Places of `count` examples at most, the classes in turn."""
    rank = {place: int((examples.labels[:place] == examples.labels[place]).sum()) for place in range(len(examples.ids))}
    turns = sorted(rank, key=lambda place: (rank[place], place))[:count]
    return sorted(turns)


def _entries(trained: Trained, examples: Examples, attention: AttentionMap, source: str, top: int) -> list[Entry]:
    weights = attention.of(source).mean(0) * readable(trained.head, source, len(examples.ids))
    best = weights.topk(min(top, weights.shape[1]), dim=1)
    ids, labels = _row_ids(trained, source), column_classes(trained.head, source).argmax(1)
    train, test = trained.splits.train, trained.splits.test
    entries = []
    for place in spread(examples):
        read = []
        for weight, row in zip(best.values[place].tolist(), best.indices[place].tolist(), strict=True):
            first, second = ids[row].tolist()
            if weight > 0 and first != NO_ID:
                mixed = None if second == NO_ID else train.sample_id(second)
                read.append(Read(first, train.sample_id(first), int(labels[row]), weight, mixed))
        sample = int(examples.ids[place])
        label, predicted = int(examples.labels[place]), int(examples.predicted[place])
        entries.append(Entry(sample, test.sample_id(sample), label, predicted, read))
    return entries


def _row_ids(trained: Trained, source: str) -> Tensor:
    """Sample ids [n, 2] of the rows, in the train split."""
    head = trained.head
    if source == REAL and head.real_memory is not None:
        return head.real_memory.ids
    assert head.support is not None
    return torch.stack([head.support.ids, torch.full_like(head.support.ids, NO_ID)], dim=1)
