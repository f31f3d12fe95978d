"""Images that two splits share, byte for byte: a test image in train is no test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hma_ft.data.datasets.base import ImageDataset

PAIRS = (("test", "train"), ("test", "val"), ("val", "train"))
_NAMED = 3  # images that a message names


@dataclass(frozen=True)
class EqualImages:
    """Images of `split` that are in `other` too: how many, and the names of the first few in both."""

    split: str
    other: str
    count: int
    names: list[tuple[str, str]]


def equal_across_splits(splits: Mapping[str, ImageDataset]) -> list[EqualImages]:
    """Return, for test in train, test in val and val in train, which images are equal as they are stored.

    Files are compared by their bytes, images of arrays by their pixels; labels and names don't count, nor what a run
    does to its images after reading them. A pair of the given splits without equal ones has a count of 0.
    """
    digests = {name: samples.raw_digests() for name, samples in splits.items()}
    found = []
    for split, other in (pair for pair in PAIRS if set(pair) <= set(splits)):
        places = {digest: index for index, digest in reversed(list(enumerate(digests[other])))}
        equal = [(index, places[digest]) for index, digest in enumerate(digests[split]) if digest in places]
        names = [(splits[split].sample_id(mine), splits[other].sample_id(theirs)) for mine, theirs in equal[:_NAMED]]
        found.append(EqualImages(split, other, len(equal), names))
    return found


def in_one_line(found: Sequence[EqualImages], sizes: Mapping[str, int]) -> str | None:
    """Return how many images of a split are in another, and some of their names; None if there are none.

    `sizes` has the number of images of each split.
    """
    shared = [pair for pair in found if pair.count]
    if not shared:
        return None
    counts = [f"{pair.count} of {sizes[pair.split]} {pair.split} images are in {pair.other}" for pair in shared]
    names = [f"{mine} = {theirs}" for pair in shared for mine, theirs in pair.names][:_NAMED]
    return f"{', '.join(counts)}, byte for byte (such as {'; '.join(names)})"
