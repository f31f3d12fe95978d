"""What a record says about the data that a run read, and whether two records speak of the same data."""

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.equal_images import EqualImages


def describe(
    splits: Mapping[str, ImageDataset], *, classes: int, seen: Tensor | None, equal: Sequence[EqualImages]
) -> dict[str, int | str]:
    """Return counts and digests of train, val and test as data.json holds them.

    NAME_digest goes over a split's sample names and labels, NAME_content over what its images show and labels. `seen`
    has the indices of the training samples that steps are made of, `equal` the images that two splits share.
    """
    counts: dict[str, int | str] = {name: len(samples) for name, samples in splits.items()}
    digests: dict[str, int | str] = {f"{name}_digest": _names_digest(samples) for name, samples in splits.items()}
    contents: dict[str, int | str] = {f"{name}_content": _content_digest(samples) for name, samples in splits.items()}
    if seen is not None:
        counts["taught"] = len(seen)
        digests["taught_digest"] = hashlib.sha256(seen.numpy().tobytes()).hexdigest()[:16]
    shared: dict[str, int | str] = {f"{found.split}_in_{found.other}": found.count for found in equal}
    return counts | {"classes": classes} | digests | contents | shared


def changed_splits(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return the names of the splits that differ between two descriptions.

    Splits are compared by content; by names and labels where a description is from before contents were recorded.
    """
    changed = []
    for split in ("train", "val", "test"):
        kinds = [f"{split}_{kind}" for kind in ("content", "digest")]
        known = [kind for kind in kinds if kind in before and kind in now]
        if known and before[known[0]] != now[known[0]]:
            changed.append(split)
    return changed


def _names_digest(samples: ImageDataset) -> str:
    digest = hashlib.sha256(samples.labels.numpy().tobytes())
    for index in range(len(samples)):
        digest.update(f"{samples.sample_id(index)}\n".encode())
    return digest.hexdigest()[:16]


def _content_digest(samples: ImageDataset) -> str:
    digest = hashlib.sha256(samples.labels.numpy().tobytes())
    for content in samples.content_digests():
        digest.update(f"{content}\n".encode())
    return digest.hexdigest()[:32]
